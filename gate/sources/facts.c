// SPDX-License-Identifier: GPL-2.0-or-later
/* How are the facts of one file collected? (facts.h says what they are.) */
#include <stdlib.h>

#include "extract.h"

const u32 facts_size[FA_COUNT] = {
	[FA_USE] = sizeof(struct fact_use),
	[FA_DEF] = sizeof(struct fact_def),
	[FA_BODY] = sizeof(u64),
	[FA_CALL] = sizeof(struct fact_call),
	[FA_EXPORT] = sizeof(struct fact_export),
	[FA_INCLUDE] = sizeof(struct fact_include),
	[FA_DECL] = sizeof(u64),
	[FA_GLOBAL] = sizeof(struct fact_global),
	[FA_ALIAS] = sizeof(struct fact_alias),
	[FA_STR] = 1,
};

struct extractor *extractor_create(const struct primitives *prims)
{
	struct extractor *x = xcalloc(1, sizeof(*x));

	x->prims = prims;
	x->seen_mask = (1u << 13) - 1;
	x->seen = xcalloc(x->seen_mask + 1, sizeof(*x->seen));
	x->conds = xcalloc(MAX_CONDS, sizeof(*x->conds));
	return x;
}

void extractor_destroy(struct extractor *x)
{
	vec_free(&x->locals);
	vec_free(&x->own);
	vec_free(&x->paths);
	vec_free(&x->uses);
	vec_free(&x->defs);
	vec_free(&x->body);
	vec_free(&x->calls);
	vec_free(&x->exports);
	vec_free(&x->includes);
	vec_free(&x->decls);
	vec_free(&x->globals);
	vec_free(&x->aliases);
	vec_free(&x->macros);
	vec_free(&x->local_calls);
	vec_free(&x->noted_aliases);
	buf_free(&x->str);
	map_free(&x->own_index);
	arena_free(&x->scratch);
	free(x->seen);
	free(x->conds);
	free(x);
}

void extractor_use_templates(struct extractor *x, const struct templates *ts)
{
	x->ts = ts;
}

static void grow_seen(struct extractor *x)
{
	u32 size = (x->seen_mask + 1) * 2, i, j;
	struct seen *fresh = xcalloc(size, sizeof(*fresh));

	for (i = 0; i <= x->seen_mask; i++) {
		if (x->seen[i].gen != x->gen)
			continue;
		for (j = x->seen[i].key & (size - 1); fresh[j].gen;
		     j = (j + 1) & (size - 1))
			;
		fresh[j] = x->seen[i];
	}
	free(x->seen);
	x->seen = fresh;
	x->seen_mask = size - 1;
}

/* True the first time that this generation sees the name as one of another's. */
static bool first_seen(struct extractor *x, u64 name)
{
	u32 i = name & x->seen_mask;

	for (; x->seen[i].gen == x->gen; i = (i + 1) & x->seen_mask)
		if (x->seen[i].key == name)
			return false;
	if (x->own.n && x->kind == TEXT_SOURCE && own_here(x, name))
		return false;
	x->seen[i] = (struct seen){.key = name, .gen = x->gen};
	if (++x->nseen * 2 > x->seen_mask)
		grow_seen(x);
	return true;
}

static void new_generation(struct extractor *x)
{
	x->gen++;
	x->nseen = 0;
	if (!x->gen) {
		memset(x->seen, 0, (x->seen_mask + 1) * sizeof(*x->seen));
		x->gen = 1;
	}
}

void note_use(struct extractor *x, u64 name, u32 line)
{
	struct fact_use use = {.name = name, .line = line};

	if (x->kind == TEXT_HEADER && x->def == NO_DEF)
		return;
	if (!first_seen(x, name))
		return;
	if (x->def == NO_DEF) {
		vec_push(&x->uses, use);
		return;
	}
	vec_push(&x->body, name);
	x->defs.v[x->def].nbody++;
}

void note_decl(struct extractor *x, u64 name)
{
	vec_push(&x->decls, name);
}

u32 note_str(struct extractor *x, const char *s, u32 len)
{
	u32 at = x->str.n;

	buf_add(&x->str, s, len);
	buf_putc(&x->str, '\0');
	return at;
}

void note_global(struct extractor *x, u64 name, const char *s, u32 len, u32 line)
{
	struct fact_global g = {.name = name, .line = line, .str = note_str(x, s, len)};

	vec_push(&x->globals, g);
	if (!own_ever_macro(x, name))
		own_add(x, &x->own, name, OWN_GLOBAL);
}

#define MAX_RENAMED 4

/*
 * The preprocessor sees an exported name too: where a macro of the file makes another name
 * of it, that is what is exported. True if no configuration exports the name itself.
 */
static bool export_renamed(struct extractor *x, const char *name,
			   const struct fact_export *as, int depth)
{
	u64 hash = hash_str(name);
	size_t i;

	for (i = 0; i < x->aliases.n && depth < MAX_RENAMED; i++) {
		struct fact_export e = *as;

		if (x->aliases.v[i].name != hash || x->aliases.v[i].ended)
			continue;
		if (export_renamed(x, x->aliases.v[i].other, as, depth + 1))
			continue;
		e.name = note_str(x, x->aliases.v[i].other, strlen(x->aliases.v[i].other));
		vec_push(&x->exports, e);
	}
	return own_macro_here(x, hash);
}

void note_export(struct extractor *x, const char *name, const char *ns, const char *via,
		 u32 via_len, int kind, u32 line)
{
	struct fact_export e = {.kind = kind, .line = line};

	e.ns = note_str(x, ns ? ns : "", ns ? strlen(ns) : 0);
	e.via = note_str(x, via, via_len);
	if (x->aliases.n && !(kind & (EXP_LIBRARY | EXP_UNNAMED)) &&
	    export_renamed(x, name, &e, 0))
		return;
	e.name = note_str(x, name, strlen(name));
	vec_push(&x->exports, e);
}

u32 note_def(struct extractor *x, u64 name, const char *s, u32 len, enum def_kind kind,
	     u32 line)
{
	struct fact_def d = {.name = name, .kind = kind, .line = line};

	d.str = note_str(x, s, len);
	d.body = x->body.n;
	vec_push(&x->defs, d);
	new_generation(x);
	return x->defs.n - 1;
}

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* The words of an assembler string are symbols that it names. */
void note_asm_words(struct extractor *x, const char *s, u32 len, u32 line)
{
	u32 i = 0, from;

	while (i < len) {
		if (s[i] == '\\') {
			i += 2;
			continue;
		}
		if (!word_char(s[i]) || (i && s[i - 1] == '%')) {
			i++;
			continue;
		}
		for (from = i; i < len && word_char(s[i]); i++)
			;
		if (i - from > 2 && !(s[from] >= '0' && s[from] <= '9'))
			note_use(x, hash_bytes(s + from, i - from), line);
	}
}

/* The balanced parentheses that come next; `note`: names in them are used. */
void skip_parens(struct extractor *x, bool note)
{
	u32 depth = 0;
	struct token t;

	if (lexer_peek(&x->lx) != '(')
		return;
	do {
		lexer_next(&x->lx, &t);
		if (t.kind == TOK_EOF || t.kind == TOK_HASH)
			return;
		if (token_punct(&t, '('))
			depth++;
		else if (token_punct(&t, ')'))
			depth--;
		else if (t.kind == TOK_ID && note)
			note_use(x, t.h, t.line);
		else if (t.kind == TOK_STR && note && x->prims->visibility && t.len == 9 &&
			 !memcmp(t.s, "\"default\"", 9))
			x->st.exported = true;
	} while (depth);
	x->prev = ')';
}

bool is_export_attribute(const struct primitives *p, u64 name)
{
	u32 i;

	for (i = 0; i < p->nattributes; i++)
		if (p->attribute[i] == name)
			return true;
	return false;
}

static void reset(struct extractor *x, enum text_kind kind)
{
	x->kind = kind;
	x->uses.n = x->defs.n = x->body.n = x->calls.n = x->exports.n = 0;
	x->includes.n = x->decls.n = x->globals.n = x->aliases.n = x->paths.n = 0;
	x->macros.n = x->local_calls.n = x->noted_aliases.n = 0;
	x->str.n = 0;
	x->macros_filter = 0;
	own_reset(x);
	arena_free(&x->scratch);
	new_generation(x);
	x->def = NO_DEF;
}

/* A name that the file keeps to itself wherever it is compiled is not used from elsewhere.
 */
static void drop_statics(struct extractor *x)
{
	size_t i, kept = 0;

	if (!x->own.n || x->kind == TEXT_HEADER)
		return;
	for (i = 0; i < x->uses.n; i++)
		if (!own_always(x, x->uses.v[i].name, OWN_STATIC))
			x->uses.v[kept++] = x->uses.v[i];
	x->uses.n = kept;
}

/* A macro that is set after an export, or taken back before, may rename it all the same. */
static void note_later_renames(struct extractor *x)
{
	size_t i, k, n = x->exports.n;

	for (k = 0; k < x->aliases.n; k++)
		for (i = 0; i < n; i++) {
			struct fact_export e = x->exports.v[i];

			if (hash_str(x->str.s + e.name) != x->aliases.v[k].name ||
			    e.kind & (EXP_LIBRARY | EXP_UNNAMED))
				continue;
			e.name = note_str(x, x->aliases.v[k].other,
					  strlen(x->aliases.v[k].other));
			e.kind |= EXP_UNNAMED;
			vec_push(&x->exports, e);
		}
}

static void find_sure_globals(struct extractor *x)
{
	size_t i;

	for (i = 0; i < x->globals.n; i++)
		x->globals.v[i].sure = own_always(x, x->globals.v[i].name, OWN_GLOBAL);
}

static void take(struct facts *out, enum facts_array which, struct arena *a, const void *v,
		 size_t n)
{
	void *p;

	out->n[which] = n;
	out->a[which] = NULL;
	if (!n)
		return;
	p = arena_alloc(a, n * facts_size[which]);
	memcpy(p, v, n * facts_size[which]);
	out->a[which] = p;
}

static void parse_text(struct extractor *x, enum text_kind kind, const char *text,
		       size_t size)
{
	reset(x, kind);
	lexer_init(&x->lx, text, size);
	switch (kind) {
	case TEXT_ASM:
		parse_asm(x);
		break;
	case TEXT_RUST:
		parse_rust(x);
		break;
	default:
		parse_c(x);
	}
}

static bool is_word(char c)
{
	return word_char(c) || (u8)c >= 0x80;
}

/*
 * A copy in which no backslash at a line's end is inside of a word: the word's parts are
 * put together, and the end of the line after them, so that lines keep their numbers.
 */
static char *join_words(const char *text, size_t size, struct arena *a)
{
	char *copy = arena_alloc(a, size + 64), *p = copy, *end = copy + size;

	memcpy(copy, text, size);
	memset(copy + size, 0, 64);
	while (p < end && (p = memchr(p, '\\', end - p))) {
		size_t gap = p + 1 < end && p[1] == '\r' ? 3 : 2, n = 0;
		char mark[3];

		if (p == copy || !is_word(p[-1]) || p + gap >= end || p[gap - 1] != '\n') {
			p++;
			continue;
		}
		while (p + gap + n < end && is_word(p[gap + n]))
			n++;
		memcpy(mark, p, gap);
		memmove(p, p + gap, n);
		memcpy(p + n, mark, gap);
		p += n + (n ? 0 : 1);
	}
	return copy;
}

void facts_extract(struct extractor *x, enum text_kind kind, const char *text, size_t size,
		   struct arena *a, struct facts *out)
{
	struct arena joined = {0};

	x->recover = false;
	parse_text(x, kind, text, size);
	if (x->lx.split) {
		text = join_words(text, size, &joined);
		parse_text(x, kind, text, size);
	}
	if (x->unbalanced && kind != TEXT_ASM && kind != TEXT_RUST) {
		x->recover = true;
		parse_text(x, kind, text, size);
	}
	drop_statics(x);
	find_sure_globals(x);
	note_later_renames(x);
	take(out, FA_USE, a, x->uses.v, x->uses.n);
	take(out, FA_DEF, a, x->defs.v, x->defs.n);
	take(out, FA_BODY, a, x->body.v, x->body.n);
	take(out, FA_CALL, a, x->calls.v, x->calls.n);
	take(out, FA_EXPORT, a, x->exports.v, x->exports.n);
	take(out, FA_INCLUDE, a, x->includes.v, x->includes.n);
	take(out, FA_DECL, a, x->decls.v, x->decls.n);
	take(out, FA_GLOBAL, a, x->globals.v, x->globals.n);
	take(out, FA_ALIAS, a, x->noted_aliases.v, x->noted_aliases.n);
	take(out, FA_STR, a, x->str.s, x->str.n);
	arena_free(&joined);
}
