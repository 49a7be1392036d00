// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is the next token of this C (or assembly) text?
 *
 * The scanner runs over every byte of a kernel tree, so it does one thing a byte: a table
 * tells the class of a character, comments and strings are skipped with memchr, and the
 * hash of an identifier is made from eight bytes at a time. It knows no grammar, and it
 * takes any bytes: what is no C ends up as punctuation.
 */
#include <pthread.h>

#include "token.h"

enum {
	C_PUNCT,
	C_SPACE,
	C_NEWLINE,
	C_ID,
	C_DIGIT,
	C_QUOTE,
	C_APOS,
	C_SLASH,
	C_BACK,
	C_NUL
};

static u8 class_of[256];

static const struct {
	const char *word;
	enum keyword kw;
} words[] = {
	{"static", KW_STORAGE_STATIC},
	{"extern", KW_STORAGE_EXTERN},
	{"typedef", KW_TYPEDEF},
	{"const", KW_QUALIFIER},
	{"volatile", KW_QUALIFIER},
	{"inline", KW_QUALIFIER},
	{"__inline", KW_QUALIFIER},
	{"__inline__", KW_QUALIFIER},
	{"__always_inline", KW_QUALIFIER},
	{"register", KW_QUALIFIER},
	{"restrict", KW_QUALIFIER},
	{"__restrict", KW_QUALIFIER},
	{"_Noreturn", KW_QUALIFIER},
	{"__extension__", KW_QUALIFIER},
	{"int", KW_TYPE},
	{"void", KW_TYPE},
	{"char", KW_TYPE},
	{"short", KW_TYPE},
	{"long", KW_TYPE},
	{"unsigned", KW_TYPE},
	{"signed", KW_TYPE},
	{"float", KW_TYPE},
	{"double", KW_TYPE},
	{"bool", KW_TYPE},
	{"_Bool", KW_TYPE},
	{"struct", KW_TAG},
	{"union", KW_TAG},
	{"enum", KW_ENUM},
	{"goto", KW_GOTO},
	{"else", KW_CLAUSE},
	{"do", KW_CLAUSE},
	{"for", KW_FOR},
	{"return", KW_STATEMENT},
	{"if", KW_STATEMENT},
	{"while", KW_STATEMENT},
	{"switch", KW_STATEMENT},
	{"case", KW_STATEMENT},
	{"default", KW_STATEMENT},
	{"break", KW_STATEMENT},
	{"continue", KW_STATEMENT},
	{"sizeof", KW_STATEMENT},
	{"_Generic", KW_STATEMENT},
	{"asm", KW_ASM},
	{"__asm", KW_ASM},
	{"__asm__", KW_ASM},
	{"ALTERNATIVE", KW_ASM},
	{"ALTERNATIVE_2", KW_ASM},
	{"alternative_call", KW_ASM},
	{"asm_inline", KW_ASM},
	{"__attribute__", KW_ATTRIBUTE},
	{"__attribute", KW_ATTRIBUTE},
	{"__declspec", KW_ATTRIBUTE},
	{"_Alignas", KW_ATTRIBUTE},
	{"__printf", KW_ATTRIBUTE},
	{"__scanf", KW_ATTRIBUTE},
	{"__aligned", KW_ATTRIBUTE},
	{"__section", KW_ATTRIBUTE},
	{"__alloc_size", KW_ATTRIBUTE},
	{"__acquires", KW_ATTRIBUTE},
	{"__releases", KW_ATTRIBUTE},
	{"__must_hold", KW_ATTRIBUTE},
	{"__counted_by", KW_ATTRIBUTE},
	{"__realloc_size", KW_ATTRIBUTE},
	{"__cond_acquires", KW_ATTRIBUTE},
	{"__diagnose_as", KW_ATTRIBUTE},
	{"__assume_aligned", KW_ATTRIBUTE},
	{"__nonstring", KW_QUALIFIER},
	{"typeof", KW_TYPEOF},
	{"__typeof__", KW_TYPEOF},
	{"__typeof", KW_TYPEOF},
};

/* Open addressing over 512 places; at most one in eight is taken. */
static struct {
	u64 h;
	enum keyword kw;
} keywords[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_up(void)
{
	size_t i, at;
	int c;

	for (c = 'a'; c <= 'z'; c++)
		class_of[c] = class_of[c - 'a' + 'A'] = C_ID;
	for (c = '0'; c <= '9'; c++)
		class_of[c] = C_DIGIT;
	for (c = 0x80; c < 0x100; c++)
		class_of[c] = C_ID;
	class_of['_'] = C_ID;
	class_of[' '] = class_of['\t'] = class_of['\r'] = class_of['\f'] = class_of['\v'] =
		C_SPACE;
	class_of['\n'] = C_NEWLINE;
	class_of['"'] = C_QUOTE;
	class_of['\''] = C_APOS;
	class_of['/'] = C_SLASH;
	class_of['\\'] = C_BACK;
	class_of[0] = C_NUL;
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		u64 h = hash_str(words[i].word);

		for (at = h & 511; keywords[at].h; at = (at + 1) & 511)
			;
		keywords[at].h = h;
		keywords[at].kw = words[i].kw;
	}
}

void token_setup(void)
{
	pthread_once(&once, set_up);
}

static inline enum keyword keyword_of(u64 h)
{
	size_t at;

	for (at = h & 511; keywords[at].h; at = (at + 1) & 511)
		if (keywords[at].h == h)
			return keywords[at].kw;
	return KW_NONE;
}

/* hash_bytes() for text that may be read past its end. */
static inline u64 hash_padded(const char *s, u32 n)
{
	u64 h = 0x9e3779b97f4a7c15ull ^ ((u64)n * 0xff51afd7ed558ccdull), w;

	for (; n >= 8; s += 8, n -= 8) {
		memcpy(&w, s, 8);
		h = (h ^ w) * 0x9fb21c651e98df25ull;
		h ^= h >> 32;
	}
	if (n) {
		memcpy(&w, s, 8);
		w &= ~0ull >> (64 - 8 * n);
		h = (h ^ w) * 0x9fb21c651e98df25ull;
		h ^= h >> 32;
	}
	h *= 0xd6e8feb86659fd93ull;
	h ^= h >> 29;
	return h ? h : 1;
}

void lexer_init(struct lexer *lx, const char *text, size_t size)
{
	token_setup();
	*lx = (struct lexer){
		.p = text, .end = text + size, .line_start = text, .line = 1, .bol = true};
}

static void count_lines(struct lexer *lx, const char *from, const char *to)
{
	while (from < to && (from = memchr(from, '\n', to - from))) {
		lx->line++;
		lx->line_start = ++from;
	}
}

static const char *skip_block_comment(struct lexer *lx, const char *p)
{
	const char *from = p;

	for (p += 2; p < lx->end; p++) {
		p = memchr(p, '*', lx->end - p);
		if (!p || p + 1 >= lx->end) {
			p = lx->end;
			break;
		}
		if (p[1] == '/') {
			p += 2;
			break;
		}
	}
	if (p > lx->end)
		p = lx->end;
	count_lines(lx, from, p);
	return p;
}

/* To the newline that ends the line, past those that a backslash continues. */
static const char *skip_line(struct lexer *lx, const char *p)
{
	for (;;) {
		const char *nl = memchr(p, '\n', lx->end - p);

		if (!nl)
			return lx->end;
		if (nl == p ||
		    (nl[-1] != '\\' && !(nl[-1] == '\r' && nl - p >= 2 && nl[-2] == '\\')))
			return nl;
		lx->line++;
		p = lx->line_start = nl + 1;
		if (p >= lx->end)
			return lx->end;
	}
}

/* A string ends at its quote, or where the line ends if it has none. */
static const char *skip_string(struct lexer *lx, const char *p, char quote)
{
	for (p++; p < lx->end && *p != quote; p++) {
		if (*p == '\\' && p + 1 < lx->end) {
			p++;
			if (*p == '\n') {
				lx->line++;
				lx->line_start = p + 1;
			}
		} else if (*p == '\n') {
			return p;
		}
	}
	return p < lx->end ? p + 1 : lx->end;
}

/* A backslash before a newline joins two lines; any other is punctuation. */
static const char *joined_line(struct lexer *lx, const char *p)
{
	const char *q = p + 1;

	if (q < lx->end && *q == '\r')
		q++;
	if (q >= lx->end || *q != '\n')
		return NULL;
	lx->line++;
	lx->line_start = q + 1;
	return q + 1;
}

/*
 * Spaces, newlines and comments before the next token. Returns false where a directive
 * ends.
 */
static bool skip_blank(struct lexer *lx)
{
	const char *p = lx->p, *q;

	while (p < lx->end) {
		switch (class_of[(u8)*p]) {
		case C_SPACE:
			p++;
			continue;
		case C_NEWLINE:
			if (lx->in_directive) {
				lx->p = p;
				return false;
			}
			lx->line++;
			lx->line_start = ++p;
			lx->bol = true;
			continue;
		case C_SLASH:
			if (p + 1 < lx->end && p[1] == '*') {
				p = skip_block_comment(lx, p);
				continue;
			}
			if (p + 1 < lx->end && p[1] == '/') {
				p = skip_line(lx, p);
				continue;
			}
			break;
		case C_BACK:
			q = joined_line(lx, p);
			if (q) {
				p = q;
				continue;
			}
			break;
		}
		break;
	}
	lx->p = p;
	return true;
}

static inline const char *word_end(const struct lexer *lx, const char *p)
{
	while (class_of[(u8)*p] == C_ID || class_of[(u8)*p] == C_DIGIT)
		p++;
	return p < lx->end ? p : lx->end;
}

/* "<%" is '{' and so on; returns 0 if it is none of these. */
static char digraph(const struct lexer *lx, const char *p)
{
	char next = p + 1 < lx->end ? p[1] : 0;

	if (*p == '<')
		return next == '%' ? '{' : next == ':' ? '[' : 0;
	if (*p == '%')
		return next == '>' ? '}' : next == ':' ? '#' : 0;
	return *p == ':' && next == '>' ? ']' : 0;
}

static void take_punct(struct lexer *lx, struct token *t, const char *p)
{
	char other = lx->assembly ? 0 : digraph(lx, p);

	t->punct = *p++;
	if (other) {
		t->punct = other;
		p++;
	}
	if (t->punct == '#' && lx->bol && !lx->in_directive) {
		t->kind = TOK_HASH;
	} else if (t->punct == '-' && p < lx->end && *p == '>') {
		t->punct = '>';
		t->arrow = true;
		p++;
	}
	lx->p = p;
}

void lexer_next(struct lexer *lx, struct token *t)
{
	const char *p;

	t->arrow = false;
	t->kw = KW_NONE;
	if (!skip_blank(lx) || lx->p >= lx->end) {
		t->kind = lx->p >= lx->end && !lx->in_directive ? TOK_EOF : TOK_EOL;
		t->line = lx->line;
		t->len = 0;
		return;
	}
	p = lx->p;
	t->s = p;
	t->line = lx->line;
	t->col0 = p == lx->line_start;
	switch (class_of[(u8)*p]) {
	case C_ID:
		t->kind = TOK_ID;
		lx->p = word_end(lx, p + 1);
		t->len = lx->p - p;
		lx->split |= *lx->p == '\\' && lx->p[1 + (lx->p[1] == '\r')] == '\n' &&
			     class_of[(u8)lx->p[2 + (lx->p[1] == '\r')]] >= C_ID &&
			     class_of[(u8)lx->p[2 + (lx->p[1] == '\r')]] <= C_DIGIT;
		t->h = hash_padded(p, t->len);
		t->kw = keyword_of(t->h);
		break;
	case C_DIGIT:
		t->kind = TOK_NUM;
		lx->p = word_end(lx, p + 1);
		break;
	case C_QUOTE:
		t->kind = TOK_STR;
		lx->p = skip_string(lx, p, '"');
		break;
	case C_APOS:
		t->kind = TOK_CHAR;
		lx->p = lx->assembly ? p + 1 : skip_string(lx, p, '\'');
		break;
	default:
		t->kind = TOK_PUNCT;
		take_punct(lx, t, p);
		break;
	}
	lx->bol = false;
	t->len = lx->p - p;
}

static char first_char(const struct lexer *lx, const char *p)
{
	char other;

	if (p >= lx->end)
		return '\0';
	other = class_of[(u8)*p] == C_PUNCT && !lx->assembly ? digraph(lx, p) : 0;
	return other ? other : *p;
}

char lexer_peek(const struct lexer *lx)
{
	struct lexer copy;

	if (class_of[(u8)*lx->p] == C_PUNCT || class_of[(u8)*lx->p] == C_ID)
		return first_char(lx, lx->p);
	copy = *lx;
	if (!skip_blank(&copy))
		return '\0';
	return first_char(&copy, copy.p);
}

void lexer_skip_directive(struct lexer *lx)
{
	const char *p = lx->p, *stop, *c;

	/* A comment that begins in the directive may end lines below it. */
	for (;;) {
		stop = memchr(p, '\n', lx->end - p);
		if (!stop)
			stop = lx->end;
		c = memchr(p, '/', stop - p);
		if (c && c + 1 < lx->end && c[1] == '*') {
			p = skip_block_comment(lx, c);
			continue;
		}
		if (c && !(c + 1 < lx->end && c[1] == '/')) {
			p = c + 1;
			continue;
		}
		break;
	}
	lx->p = skip_line(lx, p);
	lx->in_directive = false;
}

bool token_is(const struct token *t, const char *word)
{
	return t->kind == TOK_ID && t->len == strlen(word) && !memcmp(t->s, word, t->len);
}
