// SPDX-License-Identifier: GPL-2.0-or-later
/* What does a macro make of its arguments? */
#include <stdlib.h>

#include "cpp.h"

#define MAX_ARGUMENTS  64
#define MAX_ARG_TOKENS 20000

struct cmacro *cpp_macro(struct cpp *p, u32 id)
{
	size_t n = p->nmacro;

	if (id >= n) {
		while (n <= id)
			n = n ? n * 2 : 4096;
		p->macro = xrealloc(p->macro, n * sizeof(*p->macro));
		memset(p->macro + p->nmacro, 0, (n - p->nmacro) * sizeof(*p->macro));
		p->nmacro = n;
	}
	return &p->macro[id];
}

void cpp_push(struct cpp *p, const struct ctoken *t, u32 n, u32 macro, u32 file)
{
	if (p->nstream == CPP_MAX_STREAMS) {
		p->gave_up = true;
		return;
	}
	p->stream[p->nstream++] = (struct cstream){
		.t = t, .end = t + n, .macro = macro, .file = file, .conds = p->nconds};
	if (macro)
		cpp_macro(p, macro)->busy = true;
}

/* ---------------------------------------------------------------- definitions ------ */

static u32 read_params(struct cpp *p, struct cmacro *m, const struct ctoken *t,
		       const struct ctoken *end)
{
	const struct ctoken *from = t;
	VEC(u32) params = {0};
	u32 *copy;

	for (; t < end && !ctoken_punct(t, ')'); t++) {
		if (t->kind == CT_ID)
			vec_push(&params, t->id);
		if (!ctoken_punct(t, CP_DOTS))
			continue;
		m->variadic = true;
		/* "args..." has the name already */
		if (t == from || t[-1].kind != CT_ID)
			vec_push(&params, cpp_name(p, "__VA_ARGS__", 11));
	}
	copy = arena_alloc(&p->unit, (params.n + 1) * sizeof(*copy));
	if (params.n)
		memcpy(copy, params.v, params.n * sizeof(*copy));
	m->params = copy;
	m->nparams = params.n < MAX_ARGUMENTS ? params.n : MAX_ARGUMENTS;
	vec_free(&params);
	return t - from;
}

static bool says_export(const char *s)
{
	return has_prefix(s, "__attribute") || strstr(s, "EXTERN") || strstr(s, "EXPORT") ||
	       strstr(s, "VISIB");
}

/* In a branch that may not be read, the first definition stays, unless an attribute comes.
 */
static bool keeps_old(const struct cpp *p, const struct cmacro *old, const struct cmacro *m)
{
	u32 i;

	if (!p->unsure || old->state != MAC_DEFINED)
		return false;
	for (i = 0; !old->nbody && i < m->nbody; i++)
		if (m->body[i].kind == CT_ID && says_export(cpp_text(p, m->body[i].id)))
			return false;
	return true;
}

/* #define open z_open, if the build wants it: by default it does not. */
static bool is_prefixed(const struct cpp *p, const struct cmacro *m, u32 id)
{
	return m->unsure && !m->fn && m->nbody == 1 && m->body[0].kind == CT_ID &&
	       m->body[0].id != id && strstr(cpp_text(p, m->body[0].id), cpp_text(p, id));
}

void cpp_read_define(struct cpp *p, const struct ctoken *t, const struct ctoken *end)
{
	struct cmacro m = {.state = MAC_DEFINED, .unsure = p->unsure}, *old;
	u32 id;

	if (t >= end || t->kind != CT_ID)
		return;
	id = t->id;
	t++;
	if (t < end && ctoken_punct(t, '(') && !t->space) {
		m.fn = true;
		t++;
		t += read_params(p, &m, t, end);
		t += t < end;
	}
	m.body = t;
	m.nbody = end - t;
	old = cpp_macro(p, id);
	if (keeps_old(p, old, &m) || is_prefixed(p, &m, id))
		return;
	m.busy = old->busy;
	*old = m;
	vec_push(&p->touched, id);
}

/* ---------------------------------------------------------------- arguments -------- */

struct argument {
	struct ctoken *t, *full;
	u32 n, nfull;
	bool expanded;
};

struct arguments {
	struct argument a[MAX_ARGUMENTS];
	u32 n;
};

/* The token that comes next, behind the ends of the macros that are being read. */
static const struct ctoken *following(const struct cpp *p)
{
	u32 i;

	for (i = p->nstream; i > p->base; i--) {
		const struct cstream *s = &p->stream[i - 1];

		if (s->t < s->end)
			return s->t;
		if (s->file != NO_FILE)
			break;
	}
	return NULL;
}

static bool paren_follows(const struct cpp *p)
{
	const struct ctoken *t = following(p);

	return t && ctoken_punct(t, '(');
}

/* "int name;", "int name(void)", but "int attribute name": what is declared ends here. */
static bool is_declared(const struct cpp *p)
{
	const struct ctoken *t = following(p);

	return t && t->kind == CT_PUNCT && t->punct != '*';
}

static void end_argument(struct cpp *p, struct arguments *args, struct ctoken *v, u32 n)
{
	struct argument *a = &args->a[args->n++];

	*a = (struct argument){.n = n};
	a->t = arena_alloc(&p->unit, (n + 1) * sizeof(*v));
	if (n)
		memcpy(a->t, v, n * sizeof(*v));
}

/* The arguments behind a macro's name; false if they do not end. */
static bool read_arguments(struct cpp *p, const struct cmacro *m, struct arguments *args)
{
	VEC(struct ctoken) v = {0};
	struct ctoken t;
	int depth = 0;
	bool ok = false;

	args->n = 0;
	for (;;) {
		cpp_raw_next(p, &t);
		if (t.kind == CT_EOF || v.n > MAX_ARG_TOKENS)
			break;
		if (t.kind == CT_BRANCH || t.kind == CT_VISIBILITY)
			continue;
		if (ctoken_punct(&t, '(') && !depth++)
			continue;
		if (ctoken_punct(&t, ')') && !--depth) {
			end_argument(p, args, v.v, v.n);
			ok = true;
			break;
		}
		if (ctoken_punct(&t, ',') && depth == 1 && args->n + 1 < MAX_ARGUMENTS &&
		    !(m->variadic && args->n + 1 >= m->nparams)) {
			end_argument(p, args, v.v, v.n);
			v.n = 0;
			continue;
		}
		vec_push(&v, t);
	}
	vec_free(&v);
	return ok;
}

/* ---------------------------------------------------------------- replacing -------- */

struct output {
	struct ctoken *v;
	size_t n, cap;
};

static int parameter(const struct cmacro *m, const struct ctoken *t)
{
	int i;

	if (t->kind != CT_ID)
		return -1;
	for (i = 0; i < m->nparams; i++)
		if (m->params[i] == t->id)
			return i;
	return -1;
}

static void stringify(struct cpp *p, struct output *out, const struct argument *a,
		      const struct ctoken *at)
{
	struct buf b = {0};
	struct ctoken t = *at;
	u32 i, k;

	buf_putc(&b, '"');
	for (i = 0; i < a->n; i++) {
		if (i && a->t[i].space)
			buf_putc(&b, ' ');
		for (k = 0; k < a->t[i].len; k++) {
			if (a->t[i].s[k] == '"' || a->t[i].s[k] == '\\')
				buf_putc(&b, '\\');
			buf_putc(&b, a->t[i].s[k]);
		}
	}
	buf_putc(&b, '"');
	t.kind = CT_STR;
	t.len = b.n;
	t.s = arena_strndup(&p->unit, b.s, b.n);
	vec_push(out, t);
	buf_free(&b);
}

/* Makes one token of two. */
static void paste(struct cpp *p, struct ctoken *left, const struct ctoken *right)
{
	struct ctoken *made = NULL;
	char *s = arena_alloc(&p->unit, left->len + right->len + 1);
	u32 n;

	memcpy(s, left->s, left->len);
	memcpy(s + left->len, right->s, right->len);
	s[left->len + right->len] = '\0';
	n = cpp_lex(p, s, left->len + right->len, left->file, &made);
	if (n && made[0].kind != CT_HASH) {
		made[0].line = left->line;
		made[0].space = left->space;
		*left = made[0];
	}
	free(made);
}

static const struct argument empty_argument = {0};

static const struct argument *argument_of(const struct arguments *args, int i)
{
	return (u32)i < args->n ? &args->a[i] : &empty_argument;
}

static void add_tokens(struct output *out, const struct ctoken *t, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		vec_push(out, t[i]);
}

static void add_expanded(struct cpp *p, struct output *out, struct arguments *args, int i)
{
	struct argument *a;

	if ((u32)i >= args->n)
		return;
	a = &args->a[i];
	if (!a->expanded) {
		a->nfull = cpp_expand_list(p, a->t, a->n, &a->full);
		a->expanded = true;
	}
	add_tokens(out, a->full, a->nfull);
}

/* What stands right of ##. */
static void add_pasted(struct cpp *p, const struct cmacro *m, struct output *out,
		       struct arguments *args, const struct ctoken *t, bool first)
{
	int i = parameter(m, t);
	const struct argument *a = i >= 0 ? argument_of(args, i) : NULL;
	bool rest = m->variadic && i == m->nparams - 1;

	if (a && rest && out->n && ctoken_punct(&out->v[out->n - 1], ',')) {
		if (!a->n) /* , ## __VA_ARGS__ without any */
			out->n--;
		else
			add_expanded(p, out, args, i);
		return;
	}
	if (!a) {
		if (first)
			vec_push(out, *t);
		else
			paste(p, &out->v[out->n - 1], t);
		return;
	}
	if (!a->n)
		return;
	if (first)
		vec_push(out, a->t[0]);
	else
		paste(p, &out->v[out->n - 1], &a->t[0]);
	add_tokens(out, a->t + 1, a->n - 1);
}

static void replace(struct cpp *p, const struct cmacro *m, struct arguments *args,
		    struct output *out)
{
	const struct ctoken *t = m->body, *end = t + m->nbody;
	size_t before = 0;
	int i;

	for (; t < end; t++) {
		bool pasted = t > m->body && ctoken_punct(t - 1, CP_PASTE);
		bool pastes = t + 1 < end && ctoken_punct(t + 1, CP_PASTE);

		if (ctoken_punct(t, CP_PASTE))
			continue;
		if (m->fn && ctoken_punct(t, '#') && t + 1 < end &&
		    parameter(m, t + 1) >= 0) {
			stringify(p, out, argument_of(args, parameter(m, t + 1)), t);
			t++;
			continue;
		}
		i = parameter(m, t);
		if (pasted) {
			add_pasted(p, m, out, args, t, out->n == before);
		} else {
			before = out->n;
			if (i < 0)
				vec_push(out, *t);
			else if (pastes)
				add_tokens(out, argument_of(args, i)->t,
					   argument_of(args, i)->n);
			else
				add_expanded(p, out, args, i);
		}
		if (out->n > 200000) {
			p->gave_up = true;
			return;
		}
	}
}

/*
 * A macro without a body that is called so, as DPDK's RTE_EXPORT_SYMBOL(name): a script of
 * the build looks for it.
 */
static void note_marked(struct cpp *p, const struct cmacro *m, const struct ctoken *name,
			const struct arguments *args)
{
	const char *s = cpp_text(p, name->id);
	struct cpp_marked mark = {
		.macro = name->id, .file = name->file, .line = name->line};

	if (m->nbody || !args->n || args->a[0].n != 1 || args->a[0].t[0].kind != CT_ID ||
	    !strstr(s, "EXPORT") || !strstr(s, "SYMBOL"))
		return;
	mark.id = args->a[0].t[0].id;
	if (p->nmarked == p->marked_cap)
		p->marked = vec_grow(p->marked, &p->marked_cap, sizeof(*p->marked));
	p->marked[p->nmarked++] = mark;
}

static bool has_lowercase(const char *s)
{
	for (; *s; s++)
		if (*s >= 'a' && *s <= 'z')
			return true;
	return false;
}

bool cpp_expand(struct cpp *p, const struct ctoken *name)
{
	struct cmacro m = *cpp_macro(p, name->id);
	struct arguments *args;
	struct output out = {0};
	struct ctoken *copy;
	size_t i;

	if (m.state != MAC_DEFINED || m.busy || name->no_macro)
		return false;
	if (m.fn && !paren_follows(p))
		return false;
	/* "int name", where name may be a macro for a number: here it is what is declared
	 */
	if (m.unsure && p->declarator && is_declared(p) &&
	    (m.fn || has_lowercase(cpp_text(p, name->id))))
		return false;
	args = arena_alloc(&p->unit, sizeof(*args));
	args->n = 0;
	if (m.fn && !read_arguments(p, &m, args)) {
		p->gave_up = true;
		return false;
	}
	if (m.fn)
		note_marked(p, &m, name, args);
	replace(p, &m, args, &out);
	copy = arena_alloc(&p->unit, (out.n + 1) * sizeof(*copy));
	for (i = 0; i < out.n; i++) {
		copy[i] = out.v[i];
		copy[i].line = name->line;
		copy[i].file = name->file;
		copy[i].maybe = name->maybe | m.unsure | copy[i].maybe;
		if (copy[i].kind == CT_ID && copy[i].id == name->id)
			copy[i].no_macro = 1;
	}
	p->work += out.n;
	cpp_push(p, copy, out.n, name->id, NO_FILE);
	vec_free(&out);
	return true;
}

u32 cpp_expand_list(struct cpp *p, const struct ctoken *t, u32 n, struct ctoken **out)
{
	u32 base = p->base, streams = p->nstream;
	bool raw = p->raw;
	struct output v = {0};
	struct ctoken x, *copy;

	p->raw = false;
	p->base = p->nstream;
	cpp_push(p, t, n, 0, NO_FILE);
	for (;;) {
		cpp_next(p, &x);
		if (x.kind == CT_EOF)
			break;
		vec_push(&v, x);
	}
	p->nstream = streams;
	p->base = base;
	p->raw = raw;
	copy = arena_alloc(&p->unit, (v.n + 1) * sizeof(*copy));
	if (v.n)
		memcpy(copy, v.v, v.n * sizeof(*copy));
	n = v.n;
	*out = copy;
	vec_free(&v);
	return n;
}
