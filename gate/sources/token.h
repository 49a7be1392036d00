/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is the next token of this C (or assembly) text? */
#ifndef GATE_TOKEN_H
#define GATE_TOKEN_H

#include "base/util.h"

enum tok_kind {
	TOK_EOF,
	TOK_ID,
	TOK_NUM,
	TOK_STR,
	TOK_CHAR,
	TOK_PUNCT,
	TOK_HASH, /* '#' as the first token of a line: a directive begins */
	TOK_EOL,  /* the end of a directive; only while in_directive is set */
};

/* Words that steer the parser; an identifier that is none of them has KW_NONE. */
enum keyword {
	KW_NONE,
	KW_STORAGE_STATIC,
	KW_STORAGE_EXTERN,
	KW_TYPEDEF,
	KW_QUALIFIER, /* const, volatile, inline, register, ...: no part of a declarator */
	KW_TYPE,      /* int, unsigned, ...: begins a declaration */
	KW_TAG,       /* struct, union */
	KW_ENUM,
	KW_GOTO,
	KW_CLAUSE, /* else, do: a statement begins after it */
	KW_FOR,
	KW_STATEMENT, /* return, if, sizeof, ...: no declaration can begin with it */
	KW_ASM,
	KW_ATTRIBUTE, /* its parenthesis is no parameter list */
	KW_TYPEOF,
};

struct token {
	enum tok_kind kind;
	enum keyword kw;
	char punct; /* TOK_PUNCT: the character; '>' stands for "->" when arrow is set */
	bool arrow;
	bool col0; /* first byte of its line */
	u32 len;
	u32 line;
	const char *s;
	u64 h; /* TOK_ID: hash_bytes() of the name */
};

struct lexer {
	const char *p, *end, *line_start;
	u32 line;
	bool in_directive;
	bool assembly; /* '#' inside a line is no directive; '@' and '$' may occur */
	bool bol;
	bool split; /* some word goes on after a backslash at its line's end */
};

/* `text` has 16 readable bytes after its end (read_file() gives 64). */
void lexer_init(struct lexer *lx, const char *text, size_t size);
void lexer_next(struct lexer *lx, struct token *t);
/* The first character of the token after the current one; '\0' at the end. */
char lexer_peek(const struct lexer *lx);
/* Moves to the end of the current directive's last line. */
void lexer_skip_directive(struct lexer *lx);

/* Call once before the first lexer_next(); safe to call again. */
void token_setup(void);
bool token_is(const struct token *t, const char *word);
static inline bool token_punct(const struct token *t, char c)
{
	return t->kind == TOK_PUNCT && t->punct == c;
}

#endif
