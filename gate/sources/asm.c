// SPDX-License-Identifier: GPL-2.0-or-later
/* Which symbols do assembly texts use? */
#include "extract.h"

/* Directives and macros whose operands declare a symbol rather than use it. */
static bool declares(const struct token *t)
{
	static const char *const names[] = {"globl",    "global",       "type",  "size",
					    "weak",     "hidden",       "local", "set_pc",
					    "NOKPROBE", "_ASM_NOKPROBE"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (token_is(t, names[i]))
			return true;
	return false;
}

static bool defines(const struct token *t)
{
	return (t->len > 4 && !memcmp(t->s, "SYM_", 4)) || token_is(t, "ENTRY") ||
	       token_is(t, "GLOBAL") || token_is(t, "WEAK") || token_is(t, "END") ||
	       token_is(t, "ENDPROC") || token_is(t, "_GLOBAL") || token_is(t, "LEAF");
}

static void skip_line(struct extractor *x)
{
	const char *p = memchr(x->lx.p, '\n', x->lx.end - x->lx.p);

	x->lx.p = p ? p : x->lx.end;
}

static void define_in_parens(struct extractor *x, bool start)
{
	struct token t;

	lexer_next(&x->lx, &t); /* ( */
	lexer_next(&x->lx, &t);
	if (t.kind == TOK_ID && start)
		note_global(x, t.h, t.s, t.len, t.line);
}

/*
 * ".macro NAME" up to ".endm", in a header: assembly sources that name the macro use what
 * its body names.
 */
void parse_asm_macro(struct extractor *x)
{
	u32 saved = x->def;
	struct token t;

	lexer_next(&x->lx, &t);
	if (!token_is(&t, "macro"))
		return;
	lexer_next(&x->lx, &t);
	if (t.kind != TOK_ID)
		return;
	x->def = note_def(x, t.h, t.s, t.len, DEF_MACRO, t.line);
	skip_line(x); /* its parameters */
	x->lx.assembly = true;
	for (lexer_next(&x->lx, &t); t.kind != TOK_EOF && !token_is(&t, "endm");
	     lexer_next(&x->lx, &t)) {
		if (t.kind == TOK_HASH)
			parse_directive(x);
		else if (t.kind == TOK_ID)
			note_use(x, t.h, t.line);
	}
	x->lx.assembly = false;
	x->def = saved;
}

void parse_asm(struct extractor *x)
{
	struct token *t = &x->t;
	bool start = true;

	x->lx.assembly = true;
	for (;;) {
		start = x->lx.bol;
		lexer_next(&x->lx, t);
		start |= t->col0;
		if (t->kind == TOK_EOF)
			return;
		if (t->kind == TOK_HASH) {
			parse_directive(x);
			continue;
		}
		if (t->kind != TOK_ID)
			continue;
		if (declares(t)) {
			skip_line(x);
		} else if (defines(t) && lexer_peek(&x->lx) == '(') {
			define_in_parens(x, !token_is(t, "END") && !token_is(t, "ENDPROC"));
		} else if (start && lexer_peek(&x->lx) == ':') {
			note_global(x, t->h, t->s, t->len, t->line);
		} else if (lexer_peek(&x->lx) == '(' &&
			   apply_templates(x, t->h, t->s, t->len, t->line)) {
			skip_parens(x, false);
		} else {
			note_use(x, t->h, t->line);
		}
	}
}
