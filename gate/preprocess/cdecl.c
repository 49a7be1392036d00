// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which symbols does an object file have that is compiled of this source?
 *
 * Declarations at file scope, one by one, of the expanded text. Types are of no interest:
 * a declaration is split into attributes, words and the name that it declares. Bodies are
 * skipped. Macros that are not known (they are the system's) may stand anywhere.
 */
#include <stdlib.h>

#include "cdecl.h"

#define MAX_DECL (1u << 20) /* tokens */

struct mark {
	size_t n; /* tokens of the declaration */
	u32 depth;
	bool body;
};

struct reader {
	struct cpp *p;
	struct cunit *u;
	VEC(struct ctoken) d; /* the declaration so far */
	u32 nest;             /* parentheses and brackets */
	u32 depth;            /* braces that are skipped */
	bool body;            /* of a function, else of a structure or an initializer */
	bool made;            /* a macro opened the brace */
	bool unsure;
	VEC(struct mark) marks;
	u8 pushed[16]; /* #pragma GCC visibility push */
	u32 npushed;
};

void cunit_free(struct cunit *u)
{
	map_free(&u->index);
	vec_free(&u->symbols);
	vec_free(&u->symvers);
	vec_free(&u->invoked);
}

static struct csymbol *symbol(struct cunit *u, u32 id)
{
	u32 *at = map_get(&u->index, 0x9e3779b97f4a7c15ull * (id + 1ull), 0);
	struct csymbol fresh = {.id = id};

	if (!*at) {
		vec_push(&u->symbols, fresh);
		*at = u->symbols.n;
	}
	return &u->symbols.v[*at - 1];
}

/* What a word means here: bits of struct cname.keyword. */
enum word {
	W_INLINE = 1,
	W_ASM = 2,
	W_ATTRIBUTE = 4,
	W_AGGREGATE = 8,
	W_TYPE = 16, /* no name of what is declared */
	W_TYPEOF = 32,
	W_STATIC = 64,
	W_EXTERN = 128,
	W_TYPEDEF = 256,
	W_EXTENSION = 512,
	W_DECLSPEC = 1024,
	W_PRAGMA = 2048,
	W_ASSERT = 4096,
};

static const struct {
	const char *text;
	u16 bits;
} c_words[] = {
	{"inline", W_INLINE | W_TYPE},
	{"__inline", W_INLINE | W_TYPE},
	{"__inline__", W_INLINE | W_TYPE},
	{"asm", W_ASM},
	{"__asm__", W_ASM},
	{"__asm", W_ASM},
	{"__attribute__", W_ATTRIBUTE},
	{"__attribute", W_ATTRIBUTE},
	{"struct", W_AGGREGATE | W_TYPE},
	{"union", W_AGGREGATE | W_TYPE},
	{"enum", W_AGGREGATE | W_TYPE},
	{"typeof", W_TYPEOF | W_TYPE},
	{"__typeof__", W_TYPEOF | W_TYPE},
	{"__typeof", W_TYPEOF | W_TYPE},
	{"_Alignas", W_TYPEOF | W_TYPE},
	{"_Atomic", W_TYPEOF | W_TYPE},
	{"__declspec", W_TYPEOF | W_TYPE | W_DECLSPEC},
	{"static", W_STATIC | W_TYPE},
	{"extern", W_EXTERN | W_TYPE},
	{"typedef", W_TYPEDEF | W_TYPE},
	{"__extension__", W_EXTENSION},
	{"_Pragma", W_PRAGMA},
	{"_Static_assert", W_ASSERT},
	{"static_assert", W_ASSERT},
	{"void", W_TYPE},
	{"char", W_TYPE},
	{"short", W_TYPE},
	{"int", W_TYPE},
	{"long", W_TYPE},
	{"float", W_TYPE},
	{"double", W_TYPE},
	{"signed", W_TYPE},
	{"unsigned", W_TYPE},
	{"_Bool", W_TYPE},
	{"bool", W_TYPE},
	{"const", W_TYPE},
	{"volatile", W_TYPE},
	{"restrict", W_TYPE},
	{"register", W_TYPE},
	{"__const", W_TYPE},
	{"__volatile", W_TYPE},
	{"__signed", W_TYPE},
	{"_Complex", W_TYPE},
	{"__restrict", W_TYPE},
	{"__volatile__", W_TYPE},
	{"__const__", W_TYPE},
};

void cdecl_init(struct cpp *p)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(c_words); i++) {
		u32 id = cpp_name(p, c_words[i].text, strlen(c_words[i].text));

		p->names.v[id].keyword = c_words[i].bits;
	}
}

static bool is(const struct reader *r, const struct ctoken *t, enum word bits)
{
	return t->kind == CT_ID && r->p->names.v[t->id].keyword & bits;
}

/* ---------------------------------------------------------------- a declaration ---- */

struct decl {
	VEC(struct ctoken) t; /* without attributes */
	bool is_static, is_extern, is_inline, is_typedef, alias, gnu_inline, ifunc;
	u8 visibility;
	bool maybe; /* the visibility is that of some configurations */
	u32 label;
	const char *symver[4];
	u32 nsymvers;
};

/* The end of the group that begins at v[i], or n. */
static size_t group_end(const struct ctoken *v, size_t i, size_t n)
{
	int depth = 0;

	for (; i < n; i++) {
		if (ctoken_punct(&v[i], '(') || ctoken_punct(&v[i], '[') ||
		    ctoken_punct(&v[i], '{'))
			depth++;
		else if (ctoken_punct(&v[i], ')') || ctoken_punct(&v[i], ']') ||
			 ctoken_punct(&v[i], '}')) {
			if (--depth <= 0)
				return i;
		}
	}
	return n;
}

/* The strings from v[i] to v[n - 1], as one. */
static char *strings_of(struct reader *r, const struct ctoken *v, size_t i, size_t n)
{
	struct buf b = {0};
	char *s;

	buf_add(&b, "", 0);
	for (; i < n; i++)
		if (v[i].kind == CT_STR && v[i].len >= 2)
			buf_add(&b, v[i].s + 1, v[i].len - 2);
	s = arena_strndup(&r->p->unit, b.n ? b.s : "", b.n);
	buf_free(&b);
	return s;
}

static void read_attributes(struct reader *r, struct decl *d, const struct ctoken *v,
			    size_t i, size_t n)
{
	for (; i < n; i++) {
		const char *s = v[i].kind == CT_ID ? cpp_text(r->p, v[i].id) : "", *text;
		size_t end = i + 1 < n && ctoken_punct(&v[i + 1], '(')
				     ? group_end(v, i + 1, n)
				     : i;

		while (*s == '_')
			s++;
		text = end > i ? strings_of(r, v, i, end) : "";
		if (has_prefix(s, "visibility") || has_prefix(s, "dllexport"))
			d->maybe |= v[i].maybe;
		if (has_prefix(s, "visibility"))
			d->visibility = *text == 'i' ? 'h' : *text == 'p' ? 'd' : *text;
		else if (has_prefix(s, "alias"))
			d->alias = true;
		else if (has_prefix(s, "ifunc"))
			d->ifunc = true;
		else if (has_prefix(s, "gnu_inline"))
			d->gnu_inline = true;
		else if (has_prefix(s, "dllexport"))
			d->visibility = 'd';
		else if (has_prefix(s, "symver") && d->nsymvers < ARRAY_SIZE(d->symver))
			d->symver[d->nsymvers++] = text;
		else
			continue;
		i = end;
	}
}

/* A macro whose value the build writes, and whose name says what for. */
static bool is_export_word(struct reader *r, const struct ctoken *t)
{
	static const char *const parts[] = {"EXTERN", "EXPORT", "PUBLIC", "VISIB", "_API"};
	size_t i;

	u8 state;

	if (t->kind != CT_ID)
		return false;
	state = cpp_macro(r->p, t->id)->state;
	if (state != MAC_MAYBE && (state != MAC_NONE || !r->p->names.v[t->id].mention))
		return false;
	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (strstr(cpp_text(r->p, t->id), parts[i]))
			return true;
	return false;
}

static void take_word(struct reader *r, struct decl *d, const struct ctoken *t)
{
	if (is(r, t, W_STATIC))
		d->is_static = true;
	else if (is(r, t, W_EXTERN))
		d->is_extern = true;
	else if (is(r, t, W_TYPEDEF))
		d->is_typedef = true;
	else if (is(r, t, W_INLINE))
		d->is_inline = true;
	else if (is_export_word(r, t))
		d->visibility = 'd';
	else if (!is(r, t, W_EXTENSION))
		vec_push(&d->t, *t);
}

/* Attributes and storage classes apart; braces and initializers go. */
static void sort_tokens(struct reader *r, struct decl *d, const struct ctoken *v, size_t n)
{
	size_t i, end;
	char *label;

	for (i = 0; i < n; i++) {
		bool paren = i + 1 < n && ctoken_punct(&v[i + 1], '(');

		end = paren ? group_end(v, i + 1, n) : i;
		if (is(r, &v[i], W_ATTRIBUTE) || (paren && is(r, &v[i], W_DECLSPEC))) {
			read_attributes(r, d, v, i + 1, end + (end < n));
			i = end;
		} else if (paren && i && is(r, &v[i], W_ASM)) {
			label = strings_of(r, v, i, end);
			d->label = *label ? cpp_name(r->p, label, strlen(label)) : 0;
			i = end;
		} else if (paren && is(r, &v[i], W_PRAGMA)) {
			i = end;
		} else if (paren && is(r, &v[i], W_TYPEOF)) {
			vec_push(&d->t, v[i]);
			i = end;
		} else if (ctoken_punct(&v[i], '[') && i + 1 < n &&
			   ctoken_punct(&v[i + 1], '[')) {
			end = group_end(v, i, n);
			read_attributes(r, d, v, i + 1, end);
			i = end;
		} else {
			take_word(r, d, &v[i]);
		}
	}
}

/* ---------------------------------------------------------------- what it declares - */

struct declarator {
	const struct ctoken *name;
	bool function;
};

static bool is_plain_name(const struct reader *r, const struct ctoken *t)
{
	return t->kind == CT_ID && !is(r, t, W_TYPE) && !is(r, t, W_TYPEOF);
}

/* In "(...)" that is followed by "(": (name), (*name), (*name(int)), (*name[3]). */
static struct declarator inner_declarator(const struct reader *r, const struct ctoken *v,
					  size_t i, size_t end)
{
	struct declarator d = {0};
	bool star = false;

	for (i++; i < end; i++) {
		star |= ctoken_punct(&v[i], '*');
		if (ctoken_punct(&v[i], '('))
			return d.name ? (struct declarator){d.name, true}
				      : inner_declarator(r, v, i, group_end(v, i, end));
		if (ctoken_punct(&v[i], '['))
			break;
		if (is_plain_name(r, &v[i]))
			d.name = &v[i];
	}
	d.function = !star;
	return d;
}

/* The declarator in v[from] to v[n - 1]; `first`: behind the specifiers of its type. */
static struct declarator find_declarator(const struct reader *r, const struct ctoken *v,
					 size_t from, size_t n, bool first)
{
	struct declarator d = {0};
	size_t i, end, words = 0;

	for (i = from; i < n; i++) {
		if (v[i].kind == CT_ID) {
			if (is(r, &v[i], W_AGGREGATE)) {
				words++;
				i += i + 1 < n && v[i + 1].kind == CT_ID; /* the tag */
			} else {
				if (is_plain_name(r, &v[i]))
					d.name = &v[i];
				words++;
			}
			continue;
		}
		if (ctoken_punct(&v[i], '[') || ctoken_punct(&v[i], ':'))
			break;
		if (!ctoken_punct(&v[i], '('))
			continue;
		end = group_end(v, i, n);
		if (end + 1 < n && ctoken_punct(&v[end + 1], '(')) {
			struct declarator in = inner_declarator(r, v, i, end);

			if (in.name)
				return in;
		}
		if (d.name && d.name == &v[i - 1] &&
		    !(first && i == from + 1 && end + 2 < n && v[end + 1].kind == CT_ID)) {
			d.function = true;
			return d;
		}
		/* "UNKNOWN(x) int f(void)", "int (name);" */
		if (d.name != &v[i - 1] && i + 1 < end)
			return inner_declarator(r, v, i, end);
		d.name = NULL;
		i = end;
	}
	if (first && words < 2 && from + 1 >= n)
		d.name = NULL;
	return d;
}

static u8 pushed_visibility(const struct reader *r)
{
	u32 n = r->npushed < ARRAY_SIZE(r->pushed) ? r->npushed : ARRAY_SIZE(r->pushed);

	return n ? r->pushed[n - 1] : 0;
}

static void add_symver(struct reader *r, const char *text, u32 target,
		       const struct ctoken *at)
{
	size_t n = strcspn(text, "@"), k;
	struct csymver v = {.target = target, .file = at->file, .line = at->line};

	if (!n || !text[n])
		return;
	k = strspn(text + n, "@");
	v.id = cpp_name(r->p, text, n);
	v.only = k == 1;
	v.node =
		arena_strndup(&r->p->unit, text + n + k, strcspn(text + n + k, " \t;\\\n"));
	vec_push(&r->u->symvers, v);
}

static void declare(struct reader *r, const struct decl *d, const struct declarator *what,
		    bool body, bool init)
{
	struct csymbol *s = symbol(r->u, what->name->id);
	bool defines = body || d->alias || d->ifunc ||
		       (!what->function && (!d->is_extern || init));
	u32 i;

	if (d->is_static) {
		s->is_static = true;
		return;
	}
	if (d->visibility) {
		s->visibility = d->visibility;
		s->maybe = d->maybe;
	}
	if (d->label)
		s->label = d->label;
	if (body && d->is_inline && (!d->is_extern || d->gnu_inline))
		s->is_inline = true;
	else
		s->plain |= !d->is_inline;
	for (i = 0; i < d->nsymvers; i++)
		add_symver(r, d->symver[i], what->name->id, what->name);
	if (!defines)
		return;
	if (!s->visibility)
		s->visibility = pushed_visibility(r);
	if (body && s->is_inline && d->is_inline && !s->plain && s->defined)
		return;
	if (!s->defined || (!s->sure && !r->unsure)) {
		s->file = what->name->file;
		s->line = what->name->line;
	}
	s->object = !what->function;
	s->sure |= !r->unsure;
	s->defined = true;
	if (!(body && d->is_inline && (!d->is_extern || d->gnu_inline)))
		s->plain = true;
}

/* ---------------------------------------------------------------- assembly --------- */

/* ".symver a, b@NODE" and ".globl a" in asm() at file scope. */
static void read_asm(struct reader *r, const struct ctoken *at, char *text)
{
	char *p, *name;

	for (p = text; (p = strstr(p, ".symver"));) {
		char *comma;
		u32 target;

		p += strlen(".symver");
		name = p + strspn(p, " \t");
		comma = strchr(name, ',');
		if (!comma)
			return;
		target = cpp_name(r->p, name, strcspn(name, " \t,"));
		p = comma + 1;
		p += strspn(p, " \t");
		add_symver(r, p, target, at);
	}
	for (p = text; (p = strstr(p, ".glob"));) {
		struct csymbol *s;

		p += strcspn(p, " \t");
		name = p + strspn(p, " \t");
		p = name + strcspn(name, " \t\\;\n");
		if (p == name)
			continue;
		s = symbol(r->u, cpp_name(r->p, name, p - name));
		if (s->defined)
			continue;
		s->defined = s->plain = true;
		s->sure = !r->unsure;
		s->file = at->file;
		s->line = at->line;
	}
}

/* ---------------------------------------------------------------- the whole -------- */

static size_t initializer(const struct ctoken *v, size_t i, size_t n)
{
	for (; i < n && !ctoken_punct(&v[i], ','); i++)
		if (ctoken_punct(&v[i], '(') || ctoken_punct(&v[i], '[') ||
		    ctoken_punct(&v[i], '{'))
			i = group_end(v, i, n);
	return i;
}

/* Up to ',' or '=' outside of parentheses. */
static size_t declarator_end(const struct ctoken *v, size_t i, size_t n)
{
	for (; i < n && !ctoken_punct(&v[i], ',') && !ctoken_punct(&v[i], '='); i++)
		if (ctoken_punct(&v[i], '(') || ctoken_punct(&v[i], '[') ||
		    ctoken_punct(&v[i], '{'))
			i = group_end(v, i, n);
	return i < n ? i : n;
}

static void take_declarators(struct reader *r, struct decl *d, bool body)
{
	const struct ctoken *v = d->t.v;
	size_t n = d->t.n, i = 0, end;
	bool first = true;

	while (i < n) {
		struct declarator what;
		bool init;

		end = body ? n : declarator_end(v, i, n);
		what = find_declarator(r, v, i, end, first);
		init = end < n && ctoken_punct(&v[end], '=');
		if (what.name && !(body && !what.function))
			declare(r, d, &what, body, init);
		if (init)
			end = initializer(v, end, n);
		i = end + 1;
		first = false;
	}
}

static void note_invoked(struct reader *r, u32 id)
{
	size_t i;

	for (i = 0; i < r->u->invoked.n; i++)
		if (r->u->invoked.v[i] == id)
			return;
	vec_push(&r->u->invoked, id);
}

static void finish(struct reader *r, bool body)
{
	const struct ctoken *v = r->d.v;
	size_t n = r->d.n;
	struct decl d = {0};

	r->d.n = 0;
	r->nest = 0;
	r->unsure = r->p->unsure;
	while (n && ctoken_punct(v, ';')) {
		v++;
		n--;
	}
	if (!n)
		return;
	if (is(r, v, W_ASM)) {
		read_asm(r, v, strings_of(r, v, 0, n));
		return;
	}
	if (is(r, v, W_ASSERT))
		return;
	sort_tokens(r, &d, v, n);
	if (!body && d.t.n > 2 && d.t.v[0].kind == CT_ID && ctoken_punct(&d.t.v[1], '(') &&
	    group_end(d.t.v, 1, d.t.n) + 1 == d.t.n)
		note_invoked(r, d.t.v[0].id);
	else if (!d.is_typedef)
		take_declarators(r, &d, body);
	vec_free(&d.t);
}

/* f(a, b) int a; char *b; { ... }: the semicolons there end no declaration. */
static bool is_old_style(const struct reader *r)
{
	const struct ctoken *v = r->d.v;
	size_t n = r->d.n, i, end, words = 0;

	for (i = 1; i < n && !ctoken_punct(&v[i], '('); i++)
		if (is(r, &v[i - 1], W_ATTRIBUTE) || is(r, &v[i], W_ATTRIBUTE)) {
			i = group_end(v, is(r, &v[i], W_ATTRIBUTE) ? i + 1 : i, n);
		} else if (ctoken_punct(&v[i], '=') || ctoken_punct(&v[i], '{'))
			return false;
	if (i + 2 >= n || v[i - 1].kind != CT_ID || i < 2 || is(r, v, W_TYPEDEF) ||
	    is(r, v, W_EXTERN))
		return false;
	end = group_end(v, i, n);
	for (i++; i < end; i += 2)
		if (v[i].kind != CT_ID || !(i + 1 == end || ctoken_punct(&v[i + 1], ',')))
			return false;
	if (end + 2 >= n || v[end + 1].kind != CT_ID || is(r, &v[end + 1], W_ATTRIBUTE) ||
	    is(r, &v[end + 1], W_ASM))
		return false;
	for (i = end + 1; i < n && !ctoken_punct(&v[i], ';'); i++)
		words += v[i].kind == CT_ID;
	return words > 1;
}

/* Does '{' begin a structure's members or an initializer, and not a function's body? */
static bool is_aggregate(const struct reader *r)
{
	const struct ctoken *v = r->d.v;
	size_t n = r->d.n, i, depth = 0;

	for (i = n; i-- > 0;) {
		if (ctoken_punct(&v[i], ')') || ctoken_punct(&v[i], ']'))
			depth++;
		else if ((ctoken_punct(&v[i], '(') || ctoken_punct(&v[i], '[')) && depth)
			depth--;
		else if (depth)
			continue;
		else if (ctoken_punct(&v[i], '='))
			return true;
		else if (is(r, &v[i], W_AGGREGATE))
			break;
	}
	if (i >= n)
		return false;
	/* "struct x *f(void) {" has more than a tag and attributes behind the word */
	for (i++; i < n; i++) {
		if (is(r, &v[i], W_ATTRIBUTE) && i + 1 < n) {
			i = group_end(v, i + 1, n);
			continue;
		}
		if (ctoken_punct(&v[i], '(') && i && v[i - 1].kind == CT_ID) {
			/* struct UNKNOWN(4) name {: rare; a function is not */
			return false;
		}
		if (ctoken_punct(&v[i], '*'))
			return false;
	}
	return true;
}

static void open_brace(struct reader *r, const struct ctoken *t)
{
	const struct ctoken *last = r->d.n ? &r->d.v[r->d.n - 1] : NULL;
	bool made = r->p->from_macro; /* what a macro opens, one may close */

	r->made = made;
	if (last && last->kind == CT_STR && r->d.n <= 2) {
		r->d.n = 0; /* extern "C" {: its '}' closes nothing */
		return;
	}
	if (!last) {
		r->body = true;
		r->depth = 1;
		r->p->raw = !made;
		return;
	}
	r->body = !r->nest && !is_aggregate(r);
	r->depth = 1;
	if (r->body) {
		finish(r, true);
		r->p->raw = !made;
		return;
	}
	r->p->raw = !made;
	vec_push(&r->d, *t);
}

static void in_braces(struct reader *r, const struct ctoken *t)
{
	if (ctoken_punct(t, '{')) {
		r->depth++;
	} else if (ctoken_punct(t, '}') && !--r->depth) {
		r->p->raw = false;
		if (!r->body)
			vec_push(&r->d, *t);
	}
}

/* Each branch begins where the first one did. */
static void on_branch(struct reader *r, u8 what)
{
	struct mark m = {r->d.n, r->depth, r->body}, *top;

	if (what == BRANCH_BEGIN) {
		vec_push(&r->marks, m);
		return;
	}
	if (!r->marks.n)
		return;
	top = &r->marks.v[r->marks.n - 1];
	if (what == BRANCH_END) {
		r->marks.n--;
		return;
	}
	if (top->n > r->d.n && top->depth == r->depth)
		return; /* a declaration ended in between */
	r->d.n = top->n < r->d.n ? top->n : r->d.n;
	r->depth = top->depth;
	r->body = top->body;
	r->p->raw = r->depth && !r->made;
}

static void on_visibility(struct reader *r, u8 what)
{
	if (what == '<')
		r->npushed -= r->npushed > 0;
	else if (r->npushed++ < ARRAY_SIZE(r->pushed))
		r->pushed[r->npushed - 1] = what == 'i' ? 'h' : what == 'p' ? 'd' : what;
}

/* _Pragma("GCC visibility push(hidden)") among the tokens. */
static void on_pragma_word(struct reader *r)
{
	const struct ctoken *v = r->d.v;
	size_t n = r->d.n;
	const char *s;

	if (n < 4 || !is(r, &v[n - 4], W_PRAGMA) || v[n - 2].kind != CT_STR)
		return;
	s = strings_of(r, v, n - 2, n - 1);
	r->d.n = n - 4;
	if (!has_prefix(s, "GCC visibility "))
		return;
	s += strlen("GCC visibility ");
	if (has_prefix(s, "pop"))
		on_visibility(r, '<');
	else if (has_prefix(s, "push("))
		on_visibility(r, s[5]);
}

static void at_file_scope(struct reader *r, const struct ctoken *t)
{
	if (ctoken_punct(t, '{')) {
		open_brace(r, t);
		return;
	}
	if (ctoken_punct(t, '}') && !r->nest) {
		r->d.n = 0;
		return;
	}
	if (ctoken_punct(t, ';') && !r->nest && !is_old_style(r)) {
		finish(r, false);
		return;
	}
	if (ctoken_punct(t, '(') || ctoken_punct(t, '['))
		r->nest++;
	else if ((ctoken_punct(t, ')') || ctoken_punct(t, ']')) && r->nest)
		r->nest--;
	if (r->d.n < MAX_DECL)
		vec_push(&r->d, *t);
	if (ctoken_punct(t, ')'))
		on_pragma_word(r);
}

static void take_marked(struct reader *r)
{
	size_t i;

	for (i = 0; i < r->p->nmarked; i++) {
		const struct cpp_marked *m = &r->p->marked[i];
		struct csymver v = {.id = m->id,
				    .target = m->id,
				    .file = m->file,
				    .line = m->line,
				    .marks = true};

		v.node = cpp_text(r->p, m->macro);
		vec_push(&r->u->symvers, v);
	}
}

static void next_token(struct reader *r, struct ctoken *t)
{
	const struct ctoken *last = r->d.n ? &r->d.v[r->d.n - 1] : NULL;

	r->p->declarator = !r->depth && !r->nest && last &&
			   (last->kind == CT_ID || ctoken_punct(last, '*'));
	cpp_next(r->p, t);
}

void cdecl_read(struct cpp *p, struct cunit *u)
{
	struct reader r = {.p = p, .u = u};
	struct ctoken t;

	for (next_token(&r, &t); t.kind != CT_EOF; next_token(&r, &t)) {
		if (t.kind == CT_BRANCH)
			on_branch(&r, t.punct);
		else if (t.kind == CT_VISIBILITY)
			on_visibility(&r, t.punct);
		else if (r.depth)
			in_braces(&r, &t);
		else
			at_file_scope(&r, &t);
	}
	take_marked(&r);
	vec_free(&r.d);
	vec_free(&r.marks);
}
