// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which names do macros make?
 *
 * A macro that pastes (foo_##x) or hands its parameters to an export makes names that
 * stand nowhere in the text. A definition is reduced to recipes, "the name is foo_ and
 * then the first argument", and a call fills the recipes in. Nothing else of a macro is
 * expanded: its other names count as used where the macro is.
 */
#include <ctype.h>
#include <stdlib.h>

#include "expand.h"
#include "extract.h"

static int param_index(const struct macro_params *params, u64 name)
{
	u32 i;

	for (i = 0; params && i < params->n; i++)
		if (params->name[i] == name)
			return i;
	return -1;
}

/* Where one argument stands while it is read. */
struct arg_state {
	bool any, paste, bad, string;
	bool call, other; /* nothing but a call: COUNT_ARGS(x) */
};

static void add_part(struct buf *b, struct arg_state *a, const struct token *t,
		     const struct macro_params *params)
{
	int i = t->kind == TOK_ID ? param_index(params, t->h) : -1;
	u32 k;

	if ((a->any && !a->paste) || a->string) {
		a->bad = true;
		a->other |= a->call;
		return;
	}
	a->any = true;
	a->paste = false;
	if (i >= 0) {
		buf_putc(b, (char)(0x80 + i));
		return;
	}
	for (k = 0; k < t->len; k++)
		if ((u8)t->s[k] >= 0x80 || t->s[k] == ARG_END)
			a->bad = true;
	buf_add(b, t->s, t->len);
}

static void add_string(struct buf *b, struct arg_state *a, const struct token *t)
{
	u32 k, len = t->len;

	if (a->any) {
		a->bad = true;
		return;
	}
	a->any = a->string = true;
	if (len > 1 && t->s[len - 1] == '"')
		len--;
	for (k = 0; k < len; k++)
		if ((u8)t->s[k] >= 0x80 || t->s[k] == ARG_END)
			a->bad = true;
	buf_add(b, t->s, len);
}

/* Ends one argument; true if it says something. */
static bool end_arg(struct buf *b, size_t start, struct arg_state *a)
{
	bool good = a->any && !a->bad && !a->paste, empty = !a->any && !a->bad && !a->paste;

	if (!good && !empty) {
		b->n = start;
		buf_putc(b, a->call && !a->other ? '*' : '?');
	}
	*a = (struct arg_state){0};
	return good;
}

/* '#' once makes a string of a parameter, twice it pastes. */
static void add_hash(struct lexer *lx, struct arg_state *a)
{
	if (lx->p < lx->end && *lx->p == '#') {
		lx->p++;
		a->paste = true;
	}
}

const char *encode_args(struct extractor *x, const struct lexer *at,
			const struct macro_params *params)
{
	struct lexer lx = *at;
	struct arg_state a = {0};
	struct buf b = {0};
	const char *limit = at->p + 4096, *out;
	size_t start = 0;
	u32 depth = 0, argc = 0;
	bool good = false;
	struct token t;

	do {
		lexer_next(&lx, &t);
		if (t.kind == TOK_EOF || t.kind == TOK_EOL || lx.p > limit)
			goto err_unreadable;
		if (token_punct(&t, '(') || token_punct(&t, '{') || token_punct(&t, '[')) {
			if (depth == 1) {
				a.other |= a.bad || !a.any || !token_punct(&t, '(');
				a.call = a.bad = true;
			}
			depth++;
		} else if (token_punct(&t, ')') || token_punct(&t, '}') ||
			   token_punct(&t, ']')) {
			if (depth)
				depth--;
		} else if (depth > 1) {
			continue;
		} else if (depth == 1 && token_punct(&t, ',')) {
			good |= end_arg(&b, start, &a);
			buf_putc(&b, ARG_END);
			start = b.n;
			if (++argc >= MAX_ARGS - 1)
				break;
		} else if (t.kind == TOK_ID || t.kind == TOK_NUM) {
			add_part(&b, &a, &t, params);
		} else if (t.kind == TOK_STR) {
			add_string(&b, &a, &t);
		} else if (token_punct(&t, '#') || t.kind == TOK_HASH) {
			add_hash(&lx, &a);
		} else {
			a.bad = a.other = true;
		}
	} while (depth);
	good |= end_arg(&b, start, &a);
	out = good ? arena_strndup(&x->scratch, b.s, b.n) : NULL;
	buf_free(&b);
	return out;

err_unreadable:
	buf_free(&b);
	return NULL;
}

static const char *unquoted(const char *s)
{
	return *s == '"' ? s + 1 : s;
}

static void apply_export(struct extractor *x, const struct made *m, const struct token *via)
{
	const char *ns = m->ns ? unquoted(m->ns) : NULL;
	int kind = m->kind;

	if (m->licence && strcasestr(m->licence, "gpl"))
		kind |= EXP_GPL;
	if (ns && has_prefix(ns, "module:")) {
		ns += strlen("module:");
		kind |= EXP_NS_MODULES;
	}
	note_export(x, m->name, ns, via->s, via->len, kind, via->line);
}

const char *raw_args(struct extractor *x)
{
	const char *p = x->lx.p, *end = x->lx.end;
	char text[128] = "*";
	size_t n = 1;
	int depth = 0;

	for (; p < end && n + 1 < sizeof(text); p++) {
		depth += (*p == '(') - (*p == ')');
		if (*p == ARG_END || (u8)*p >= 0x80 || (depth == 1 && *p == ',') || !depth)
			break;
		text[n++] = *p;
	}
	return arena_strndup(&x->scratch, text, n);
}

/* EXPORT_SYMBOL(MACRO(x)): an export, but of what? */
static bool export_unnamed(struct extractor *x, u64 callee, const struct token *via)
{
	const struct primitive *p = primitives_find(x->prims, callee);

	if (!p)
		return false;
	note_export(x, raw_args(x) + 1, NULL, via->s, via->len, p->kind | EXP_UNNAMED,
		    via->line);
	return true;
}

struct application {
	struct extractor *x;
	struct token via;
	bool exports;
};

static void take_made(void *arg, const struct made *m)
{
	struct application *ap = arg;

	if (m->kind < 0) {
		note_use(ap->x, hash_str(m->name), ap->via.line);
	} else if (*m->name != '"' && m->name[strlen(m->name) - 1] != '*') {
		apply_export(ap->x, m, &ap->via);
		ap->exports = true;
	}
}

bool apply_templates(struct extractor *x, u64 callee, const char *s, u32 len, u32 line)
{
	struct application ap = {.x = x, .via = {.s = s, .len = len, .line = line}};
	const char *encoded;

	if (!expand_makes(x, callee))
		return false;
	encoded = encode_args(x, &x->lx, NULL);
	if (!encoded)
		return export_unnamed(x, callee, &ap.via);
	if (*encoded == '*' && export_unnamed(x, callee, &ap.via))
		return true;
	expand_call(x, x->ts, callee, encoded, take_made, &ap);
	return ap.exports;
}

/* The macro whose definition is being read. */
struct definition {
	struct token name;
	struct macro_params params;
	u32 def;     /* of a header's macro, once it says something */
	u32 first;   /* in local_calls */
	bool header; /* facts go to a definition of its own */
	bool calls_asm;
};

static void begin_def(struct extractor *x, struct definition *d)
{
	if (d->header && d->def == NO_DEF) {
		d->def = note_def(x, d->name.h, d->name.s, d->name.len, DEF_MACRO,
				  d->name.line);
		x->def = d->def;
	}
}

static void record_call(struct extractor *x, struct definition *d, u64 callee,
			const char *args)
{
	struct fact_call call = {.callee = callee, .line = d->name.line};

	if (!args)
		return;
	if (!d->header) {
		struct local_call own = {.callee = callee, .args = args};

		vec_push(&x->local_calls, own);
		return;
	}
	begin_def(x, d);
	call.owner = d->def;
	call.args = note_str(x, args, strlen(args));
	vec_push(&x->calls, call);
}

/* a ## b ## c, from its first part on; the parts behind are consumed. */
static void read_paste(struct extractor *x, struct definition *d, struct token *t)
{
	struct arg_state a = {0};
	struct buf b = {0};

	add_part(&b, &a, t, &d->params);
	while (lexer_peek(&x->lx) == '#') {
		lexer_next(&x->lx, t);
		add_hash(&x->lx, &a);
		if (!a.paste)
			break;
		lexer_next(&x->lx, t);
		if (t->kind != TOK_ID && t->kind != TOK_NUM)
			break;
		add_part(&b, &a, t, &d->params);
	}
	if (!a.bad && !a.paste)
		record_call(x, d, 0, arena_strndup(&x->scratch, b.s, b.n));
	buf_free(&b);
}

static bool paste_follows(const struct lexer *lx)
{
	struct lexer copy = *lx;
	struct token t;

	if (lexer_peek(lx) != '#')
		return false;
	lexer_next(&copy, &t);
	return copy.p < copy.end && *copy.p == '#';
}

static void read_body_name(struct extractor *x, struct definition *d, struct token *t)
{
	int param = param_index(&d->params, t->h);

	if (paste_follows(&x->lx)) {
		read_paste(x, d, t);
		return;
	}
	if (t->kw == KW_ASM)
		d->calls_asm = true;
	if (t->kw != KW_NONE)
		return;
	if (lexer_peek(&x->lx) == '(')
		record_call(x, d, param < 0 ? t->h : CALLEE_PARAM + (u64)param,
			    encode_args(x, &x->lx, &d->params));
	if (param >= 0)
		return;
	begin_def(x, d);
	note_use(x, t->h, t->line);
}

static void read_params(struct extractor *x, struct definition *d)
{
	struct token t;
	u64 variadic = hash_str("__VA_ARGS__");

	lexer_next(&x->lx, &t);
	for (;;) {
		lexer_next(&x->lx, &t);
		if (t.kind == TOK_EOL || t.kind == TOK_EOF || token_punct(&t, ')'))
			return;
		if (d->params.n == MAX_PARAMS)
			continue;
		if (t.kind == TOK_ID)
			d->params.name[d->params.n++] = t.h;
		else if (token_punct(&t, '.') && variadic) {
			d->params.name[d->params.n++] = variadic;
			variadic = 0;
		}
	}
}

/* A source's macro that is another name of something. */
static void note_alias(struct extractor *x, const struct definition *d,
		       const struct token *only)
{
	struct alias a = {.name = d->name.h};
	struct fact_alias noted = {.name = d->name.h, .line = d->name.line};

	a.other = arena_strndup(&x->scratch, only->s, only->len);
	vec_push(&x->aliases, a);
	noted.other = note_str(x, only->s, only->len);
	vec_push(&x->noted_aliases, noted);
	x->macros_filter |= 1ull << (a.name & 63);
}

static void end_local(struct extractor *x, const struct definition *d, bool self)
{
	struct local_macro m = {.name = d->name.h, .first = d->first};

	m.n = x->local_calls.n - d->first;
	if (m.n) {
		vec_push(&x->macros, m);
		x->macros_filter |= 1ull << (m.name & 63);
	}
	if (token_is(&d->name, "CREATE_TRACE_POINTS"))
		note_use(x, d->name.h, d->name.line);
	else if (!self && x->kind == TEXT_SOURCE)
		own_add(x, &x->own, d->name.h, OWN_MACRO);
}

static void end_definition(struct extractor *x, struct definition *d, bool self,
			   const struct token *only)
{
	bool alias = only && !d->params.n && !self;

	if (alias && d->header)
		record_call(x, d, only->h,
			    arena_printf(&x->scratch, "=%.*s", (int)only->len, only->s));
	if (alias && x->kind == TEXT_SOURCE)
		note_alias(x, d, only);
	if (!d->header)
		end_local(x, d, self);
}

/*
 * Most definitions of a kernel tree are register numbers in generated headers: they are
 * left after one look.
 */
static bool is_plain_number(const struct lexer *lx)
{
	const char *p = lx->p;

	while (p < lx->end && (*p == ' ' || *p == '\t'))
		p++;
	if (p >= lx->end || *p < '0' || *p > '9')
		return false;
	while (p < lx->end && ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f') ||
			       (*p >= 'A' && *p <= 'F') || *p == 'x' || *p == 'X' ||
			       *p == 'L' || *p == 'u' || *p == 'U' || *p == 'l'))
		p++;
	return p < lx->end && (*p == '\n' || *p == '\r');
}

/* Instructions of any architecture that take a symbol. */
static bool takes_symbol(const char *s, size_t n)
{
	static const char *const names[] = {
		"call",   "callq",    "jmp",    "jmpq",  "bl",    "blx",    "b",
		"br",     "ba",       "bla",    "jal",   "jalr",  "j",      "jr",
		"jr.hb",  "bal",      "tail",   "la",    "lla",   "dla",    "brasl",
		"brcl",   "jg",       "jgl",    "larl",  "lgrl",  "bsr",    "jsr",
		"bsrf",   "braf",     "rcall",  "rjmp",  "adr",   "adrp",   "ldr",
		"lea",    "leaq",     "mov",    "movq",  "movl",  "lis",    "lui",
		"sethi",  "or",       "call0",  "call4", "call8", "callx0", "callr",
		"jump",   "brlid",    "bralid", "brid",  "braid", "l.jal",  "l.j",
		"pcaddi", "la.pcrel", "la.abs", "b,l",   "b,n",   "blr",    "ldil",
		"ldo",    "jump.s",   "bsr.l",  "jbsr",  "jra",   "movi"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == n && !memcmp(names[i], s, n))
			return true;
	return false;
}

/* A string that is assembly by itself: "call entry_untrain_ret", "1:\tbl do_it\n". */
static bool is_asm_text(const struct token *t)
{
	const char *p = t->s + 1, *end = t->s + t->len, *word;

	while (p < end) {
		while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == ';' ||
				   (*p == '\\' && p + 1 < end)))
			p += *p == '\\' ? 2 : 1;
		for (word = p; p < end && (isalnum((u8)*p) || strchr("_.,$", *p)); p++)
			;
		if (p < end && *p == ':' && p > word) {
			p++; /* a label */
			continue;
		}
		if (p > word && p + 1 < end &&
		    (*p == ' ' || *p == '\t' || (*p == '\\' && p[1] == 't')) &&
		    takes_symbol(word, p - word))
			return true;
		while (p < end && *p != ';' && *p != '\n' &&
		       !(*p == '\\' && p + 1 < end && p[1] == 'n'))
			p++;
		if (p == word)
			p++;
	}
	return false;
}

static void note_path(struct extractor *x, const struct definition *d)
{
	struct include_path path = {.name = d->name.h, .text = x->lx.p};

	while (path.text < x->lx.end && (*path.text == ' ' || *path.text == '\t'))
		path.text++;
	if (path.text < x->lx.end && (*path.text == '"' || *path.text == '<'))
		vec_push(&x->paths, path);
}

void parse_define(struct extractor *x)
{
	struct definition d = {.def = NO_DEF, .first = x->local_calls.n};
	u32 saved = x->def, names = 0, tokens = 0;
	bool self = false;
	struct token t, only = {0};
	char prev = 0;

	lexer_next(&x->lx, &d.name);
	if (d.name.kind != TOK_ID || primitives_find(x->prims, d.name.h))
		return;
	d.header = x->kind == TEXT_HEADER && x->def == NO_DEF;
	if (x->lx.p < x->lx.end && *x->lx.p == '(')
		read_params(x, &d);
	else if (is_plain_number(&x->lx))
		return;
	else
		note_path(x, &d);
	for (lexer_next(&x->lx, &t); t.kind != TOK_EOL && t.kind != TOK_EOF;
	     lexer_next(&x->lx, &t)) {
		tokens++;
		if (t.kind == TOK_ID && prev != '.' && prev != '>') {
			self |= t.h == d.name.h;
			only = t;
			names++;
			read_body_name(x, &d, &t);
		} else if (t.kind == TOK_STR && (d.calls_asm || is_asm_text(&t))) {
			begin_def(x, &d);
			note_asm_words(x, t.s, t.len, t.line);
		}
		prev = t.kind == TOK_PUNCT && (t.punct != '>' || t.arrow) ? t.punct : 0;
	}
	end_definition(x, &d, self, tokens == 1 && names == 1 && only.h ? &only : NULL);
	x->def = saved;
}
