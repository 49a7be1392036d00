// SPDX-License-Identifier: GPL-2.0-or-later
/* What do the preprocessor's lines mean for the facts of a file? */
#include "extract.h"

/* Scopes that are deeper than the stack share its last place. */
static size_t scopes_kept(u32 depth)
{
	return depth < MAX_SCOPES ? depth + 1 : MAX_SCOPES;
}

/* What an #if asks, as far as it matters here. */
struct condition {
	u64 key; /* equal conditions have equal keys, a negated one has ~key */
	bool never, always;
	bool assembly; /* true for assembly only */
	bool no_assembly;
};

/* What "#ifdef X", "#if defined(X)", "#if !defined X", "#if 0" and the like ask. */
static struct condition read_condition(const struct lexer *at, bool ifdef, bool negated)
{
	struct condition c = {.key = 0x9e3779b97f4a7c15ull};
	u32 words = 0, others = 0, zeros = 0, ones = 0;
	bool assembly = false, cplusplus = false;
	struct lexer lx = *at;
	struct token t;

	for (lexer_next(&lx, &t); t.kind != TOK_EOL && t.kind != TOK_EOF;
	     lexer_next(&lx, &t)) {
		if (token_punct(&t, '(') || token_punct(&t, ')') || token_is(&t, "defined"))
			continue;
		if (token_punct(&t, '!') && !words && !others) {
			negated = !negated;
			continue;
		}
		assembly |= token_is(&t, "__ASSEMBLY__") || token_is(&t, "__ASSEMBLER__");
		cplusplus |= token_is(&t, "__cplusplus");
		zeros += t.kind == TOK_NUM && t.len == 1 && *t.s == '0';
		ones += t.kind == TOK_NUM && t.len == 1 && *t.s == '1';
		words += t.kind == TOK_ID || t.kind == TOK_NUM;
		others += t.kind == TOK_PUNCT;
		c.key = (c.key ^ hash_bytes(t.s, t.len)) * 0xd6e8feb86659fd93ull;
		if (ifdef)
			break;
	}
	/* "!A && B" is no negation of "A && B" */
	if (negated)
		c.key = others ? c.key ^ 0xff51afd7ed558ccdull : ~c.key;
	if (words != 1 || others)
		return c;
	c.never = negated ? ones : zeros || cplusplus;
	c.always = negated ? zeros || cplusplus : ones;
	c.assembly = assembly && !negated;
	c.no_assembly = assembly && negated;
	return c;
}

static u64 outer_key(const struct extractor *x)
{
	return x->nconds > 1 && x->nconds <= MAX_CONDS ? x->conds[x->nconds - 2].now : 0;
}

static void save_cond(struct extractor *x, const struct condition *what)
{
	struct cond *c;

	if (x->nconds++ >= MAX_CONDS)
		return;
	c = &x->conds[x->nconds - 1];
	memcpy(c->stack, x->stack, sizeof(c->stack[0]) * scopes_kept(x->depth));
	c->depth = x->depth;
	c->paren = x->paren;
	c->st = x->st;
	c->in_params = x->in_params;
	c->in_args = x->in_args;
	c->branch = 0;
	c->dead = what->never || what->assembly;
	c->has_else = false;
	c->others = what->key;
	c->rest_never = what->always || (what->no_assembly && x->kind == TEXT_SOURCE);
	c->rest_assembly = what->no_assembly;
	c->rest_sure = what->never || what->assembly;
	c->now = what->always || what->no_assembly ? outer_key(x) : what->key;
	c->first_own = x->own.n;
	c->first_local = x->locals.n;
}

/* Each branch begins where the first one did, so that braces stay balanced. */
static void restore_cond(struct extractor *x, const struct condition *what)
{
	struct cond *c;

	if (!x->nconds || x->nconds > MAX_CONDS)
		return;
	c = &x->conds[x->nconds - 1];
	memcpy(x->stack, c->stack, sizeof(c->stack[0]) * scopes_kept(c->depth));
	x->depth = c->depth;
	x->paren = c->paren;
	x->st = c->st;
	x->in_params = c->in_params;
	x->in_args = c->in_args;
	c->branch++;
	if (c->branch < 64 && (c->rest_never || c->rest_assembly || (what && what->never)))
		c->dead |= 1ull << c->branch;
	if (!what) {
		c->has_else = true;
		c->now = c->rest_sure ? outer_key(x) : ~c->others;
	} else {
		c->now = c->rest_sure ? what->key
				      : (what->key ^ c->others) * 0x9fb21c651e98df25ull;
		c->others = (c->others ^ ~what->key) * 0xff51afd7ed558ccdull;
		c->rest_sure &= what->never;
	}
}

static void end_cond(struct extractor *x)
{
	if (!x->nconds)
		return;
	if (x->nconds <= MAX_CONDS)
		own_end_branch(x, &x->conds[x->nconds - 1]);
	x->nconds--;
}

static const char *next_line(const char *p, const char *end)
{
	p = memchr(p, '\n', end - p);
	return p ? p + 1 : end;
}

static const char *skip_spaces(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

/*
 * The text of a branch that is never compiled: stops at the directive that ends it, and
 * leaves that for the normal course.
 */
static void skip_dead_branch(struct extractor *x)
{
	struct lexer *lx = &x->lx;
	const char *p, *q;
	u32 nest = 0;

	lexer_skip_directive(lx);
	for (p = lx->p; p < lx->end;) {
		const char *line = p = next_line(p, lx->end);

		lx->line++;
		q = skip_spaces(p, lx->end);
		if (q >= lx->end || *q != '#')
			continue;
		q = skip_spaces(q + 1, lx->end);
		if (lx->end - q < 4)
			continue;
		if (!memcmp(q, "if", 2)) {
			nest++;
		} else if (!memcmp(q, "endif", 5)) {
			if (!nest--) {
				p = line;
				break;
			}
		} else if (!nest && (!memcmp(q, "else", 4) || !memcmp(q, "elif", 4))) {
			p = line;
			break;
		}
	}
	lx->p = lx->line_start = p;
	lx->bol = true;
	lx->in_directive = false;
}

static void note_include(struct extractor *x, const char *s, size_t n, char quote)
{
	struct fact_include inc = {.quoted = quote == '"'};

	if (!n || n > 256 || memchr(s, '\n', n))
		return;
	inc.path = note_str(x, s, n);
	vec_push(&x->includes, inc);
}

static void include_text(struct extractor *x, const char *p, const char *end)
{
	char close = *p == '<' ? '>' : '"';
	const char *q;

	if (p >= end || (*p != '"' && *p != '<'))
		return;
	q = memchr(p + 1, close, end - p - 1);
	if (q)
		note_include(x, p + 1, q - p - 1, *p);
}

/* #include MACRO: whatever the file's own macros of that name say. */
static void include_macro(struct extractor *x)
{
	struct token t;
	size_t i;

	lexer_next(&x->lx, &t);
	for (i = 0; t.kind == TOK_ID && i < x->paths.n; i++)
		if (x->paths.v[i].name == t.h)
			include_text(x, x->paths.v[i].text, x->lx.end);
}

static void parse_include(struct extractor *x)
{
	const char *p = skip_spaces(x->lx.p, x->lx.end);

	if (p < x->lx.end && (*p == '"' || *p == '<'))
		include_text(x, p, x->lx.end);
	else
		include_macro(x);
}

static void undefine(struct extractor *x)
{
	struct token t;
	size_t i;

	lexer_next(&x->lx, &t);
	if (t.kind != TOK_ID)
		return;
	own_end_macro(x, t.h);
	for (i = 0; i < x->aliases.n; i++)
		x->aliases.v[i].ended |= x->aliases.v[i].name == t.h;
	for (i = 0; i < x->macros.n; i++)
		x->macros.v[i].ended |= x->macros.v[i].name == t.h;
}

/* Is the branch that begins one that no C compiler reads? In headers, assembly is read. */
static bool begin_branch(struct extractor *x, bool never, bool assembly)
{
	if (assembly && x->kind == TEXT_HEADER && !x->asm_level) {
		x->asm_level = x->nconds;
		return false;
	}
	return never || (assembly && x->kind == TEXT_SOURCE);
}

static bool parse_if(struct extractor *x, const struct token *t)
{
	struct condition c = read_condition(&x->lx, t->len > 2, t->len == 6);

	save_cond(x, &c);
	return begin_branch(x, c.never, c.assembly);
}

static bool parse_else(struct extractor *x, bool elif)
{
	bool never = false, assembly = false;
	struct condition c = {0};

	if (x->nconds && x->nconds <= MAX_CONDS) {
		never = x->conds[x->nconds - 1].rest_never;
		assembly = x->conds[x->nconds - 1].rest_assembly;
	}
	if (elif)
		c = read_condition(&x->lx, false, false);
	if (x->asm_level == x->nconds)
		x->asm_level = 0;
	restore_cond(x, elif ? &c : NULL);
	return begin_branch(x, never || c.never, assembly || c.assembly);
}

/* Returns true if what follows, up to the #else or #endif, is never compiled. */
static bool parse_named(struct extractor *x, const struct token *t)
{
	if (token_is(t, "define")) {
		parse_define(x);
	} else if (token_is(t, "undef")) {
		undefine(x);
	} else if (token_is(t, "include")) {
		parse_include(x);
	} else if (token_is(t, "if") || token_is(t, "ifdef") || token_is(t, "ifndef")) {
		return parse_if(x, t);
	} else if (token_is(t, "else") || token_is(t, "elif")) {
		return parse_else(x, t->len == 4 && t->s[2] == 'i');
	} else if (token_is(t, "endif")) {
		if (x->asm_level == x->nconds)
			x->asm_level = 0;
		end_cond(x);
	}
	return false;
}

void parse_directive(struct extractor *x)
{
	struct token t;

	x->lx.in_directive = true;
	lexer_next(&x->lx, &t);
	if (t.kind == TOK_ID && parse_named(x, &t)) {
		skip_dead_branch(x);
		return;
	}
	lexer_skip_directive(&x->lx);
}
