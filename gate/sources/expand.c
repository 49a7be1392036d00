// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What does a call of a macro make?
 *
 * The recipes of the macro are filled in, those of the macros that it calls too, and those
 * of a macro that it is handed: LIST(EXPORT_ONE) is the usual way to write a list once.
 * Where an argument is itself a macro that stands for another name, both are put in.
 */
#include <stdlib.h>

#include "expand.h"
#include "extract.h"

#define MAX_DEPTH 16
/* Calls that one call may lead to: macros that call each other can go on for ever. */
#define MAX_WORK  2048
#define MAX_OTHER 4

struct expander {
	const struct extractor *x;
	const struct templates *ts;
	made_fn *fn;
	void *arg;
	u32 work;
	bool uses_only;
};

u32 split_args(char *args, char **argv)
{
	u32 n = 0;

	for (;;) {
		argv[n++] = args;
		args = strchr(args, ARG_END);
		if (!args || n == MAX_ARGS)
			return n;
		*args++ = '\0';
	}
}

bool template_fill(struct buf *out, const char *recipe, char **argv, u32 argc)
{
	const char *p;

	out->n = 0;
	buf_add(out, "", 0);
	for (p = recipe; *p; p++) {
		u32 i = (u8)*p - 0x80;

		if ((u8)*p < 0x80) {
			buf_putc(out, *p);
			continue;
		}
		/* what a call makes is not known, but the name may begin before it */
		if (i < argc && argv[i][0] == '*' && !p[1] && out->n > 3) {
			buf_putc(out, '*');
			continue;
		}
		if (i >= argc || argv[i][0] == '?' || argv[i][0] == '*')
			return false;
		buf_puts(out, argv[i] + (argv[i][0] == '"' && out->n));
	}
	return out->n < 256;
}

/* What an argument that is a macro stands for: the k-th of its definitions. */
static const char *other_name(const struct expander *e, const char *word, u32 k)
{
	u64 name = hash_str(word);
	size_t i;

	for (i = 0; e->x && i < e->x->aliases.n; i++)
		if (e->x->aliases.v[i].name == name && !e->x->aliases.v[i].ended && !k--)
			return e->x->aliases.v[i].other;
	return e->ts && !k ? templates_alias(e->ts, name) : NULL;
}

/* An argument that is handed on is expanded before, one that is pasted is not. */
static void put_part(struct expander *e, struct buf *out, const char *part, char **argv,
		     u32 argc)
{
	struct buf one = {0};
	u32 i = (u8)*part - 0x80;

	if (e->x && (u8)*part >= 0x80 && !part[1] && i < argc &&
	    own_macro_here(e->x, hash_str(argv[i])) && other_name(e, argv[i], 0))
		buf_puts(out, other_name(e, argv[i], 0));
	else
		buf_puts(out, template_fill(&one, part, argv, argc) ? one.s : "?");
	buf_free(&one);
}

/* The same for several arguments; one that is not known becomes "?". */
static char *fill_args(struct expander *e, const char *recipe, char **argv, u32 argc)
{
	char *copy = xstrdup(recipe), *part[MAX_ARGS];
	struct buf all = {0};
	u32 n = split_args(copy, part), i;

	buf_add(&all, "", 0);
	for (i = 0; i < n; i++) {
		if (i)
			buf_putc(&all, ARG_END);
		put_part(e, &all, part[i], argv, argc);
	}
	free(copy);
	return all.s;
}

static void expand(struct expander *e, u64 callee, const char *args, int depth);

static void make(struct expander *e, const struct template *t, char **argv, u32 argc)
{
	struct buf name = {0}, ns = {0}, licence = {0};
	struct made m = {.kind = t->kind};

	if (e->uses_only && t->kind != MAKES_USE)
		return;
	if (template_fill(&name, t->name, argv, argc) && name.n) {
		m.name = name.s;
		if (t->ns && template_fill(&ns, t->ns, argv, argc))
			m.ns = ns.s;
		if (t->licence && template_fill(&licence, t->licence, argv, argc))
			m.licence = licence.s;
		e->fn(e->arg, &m);
	}
	buf_free(&name);
	buf_free(&ns);
	buf_free(&licence);
}

/* The macro `callee` (a recipe) is called with the arguments `recipe`. */
static void call_filled(struct expander *e, const char *callee, const char *recipe,
			char **argv, u32 argc, int depth)
{
	struct buf name = {0};
	char *args;

	if (template_fill(&name, callee, argv, argc) && name.n) {
		args = fill_args(e, recipe, argv, argc);
		expand(e, hash_str(name.s), args, depth + 1);
		free(args);
	}
	buf_free(&name);
}

static void run_local_call(struct expander *e, const struct local_call *c, char **argv,
			   u32 argc, int depth)
{
	struct template use = {.name = c->args, .kind = MAKES_USE};
	char *args, param[2] = {0};

	if (!c->callee) {
		make(e, &use, argv, argc);
	} else if (c->callee < CALLEE_PARAM + MAX_PARAMS) {
		param[0] = (char)(0x80 + (c->callee - CALLEE_PARAM));
		call_filled(e, param, c->args, argv, argc, depth);
	} else {
		args = fill_args(e, c->args, argv, argc);
		expand(e, c->callee, args, depth + 1);
		free(args);
	}
}

/* Macros of the file itself, of either branch of an #if. False if there is none. */
static bool expand_local(struct expander *e, u64 callee, const char *args, char **argv,
			 u32 argc, int depth)
{
	const struct extractor *x = e->x;
	bool found = false;
	size_t i;
	u32 k;

	for (i = 0; (x->macros_filter & (1ull << (callee & 63))) && i < x->macros.n; i++) {
		const struct local_macro *m = &x->macros.v[i];

		if (m->name != callee || m->ended)
			continue;
		found = true;
		for (k = 0; k < m->n; k++)
			run_local_call(e, &x->local_calls.v[m->first + k], argv, argc,
				       depth);
	}
	for (i = 0; (x->macros_filter & (1ull << (callee & 63))) && i < x->aliases.n; i++)
		if (x->aliases.v[i].name == callee && !x->aliases.v[i].ended) {
			found = true;
			expand(e, hash_str(x->aliases.v[i].other), args, depth + 1);
		}
	return found;
}

static void expand_once(struct expander *e, u64 callee, const char *args, int depth)
{
	const struct template_list *l = e->ts ? templates_find(e->ts, callee) : NULL;
	char *copy = xstrdup(args), *argv[MAX_ARGS];
	u32 argc = split_args(copy, argv), i;

	if (!(e->x && expand_local(e, callee, args, argv, argc, depth) &&
	      own_macro_here(e->x, callee)))
		for (i = 0; l && i < l->n; i++) {
			if (l->t[i].kind == MAKES_CALL)
				call_filled(e, l->t[i].ns, l->t[i].name, argv, argc, depth);
			else
				make(e, &l->t[i], argv, argc);
		}
	free(copy);
}

/* The arguments with what those of them that are macros stand for; NULL if none is. */
static char *other_args(const struct expander *e, const char *args, u32 k)
{
	char *copy = xstrdup(args), *part[MAX_ARGS];
	u32 n = split_args(copy, part), i, hops;
	struct buf all = {0};
	bool any = false;

	buf_add(&all, "", 0);
	for (i = 0; i < n; i++) {
		const char *word = part[i], *other = other_name(e, word, k);

		for (hops = 0; other && hops < MAX_OTHER; hops++) {
			any = true;
			word = other;
			other = other_name(e, word, 0);
		}
		if (i)
			buf_putc(&all, ARG_END);
		buf_puts(&all, word);
	}
	free(copy);
	if (!any)
		buf_free(&all);
	return any ? all.s : NULL;
}

static void expand(struct expander *e, u64 callee, const char *args, int depth)
{
	char *other;
	u32 k;

	if (depth > MAX_DEPTH || e->work++ > MAX_WORK)
		return;
	if (e->x ? !expand_makes(e->x, callee) : !(e->ts && templates_find(e->ts, callee)))
		return;
	expand_once(e, callee, args, depth);
	if (e->uses_only)
		return;
	e->uses_only = true;
	for (k = 0; k < MAX_OTHER && (other = other_args(e, args, k)); k++) {
		expand_once(e, callee, other, depth);
		free(other);
	}
	e->uses_only = false;
}

bool expand_makes(const struct extractor *x, u64 callee)
{
	size_t i;

	if (x->ts && templates_find(x->ts, callee))
		return true;
	if (!(x->macros_filter & (1ull << (callee & 63))))
		return false;
	for (i = 0; i < x->macros.n; i++)
		if (x->macros.v[i].name == callee && !x->macros.v[i].ended)
			return true;
	for (i = 0; i < x->aliases.n; i++)
		if (x->aliases.v[i].name == callee && !x->aliases.v[i].ended)
			return true;
	return false;
}

void expand_call(const struct extractor *x, const struct templates *ts, u64 callee,
		 const char *args, made_fn *fn, void *arg)
{
	struct expander e = {.x = x, .ts = ts, .fn = fn, .arg = arg};

	expand(&e, callee, args, 0);
}

/* ---------------------------------------------------------------- headers ---------- */

struct header_call {
	const struct facts *f;
	header_export_fn *fn;
	void *arg;
	struct header_export e;
};

/* A header that is included again and again may make another name of it each time. */
static bool is_macro_of(const struct facts *f, const char *name)
{
	const struct fact_def *d = f->a[FA_DEF];
	u64 hash = hash_str(name);
	u32 i;

	for (i = 0; i < f->n[FA_DEF]; i++)
		if (d[i].name == hash && d[i].kind == DEF_MACRO)
			return true;
	return false;
}

static void take_export(void *arg, const struct made *m)
{
	struct header_call *c = arg;
	const char *ns = m->ns ? m->ns : "";

	if (m->kind < 0 || *m->name == '"' || m->name[strlen(m->name) - 1] == '*')
		return;
	c->e.name = m->name;
	c->e.kind = m->kind;
	c->e.ns = ns + (*ns == '"');
	if (m->licence && strcasestr(m->licence, "gpl"))
		c->e.kind |= EXP_GPL;
	c->e.unnamed = is_macro_of(c->f, m->name);
	c->fn(c->arg, &c->e);
}

void header_exports(const struct facts *f, const struct templates *ts, header_export_fn *fn,
		    void *arg)
{
	const struct fact_call *call = f->a[FA_CALL];
	const struct fact_def *def = f->a[FA_DEF];
	struct header_call c = {.f = f, .fn = fn, .arg = arg};
	const struct template_list *l;
	const char *args;
	u32 i;

	for (i = 0; i < f->n[FA_CALL]; i++) {
		l = templates_find(ts, call[i].callee);
		if (!l || def[call[i].owner].kind != DEF_MADE)
			continue;
		args = facts_str(f, call[i].args);
		c.e.line = call[i].line;
		c.e.via = facts_str(f, def[call[i].owner].str);
		c.e.ns = "";
		c.e.unnamed = true;
		c.e.name = args + 1;
		c.e.kind = l->t[0].kind < 0 ? 0 : (u32)l->t[0].kind;
		if (*args == '*' && l->t[0].kind >= 0)
			fn(arg, &c.e);
		expand_call(NULL, ts, call[i].callee, args, take_export, &c);
	}
}
