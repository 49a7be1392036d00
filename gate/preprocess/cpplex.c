// SPDX-License-Identifier: GPL-2.0-or-later
/* Which tokens is a file made of? Each file is cut once, whoever includes it. */
#include <ctype.h>
#include <stdlib.h>

#include "cpp.h"

u32 cpp_name(struct cpp *p, const char *s, size_t len)
{
	u32 *at = map_get(&p->name_index, hash_bytes(s, len), 0);
	struct cname fresh = {.len = len};

	if (!*at) {
		fresh.s = arena_strndup(&p->arena, s, len);
		*at = p->names.n;
		vec_push(&p->names, fresh);
	}
	return *at;
}

const char *cpp_text(const struct cpp *p, u32 id)
{
	return p->names.v[id].s;
}

struct lexing {
	struct cpp *p;
	const char *s, *end;
	u32 line, file;
	bool bol, space, directive;
	VEC(struct ctoken) out;
};

static bool is_splice(const struct lexing *x)
{
	return *x->s == '\\' && x->s + 1 < x->end &&
	       (x->s[1] == '\n' ||
		(x->s[1] == '\r' && x->s + 2 < x->end && x->s[2] == '\n'));
}

static void push(struct lexing *x, u8 kind, u8 punct, const char *s, size_t len)
{
	struct ctoken t = {.s = s,
			   .len = len,
			   .line = x->line,
			   .file = x->file,
			   .kind = kind,
			   .punct = punct,
			   .space = x->space};

	if (kind == CT_ID)
		t.id = cpp_name(x->p, s, len);
	vec_push(&x->out, t);
	x->space = x->bol = false;
}

static void skip_comment(struct lexing *x)
{
	if (x->s[1] == '/') {
		while (x->s < x->end && *x->s != '\n') {
			if (is_splice(x)) {
				x->line++;
				x->s += x->s[1] == '\r' ? 2 : 1;
			}
			x->s++;
		}
	} else {
		for (x->s += 2; x->s < x->end; x->s++) {
			x->line += *x->s == '\n';
			if (*x->s == '*' && x->s + 1 < x->end && x->s[1] == '/') {
				x->s += 2;
				break;
			}
		}
	}
	x->space = true;
}

/* Blanks, comments and line ends; false at the end of the text. */
static bool skip_blanks(struct lexing *x)
{
	while (x->s < x->end) {
		if (is_splice(x)) {
			x->s += x->s[1] == '\r' ? 3 : 2;
			x->line++;
			x->space = true;
		} else if (*x->s == '\n') {
			if (x->directive)
				push(x, CT_EOL, 0, x->s, 1);
			x->directive = false;
			x->bol = x->space = true;
			x->line++;
			x->s++;
		} else if (isspace((u8)*x->s) || !*x->s) {
			x->space = true;
			x->s++;
		} else if (*x->s == '/' && x->s + 1 < x->end &&
			   (x->s[1] == '/' || x->s[1] == '*')) {
			bool bol = x->bol;

			skip_comment(x);
			x->bol = bol;
		} else {
			return true;
		}
	}
	return false;
}

static void quoted(struct lexing *x)
{
	const char *from = x->s;
	char quote = *x->s++;
	u32 lines = 0;

	while (x->s < x->end && *x->s != quote && *x->s != '\n') {
		if (*x->s == '\\' && x->s + 1 < x->end) {
			lines += x->s[1] == '\n';
			x->s++;
		}
		x->s++;
	}
	if (x->s < x->end && *x->s == quote)
		x->s++;
	push(x, quote == '"' ? CT_STR : CT_CHR, 0, from, x->s - from);
	x->line += lines;
}

static const struct {
	char text[4];
	u8 punct;
} long_puncts[] = {
	{"...", CP_DOTS}, {"&&", CP_AND},   {"||", CP_OR},    {"==", CP_EQ},
	{"!=", CP_NE},    {"<=", CP_LE},    {">=", CP_GE},    {"<<", CP_SHL},
	{">>", CP_SHR},   {"##", CP_PASTE}, {"->", CP_ARROW},
};

static void punctuation(struct lexing *x)
{
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(long_puncts); i++) {
		n = strlen(long_puncts[i].text);
		if (*x->s != long_puncts[i].text[0] || (size_t)(x->end - x->s) < n ||
		    memcmp(x->s, long_puncts[i].text, n) != 0)
			continue;
		push(x, CT_PUNCT, long_puncts[i].punct, x->s, n);
		x->s += n;
		return;
	}
	push(x, CT_PUNCT, (u8)*x->s < 128 ? *x->s : '?', x->s, 1);
	x->s++;
}

static bool name_char(char c)
{
	return isalnum((u8)c) || c == '_' || c == '$';
}

static void one_token(struct lexing *x)
{
	const char *from = x->s;

	if (x->bol && *x->s == '#') {
		push(x, CT_HASH, 0, x->s++, 1);
		x->directive = true;
	} else if (isdigit((u8)*x->s) ||
		   (*x->s == '.' && x->s + 1 < x->end && isdigit((u8)x->s[1]))) {
		while (x->s < x->end && (name_char(*x->s) || *x->s == '.'))
			x->s++;
		push(x, CT_NUM, 0, from, x->s - from);
	} else if (name_char(*x->s)) {
		while (x->s < x->end && name_char(*x->s))
			x->s++;
		push(x, CT_ID, 0, from, x->s - from);
	} else if (*x->s == '"' || *x->s == '\'') {
		quoted(x);
	} else {
		punctuation(x);
	}
}

u32 cpp_lex(struct cpp *p, const char *text, size_t len, u32 file, struct ctoken **out)
{
	struct lexing x = {.p = p, .s = text, .end = text + len, .line = 1, .file = file};

	x.bol = true;
	while (skip_blanks(&x))
		one_token(&x);
	if (x.directive)
		push(&x, CT_EOL, 0, x.s, 0);
	*out = x.out.v;
	return x.out.n;
}

/* #ifndef X and then #define X, before anything else. */
static u32 guard_of(const struct cpp *p, const struct cfile *f)
{
	const struct ctoken *t = f->t;

	if (f->n < 7 || t[0].kind != CT_HASH || t[1].kind != CT_ID || t[2].kind != CT_ID ||
	    strcmp(cpp_text(p, t[1].id), "ifndef") != 0 || t[4].kind != CT_HASH ||
	    t[5].kind != CT_ID || strcmp(cpp_text(p, t[5].id), "define") != 0)
		return 0;
	return t[6].id == t[2].id ? t[2].id : 0;
}

const struct cfile *cpp_file(struct cpp *p, u32 file)
{
	struct cfile *f = &p->files[file];
	struct buf b = {0};
	const char *text;
	char *copy;
	size_t len;

	if (f->read)
		return f;
	f->read = true;
	text = tree_read(p->tree, &p->tree->files.v[file], &b, &len);
	if (text) {
		copy = arena_alloc(&p->arena, len + 1);
		memcpy(copy, text, len);
		copy[len] = '\0';
		f->n = cpp_lex(p, copy, len, file, &f->t);
		f->guard = guard_of(p, f);
	}
	buf_free(&b);
	return f;
}

void cpp_mention(struct cpp *p, const char *text, size_t len)
{
	size_t i = 0, from;

	while (i < len) {
		if (!name_char(text[i])) {
			i++;
			continue;
		}
		for (from = i; i < len && name_char(text[i]); i++)
			;
		/* -DNAME: NAME is what counts */
		if (from && text[from - 1] == '-' && text[from] == 'D' && i - from > 1)
			from++;
		if (isupper((u8)text[from]) || text[from] == '_') {
			u32 id = cpp_name(p, text + from, i - from);

			p->names.v[id].mention = true;
		}
	}
}
