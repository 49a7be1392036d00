// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which identifiers of a C text are uses of a name, and which are something else?
 *
 * This is no C parser: it follows braces, parentheses and statements just closely enough
 * to tell a use from a declaration, a parameter, a local variable, a member, a label and a
 * tag, without types and without preprocessing. Where it cannot tell, it says "a use": a
 * consumer too many costs a missed report, one too few would be a false one.
 */
#include <stdlib.h>

#include "extract.h"

static struct scope *scope(struct extractor *x)
{
	return &x->stack[x->depth < MAX_SCOPES ? x->depth : MAX_SCOPES - 1];
}

static enum scope_kind scope_kind(struct extractor *x)
{
	return scope(x)->kind;
}

static void begin_statement(struct extractor *x)
{
	x->st = (struct statement){.prefix = true, .paren = x->paren};
	x->in_params = x->in_args = x->skip_id = x->for_next = false;
}

static void push_scope(struct extractor *x, enum scope_kind kind)
{
	struct scope *s;

	x->depth++;
	s = scope(x);
	s->kind = kind;
	s->paren = x->paren;
	s->for_loop = 0;
	s->is_enum = 0;
	s->in_args = x->depth == 1 && x->in_args;
}

static void add_local(struct extractor *x)
{
	own_add(x, &x->locals, x->t.h, OWN_LOCAL);
	/* for (int i; ...): until its statement ends */
	if (x->depth && scope(x)->for_loop && x->paren > scope(x)->paren)
		x->locals.v[x->locals.n - 1].depth = x->depth + 1;
}

/* ------------------------------------------------------------ uses ------------------ */

/* A header's call is kept: what it makes is known only when all headers are. */
static void record_header_call(struct extractor *x)
{
	struct fact_call call = {.callee = x->t.h, .owner = x->def, .line = x->t.line};
	const char *args;

	if (x->def == NO_DEF)
		return;
	args = encode_args(x, &x->lx, NULL);
	if ((!args || *args == '*') && primitives_find(x->prims, x->t.h))
		args = raw_args(x);
	if (!args)
		return;
	call.args = note_str(x, args, strlen(args));
	vec_push(&x->calls, call);
}

/* __symbol_get("name") */
static void note_symbol_string(struct extractor *x)
{
	struct lexer lx = x->lx;
	struct token t;

	lexer_next(&lx, &t);
	if (!token_punct(&t, '('))
		return;
	lexer_next(&lx, &t);
	if (t.kind == TOK_STR && t.len > 2)
		note_use(x, hash_bytes(t.s + 1, t.len - 2), t.line);
}

/* Returns true if the call was an export: its arguments are no uses. */
static bool note_call(struct extractor *x)
{
	if (x->kind == TEXT_HEADER) {
		record_header_call(x);
		return primitives_find(x->prims, x->t.h);
	}
	return apply_templates(x, x->t.h, x->t.s, x->t.len, x->t.line);
}

static void use_here(struct extractor *x)
{
	u64 name = x->t.h;
	u32 line = x->t.line;

	if (own_is_local(x, name))
		return;
	if (lexer_peek(&x->lx) == '(' && note_call(x)) {
		skip_parens(x, false);
		return;
	}
	if (token_is(&x->t, "__symbol_get"))
		note_symbol_string(x);
	note_use(x, name, line);
}

static void note_static(struct extractor *x, u64 name)
{
	own_add(x, &x->own, name, OWN_STATIC);
}

/* Does a word such as __read_mostly or __free() come next, as behind a declarator? */
static bool attribute_follows(const struct extractor *x)
{
	struct lexer lx = x->lx;
	struct token t;

	if (lexer_peek(&lx) != '_')
		return false;
	lexer_next(&lx, &t);
	return t.kind == TOK_ID && t.len > 2 && t.s[1] == '_' &&
	       (t.kw == KW_NONE || t.kw == KW_ATTRIBUTE);
}

/* A word of the language's own stands between a type and what it declares. */
static void note_word(struct statement *st, const struct token *t)
{
	st->last = t->h;
	st->last_s = t->s;
	st->last_len = t->len;
	st->last_line = t->line;
}

/* ------------------------------------------------------------ file scope ------------ */

static void declare_object(struct extractor *x, char next)
{
	struct token here = x->t, *t = &here;

	if (x->st.is_typedef)
		return;
	/* int x __read_mostly; */
	if (x->st.last && x->st.ids > 1 && t->len > 2 && t->s[0] == '_' && t->s[1] == '_') {
		t->h = x->st.last;
		t->s = x->st.last_s;
		t->len = x->st.last_len;
		t->line = x->st.last_line;
	}
	x->st.decl = true;
	if (x->st.is_static)
		note_static(x, t->h);
	else if (x->st.is_extern)
		note_decl(x, t->h);
	else
		note_global(x, t->h, t->s, t->len, t->line);
	if (x->kind == TEXT_HEADER && x->def == NO_DEF && next == '=' && !x->st.is_extern)
		x->def = note_def(x, t->h, t->s, t->len, DEF_OBJECT, t->line);
}

/* static DEFINE_MUTEX(name): what the macro makes is the file's own. */
static void note_made_static(struct extractor *x)
{
	static const char *const begin[] = {"DEFINE_",
					    "DECLARE_",
					    "LIST_HEAD",
					    "HLIST_HEAD",
					    "BLOCKING_NOTIFIER_HEAD",
					    "ATOMIC_NOTIFIER_HEAD",
					    "RAW_NOTIFIER_HEAD",
					    "SRCU_NOTIFIER_HEAD",
					    "RADIX_TREE",
					    "DEFINE",
					    "SIMPLE_DEV_PM_OPS",
					    "LLIST_HEAD",
					    "RATELIMIT_STATE",
					    "KLIST_"};
	struct lexer lx = x->lx;
	struct token t = x->t;
	bool fits = false;
	u32 name = 1;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(begin); i++)
		fits |= t.len >= strlen(begin[i]) &&
			!memcmp(t.s, begin[i], strlen(begin[i]));
	if (!fits)
		return;
	if (memmem(t.s, t.len, "PER_CPU", 7) || memmem(t.s, t.len, "KFIFO", 5))
		name = 2; /* after the type */
	lexer_next(&lx, &t);
	for (i = 0; i < 16; i++) {
		lexer_next(&lx, &t);
		if (name == 2 && token_punct(&t, ',')) {
			name = 1;
			continue;
		}
		if (t.kind != TOK_ID && name == 1)
			return;
		if (name == 1 && (lexer_peek(&lx) == ',' || lexer_peek(&lx) == ')'))
			note_static(x, t.h);
		if (name == 1)
			return;
	}
}

static void invoke_macro(struct extractor *x)
{
	struct token *t = &x->t;

	if (x->kind == TEXT_HEADER) {
		if (x->def == NO_DEF)
			x->def = note_def(x, t->h, t->s, t->len, DEF_MADE, t->line);
		record_header_call(x);
		x->st.invoke = x->in_args = true;
		x->st.ids++;
		return;
	}
	if (apply_templates(x, t->h, t->s, t->len, t->line)) {
		skip_parens(x, false);
		begin_statement(x);
		return;
	}
	if (x->st.is_static)
		note_made_static(x);
	note_use(x, t->h, t->line);
	x->st.invoke = x->in_args = true;
	x->st.ids++;
}

/* int NAME(init)(void): a macro makes the function's name. */
static bool name_is_made(const struct lexer *at)
{
	struct lexer lx = *at;
	struct token t;

	lexer_next(&lx, &t);
	lexer_next(&lx, &t);
	if (t.kind != TOK_ID)
		return false;
	lexer_next(&lx, &t);
	return token_punct(&t, ')') && lexer_peek(&lx) == '(';
}

static void name_at_file_scope(struct extractor *x)
{
	struct statement *st = &x->st;
	struct token *t = &x->t;
	char next = lexer_peek(&x->lx);

	if (is_export_attribute(x->prims, t->h)) {
		st->exported = true;
	} else if (st->init) {
		use_here(x);
	} else if (x->in_args) {
		note_use(x, t->h, t->line);
	} else if (x->paren && x->in_params) {
		if (x->param_ids && (next == ',' || next == ')' || next == '['))
			add_local(x);
		x->param_ids++;
	} else if (x->paren) {
		if (x->prev == '*' && !st->fn && st->ids)
			declare_object(x, next);
	} else if (next == '(' && !st->fn && !st->ids && !st->is_typedef) {
		invoke_macro(x);
	} else if (next == '(' && !st->fn && !st->invoke) {
		st->fn = t->h;
		st->fn_s = t->s;
		st->fn_len = t->len;
		st->fn_line = t->line;
		st->fn_made = name_is_made(&x->lx);
		x->in_params = true;
		x->param_ids = 0;
	} else {
		if (st->ids && !st->fn && strchr("=;,[", next) && next)
			declare_object(x, next);
		note_word(st, t);
		st->ids++;
	}
}

/* An attribute that exports was seen, and now the name that it is about is known. */
static void export_by_attribute(struct extractor *x)
{
	char *name;

	if (!x->st.exported || !x->st.fn || x->st.is_static || x->st.invoke)
		return;
	name = xstrndup(x->st.fn_s, x->st.fn_len);
	note_export(x, name, NULL, "attribute", 9, EXP_LIBRARY, x->st.fn_line);
	free(name);
}

static void end_declaration(struct extractor *x)
{
	export_by_attribute(x);
	if (x->st.fn && !x->st.invoke && !x->st.is_typedef) {
		if (x->st.is_static)
			note_static(x, x->st.fn);
		else
			note_decl(x, x->st.fn);
	}
	x->locals.n = 0;
	x->locals_filter = 0;
	x->def = NO_DEF;
	begin_statement(x);
}

static void begin_function(struct extractor *x)
{
	struct statement *st = &x->st;

	export_by_attribute(x);
	if (st->fn) {
		if (x->kind == TEXT_HEADER)
			x->def = note_def(x, st->fn_made ? ANONYMOUS : st->fn, st->fn_s,
					  st->fn_len, DEF_FUNCTION, st->fn_line);
		else if (st->is_static)
			note_static(x, st->fn);
		else
			note_global(x, st->fn, st->fn_s, st->fn_len, st->fn_line);
	}
	push_scope(x, SCOPE_BLOCK);
	begin_statement(x);
}

/* ------------------------------------------------------------ blocks ---------------- */

/*
 * "TRACE_ENTER", and on the next line "flag = 1": a macro that is a statement, and not a
 * type. It may be either, so the name counts as used.
 */
static bool may_be_statement(const struct extractor *x)
{
	const struct statement *st = &x->st;

	return st->ids == 1 && !st->typed && st->last && st->last_line != x->t.line &&
	       x->prev == 'i';
}

/* int (*name)(...) or (*name)[...], and not show(*name). */
static bool is_pointer_declarator(const struct extractor *x)
{
	struct lexer lx = x->lx;
	struct token t;

	lexer_next(&lx, &t);
	return token_punct(&t, ')') && (lexer_peek(&lx) == '(' || lexer_peek(&lx) == '[');
}

/* A name where a declaration may begin. True if it is done with. */
static bool name_in_prefix(struct extractor *x, char next)
{
	struct statement *st = &x->st;
	bool declares = next == '=' || next == ';' || next == ',' || next == '[' ||
			(next == '_' && attribute_follows(x));

	if (st->is_extern || st->is_typedef) {
		st->ids++;
		return true;
	}
	if (!st->ids && next == ':' &&
	    (x->prev == ';' || x->prev == '{' || x->prev == '}' || x->prev == ':'))
		return true; /* a label; its ':' begins a statement */
	if (st->ids && st->typed && next == '(' && !st->decl) {
		st->ids++;
		return true; /* a prototype */
	}
	if (st->ids && declares && !may_be_statement(x)) {
		if (!(st->decl && x->prev == 'i'))
			add_local(x);
		st->decl = true;
		return true;
	}
	note_word(st, &x->t);
	st->ids++;
	return false;
}

static void name_in_block(struct extractor *x)
{
	struct statement *st = &x->st;
	char next = lexer_peek(&x->lx);

	if (st->prefix && x->paren == st->paren) {
		if (name_in_prefix(x, next))
			return;
	} else if (st->prefix && x->paren == st->paren + 1u && x->prev == '*' && st->ids &&
		   next == ')' && is_pointer_declarator(x)) {
		add_local(x);
		st->decl = true;
		return;
	}
	use_here(x);
}

/* ------------------------------------------------------------ tokens ---------------- */

/* Returns true if the word is done with. */
static bool keyword(struct extractor *x)
{
	struct statement *st = &x->st;

	switch (x->t.kw) {
	case KW_NONE:
		return false;
	case KW_STORAGE_STATIC:
		st->is_static = true;
		return true;
	case KW_STORAGE_EXTERN:
		st->is_extern = true;
		return true;
	case KW_TYPEDEF:
		st->is_typedef = true;
		return true;
	case KW_TAG:
	case KW_ENUM:
		x->skip_id = true;
		st->tag |= x->paren == st->paren;
		st->is_enum = x->t.kw == KW_ENUM;
		/* fall through */
	case KW_TYPE:
		st->typed |= x->paren == st->paren;
		st->ids++;
		x->param_ids++;
		return true;
	case KW_TYPEOF:
		st->ids++;
		skip_parens(x, false);
		return true;
	case KW_ATTRIBUTE:
		skip_parens(x, true);
		return true;
	case KW_CLAUSE:
		begin_statement(x);
		return true;
	case KW_QUALIFIER:
		return true;
	case KW_GOTO:
		x->skip_id = true;
		break;
	case KW_FOR:
		x->for_next = true;
		break;
	case KW_ASM:
		x->asm_next = true;
		break;
	case KW_STATEMENT:
		break;
	}
	if (token_is(&x->t, "case") || token_is(&x->t, "default"))
		st->label = true;
	st->prefix = false;
	return true;
}

static void note_enumerator(struct extractor *x)
{
	if (x->kind == TEXT_HEADER)
		return;
	if (x->depth > 1)
		add_local(x);
	else
		note_static(x, x->t.h);
}

static void on_name(struct extractor *x)
{
	if (x->prev == '.')
		return;
	if (x->skip_id && x->t.kw != KW_ATTRIBUTE) {
		x->skip_id = false;
		return;
	}
	switch (scope_kind(x)) {
	case SCOPE_AGGREGATE:
		if (scope(x)->is_enum && (x->prev == '{' || x->prev == ','))
			note_enumerator(x);
		return;
	case SCOPE_INIT:
		if (x->t.kw == KW_NONE)
			use_here(x);
		else if (x->t.kw == KW_TAG || x->t.kw == KW_ENUM)
			x->skip_id = true;
		return;
	case SCOPE_FILE:
		if (!keyword(x))
			name_at_file_scope(x);
		return;
	case SCOPE_BLOCK:
		if (!keyword(x))
			name_in_block(x);
		return;
	}
}

static void on_open_brace(struct extractor *x)
{
	struct statement *st = &x->st;
	enum scope_kind here = scope_kind(x);

	x->skip_id = false;
	if (here == SCOPE_AGGREGATE) {
		push_scope(x, SCOPE_AGGREGATE);
	} else if (x->prev == '=' || (here == SCOPE_INIT && x->prev != '(') ||
		   (here == SCOPE_FILE && st->init && x->prev != '(')) {
		push_scope(x, SCOPE_INIT);
	} else if (st->tag && !st->fn && !st->invoke && x->paren == st->paren &&
		   !st->init && (here == SCOPE_FILE || (st->prefix && st->ids < 3))) {
		push_scope(x, SCOPE_AGGREGATE);
		scope(x)->is_enum = st->is_enum;
	} else if (here == SCOPE_FILE && !x->paren && (st->fn || st->invoke)) {
		begin_function(x);
	} else if (here == SCOPE_FILE && st->is_extern && x->prev == 's') {
		x->open_blocks++; /* extern "C" {: its '}' closes nothing */
		begin_statement(x);
	} else {
		push_scope(x, SCOPE_BLOCK);
		begin_statement(x);
	}
}

/*
 * In a file whose braces do not add up, what begins a line ends the outermost block,
 * however the braces in it were miscounted. Tables are laid out with "}, {" at the margin
 * too: only "};" ends those.
 */
static bool ends_outermost(const struct extractor *x)
{
	char next = lexer_peek(&x->lx);

	if (!x->recover || !x->t.col0 || x->depth < 2)
		return false;
	return x->stack[1].kind == SCOPE_BLOCK ? next != ',' : next == ';';
}

static void on_close_brace(struct extractor *x)
{
	enum scope_kind closed;
	bool in_args;

	if (ends_outermost(x))
		x->depth = 1;
	if (!x->depth) {
		if (x->open_blocks)
			x->open_blocks--;
		else
			x->unbalanced = true;
		x->paren = 0;
		begin_statement(x);
		return;
	}
	closed = scope_kind(x);
	x->paren = scope(x)->paren;
	in_args = scope(x)->in_args;
	x->depth--;
	x->skip_id = false;
	if (in_args && x->paren) {
		x->in_args = x->st.invoke = true;
		return;
	}
	if (closed == SCOPE_INIT)
		return;
	if (closed == SCOPE_AGGREGATE) {
		x->st.ids = 1;
		return;
	}
	own_drop_locals(x);
	if (!x->depth) {
		x->paren = 0;
		end_declaration(x);
		return;
	}
	begin_statement(x);
}

static void on_semicolon(struct extractor *x)
{
	enum scope_kind here = scope_kind(x);

	if (here == SCOPE_AGGREGATE || here == SCOPE_INIT)
		return;
	if (here == SCOPE_FILE && x->in_args && x->paren)
		return; /* TRACE_EVENT(..., a = b; c = d;) */
	if (here == SCOPE_BLOCK && x->paren > scope(x)->paren && scope(x)->for_loop) {
		x->st.prefix = false;
		return;
	}
	x->paren = here == SCOPE_FILE ? 0 : scope(x)->paren;
	if (here == SCOPE_FILE) {
		end_declaration(x);
		return;
	}
	/* what a for's parentheses declare ends with its statement */
	if (x->locals.n && x->locals.v[x->locals.n - 1].depth > x->depth)
		own_drop_locals(x);
	begin_statement(x);
}

static void on_close_paren(struct extractor *x)
{
	if (x->paren)
		x->paren--;
	if (x->asm_paren && x->paren < x->asm_paren)
		x->asm_paren = 0;
	if (scope_kind(x) == SCOPE_BLOCK && x->paren == scope(x)->paren)
		scope(x)->for_loop = 0;
	if (x->depth || x->paren)
		return;
	x->in_params = false;
	if (x->in_args) {
		char next = lexer_peek(&x->lx);

		x->in_args = false;
		/* an invocation needs no semicolon: does another declaration follow? */
		if (next != '{' && next != ';' && next != '=' && next != ',' && next != '[')
			end_declaration(x);
	}
}

static void on_open_paren(struct extractor *x)
{
	x->paren++;
	if (x->asm_next) {
		x->asm_paren = x->paren;
		x->asm_next = false;
	}
	if (x->for_next) {
		begin_statement(x);
		scope(x)->for_loop = 1;
	} else if (x->depth && x->paren == x->st.paren + 1u &&
		   !(x->st.ids && lexer_peek(&x->lx) == '*')) {
		x->st.prefix = false;
	}
}

static void on_punct(struct extractor *x)
{
	struct statement *st = &x->st;

	switch (x->t.punct) {
	case '{':
		on_open_brace(x);
		break;
	case '}':
		on_close_brace(x);
		break;
	case '(':
		on_open_paren(x);
		break;
	case ')':
		on_close_paren(x);
		break;
	case ';':
		on_semicolon(x);
		break;
	case ',':
		if (x->in_params && x->paren == 1)
			x->param_ids = 0;
		if (x->paren != st->paren || scope_kind(x) == SCOPE_INIT)
			break;
		st->prefix = st->decl;
		st->init = false;
		st->ids = 1;
		break;
	case ':':
		if (scope_kind(x) == SCOPE_BLOCK && x->paren == scope(x)->paren &&
		    (st->label || (st->prefix && !st->ids)))
			begin_statement(x);
		break;
	case '=':
		if (scope_kind(x) == SCOPE_FILE && !x->paren)
			st->init = true;
		st->prefix = false;
		break;
	case '*':
	case '[':
	case ']':
		break;
	default:
		st->prefix = false;
	}
}

static void begin_text(struct extractor *x)
{
	x->depth = x->paren = x->nconds = x->asm_paren = 0;
	x->open_blocks = x->asm_level = 0;
	x->unbalanced = false;
	x->stack[0] = (struct scope){.kind = SCOPE_FILE};
	x->asm_next = false;
	x->prev = 0;
	begin_statement(x);
}

void parse_c(struct extractor *x)
{
	begin_text(x);
	for (;;) {
		struct token *t = &x->t;

		lexer_next(&x->lx, t);
		if (t->kind == TOK_EOF)
			break;
		if (t->kind == TOK_HASH) {
			parse_directive(x);
			continue;
		}
		if (!x->depth && token_punct(t, '.') && lexer_peek(&x->lx) == 'm')
			parse_asm_macro(x);
		if (x->asm_level)
			continue;
		switch (t->kind) {
		case TOK_ID:
			on_name(x);
			x->prev = 'i';
			break;
		case TOK_STR:
			if (x->asm_paren)
				note_asm_words(x, t->s, t->len, t->line);
			x->prev = 's';
			break;
		case TOK_PUNCT: {
			char c = t->arrow ? '.' : t->punct;

			if (t->arrow)
				x->st.prefix = false;
			else
				on_punct(x);
			x->prev = c;
			break;
		}
		default:
			x->prev = '0';
		}
	}
	x->unbalanced |= x->depth > 0;
}
