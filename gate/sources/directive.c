// SPDX-License-Identifier: GPL-2.0-or-later
/* What do the preprocessor's lines mean for the facts of a file? */
#include "extract.h"

/* Scopes that are deeper than the stack share its last place. */
static size_t scopes_kept(u32 depth)
{
	return depth < MAX_SCOPES ? depth + 1 : MAX_SCOPES;
}

static void save_cond(struct extractor *x)
{
	struct cond *c;

	if (x->nconds++ >= MAX_CONDS)
		return;
	c = &x->conds[x->nconds - 1];
	memcpy(c->stack, x->stack, sizeof(c->stack[0]) * scopes_kept(x->depth));
	c->depth = x->depth;
	c->paren = x->paren;
}

/* Each branch begins where the first one did, so that braces stay balanced. */
static void restore_cond(struct extractor *x)
{
	struct cond *c;

	if (!x->nconds || x->nconds > MAX_CONDS)
		return;
	c = &x->conds[x->nconds - 1];
	memcpy(x->stack, c->stack, sizeof(c->stack[0]) * scopes_kept(c->depth));
	x->depth = c->depth;
	x->paren = c->paren;
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

static void parse_include(struct extractor *x)
{
	const char *p = skip_spaces(x->lx.p, x->lx.end), *q;
	struct fact_include inc;
	char close;

	if (p >= x->lx.end || (*p != '"' && *p != '<'))
		return;
	close = *p == '<' ? '>' : '"';
	q = memchr(p + 1, close, x->lx.end - p - 1);
	if (!q || q == p + 1 || q - p > 256 || memchr(p, '\n', q - p))
		return;
	inc = (struct fact_include){.quoted = close == '"'};
	inc.path = note_str(x, p + 1, q - p - 1);
	vec_push(&x->includes, inc);
}

static bool never_true(struct extractor *x, bool is_ifdef)
{
	struct token t;

	lexer_next(&x->lx, &t);
	if (is_ifdef)
		return token_is(&t, "__cplusplus") ||
		       (x->kind == TEXT_HEADER &&
			(token_is(&t, "__ASSEMBLY__") || token_is(&t, "__ASSEMBLER__")));
	if (t.kind != TOK_NUM || t.len != 1 || *t.s != '0')
		return false;
	lexer_next(&x->lx, &t);
	return t.kind == TOK_EOL;
}

static void end_alias(struct extractor *x)
{
	struct token t;
	size_t i;

	lexer_next(&x->lx, &t);
	for (i = 0; t.kind == TOK_ID && i < x->aliases.n; i++)
		if (x->aliases.v[i].name == t.h && x->aliases.v[i].end == UINT32_MAX)
			x->aliases.v[i].end = t.line;
}

void parse_directive(struct extractor *x)
{
	struct token t;

	x->lx.in_directive = true;
	lexer_next(&x->lx, &t);
	if (t.kind == TOK_ID) {
		if (token_is(&t, "define")) {
			parse_define(x);
		} else if (token_is(&t, "undef")) {
			end_alias(x);
		} else if (token_is(&t, "include")) {
			parse_include(x);
		} else if (token_is(&t, "if") || token_is(&t, "ifdef") ||
			   token_is(&t, "ifndef")) {
			save_cond(x);
			if (t.len != 6 && never_true(x, t.len == 5)) {
				skip_dead_branch(x);
				return;
			}
		} else if (token_is(&t, "else") || token_is(&t, "elif")) {
			restore_cond(x);
		} else if (token_is(&t, "endif") && x->nconds) {
			x->nconds--;
		}
	}
	lexer_skip_directive(&x->lx);
}
