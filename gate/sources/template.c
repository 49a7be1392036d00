// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which macros of the tree's headers paste names or export?
 *
 * A macro's recipes are those it has itself and those of the macros that it calls, with
 * its own arguments put in; so EXPORT_GPL_DEV_PM_OPS is traced to EXPORT_SYMBOL_GPL, and
 * guard(mutex) to class_mutex_constructor. A macro with several definitions (one a
 * configuration) has the recipes of all.
 */
#include <stdlib.h>

#include "extract.h"
#include "template.h"

#define MAX_TEMPLATES 96

static const struct {
	const char *name;
	int kind;
	u8 ns, licence;
	const char *fixed_ns;
} builtin[] = {
	{"EXPORT_SYMBOL", EXP_PLAIN, 0, 0},
	{"EXPORT_SYMBOL_GPL", EXP_GPL, 0, 0},
	{"EXPORT_SYMBOL_NS", EXP_PLAIN, 2, 0},
	{"EXPORT_SYMBOL_NS_GPL", EXP_GPL, 2, 0},
	{"EXPORT_SYMBOL_FOR_MODULES", EXP_GPL | EXP_NS_MODULES, 2, 0},
	{"EXPORT_SYMBOL_GPL_FOR_MODULES", EXP_GPL | EXP_NS_MODULES, 2, 0},
	{"EXPORT_SYMBOL_FOR_TESTS_ONLY", EXP_PLAIN | EXP_TESTS, 0, 0},
	{"EXPORT_SYMBOL_IF_KUNIT", EXP_PLAIN | EXP_TESTS, 0, 0,
	 "EXPORTED_FOR_KUNIT_TESTING"},
	{"_EXPORT_SYMBOL", EXP_PLAIN, 0, 2},
	{"__EXPORT_SYMBOL", EXP_PLAIN, 3, 2},
	{"EXPORT_TRACEPOINT_SYMBOL", EXP_PLAIN | EXP_TRACEPOINT, 0, 0},
	{"EXPORT_TRACEPOINT_SYMBOL_GPL", EXP_GPL | EXP_TRACEPOINT, 0, 0},
	{"EXPORT_STATIC_CALL", EXP_PLAIN | EXP_STATIC_CALL, 0, 0},
	{"EXPORT_STATIC_CALL_GPL", EXP_GPL | EXP_STATIC_CALL, 0, 0},
	{"EXPORT_STATIC_CALL_TRAMP", EXP_PLAIN | EXP_STATIC_CALL_TRAMP, 0, 0},
	{"EXPORT_STATIC_CALL_TRAMP_GPL", EXP_GPL | EXP_STATIC_CALL_TRAMP, 0, 0},
	{"EXPORT_PER_CPU_SYMBOL", EXP_PLAIN, 0, 0},
	{"EXPORT_PER_CPU_SYMBOL_GPL", EXP_GPL, 0, 0},
	{"EXPORT_EARLY_PER_CPU_SYMBOL", EXP_PLAIN, 0, 0},
	{"EXPORT_DATA_SYMBOL", EXP_PLAIN, 0, 0},
	{"EXPORT_DATA_SYMBOL_GPL", EXP_GPL, 0, 0},
};

void primitives_add(struct primitives *p, const char *name, int kind, int ns, int licence)
{
	struct primitive prim = {
		.name = hash_str(name), .kind = kind, .ns_arg = ns, .licence_arg = licence};

	vec_push(p, prim);
}

void primitives_init(struct primitives *p)
{
	size_t i;

	memset(p, 0, sizeof(*p));
	for (i = 0; i < ARRAY_SIZE(builtin); i++) {
		primitives_add(p, builtin[i].name, builtin[i].kind, builtin[i].ns,
			       builtin[i].licence);
		p->v[p->n - 1].fixed_ns = builtin[i].fixed_ns;
	}
}

const struct primitive *primitives_find(const struct primitives *p, u64 name)
{
	size_t i;

	for (i = p->n; i-- > 0;)
		if (p->v[i].name == name)
			return &p->v[i];
	return NULL;
}

/* One call in a macro's body. */
struct macro_call {
	const struct facts *f;
	const struct fact_call *call;
	u32 next; /* the macro's next one, 0 = none */
};

struct builder {
	struct templates *ts;
	VEC(struct macro_call) calls;
	struct map first; /* macro -> index in calls */
	u32 depth;
};

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void add_template(struct builder *b, struct template_list *l, const char *name,
			 const char *ns, const char *licence, int kind)
{
	struct arena *a = &b->ts->arena;
	u32 i;

	if (l->n == MAX_TEMPLATES)
		return;
	for (i = 0; i < l->n; i++)
		if (l->t[i].kind == kind && !strcmp(l->t[i].name, name) &&
		    !l->t[i].ns == !ns && (kind != MAKES_CALL || same(l->t[i].ns, ns)))
			return;
	l->t = xrealloc(l->t, (l->n + 1) * sizeof(*l->t));
	l->t[l->n++] = (struct template){
		.name = arena_strndup(a, name, strlen(name)),
		.ns = ns ? arena_strndup(a, ns, strlen(ns)) : NULL,
		.licence = licence ? arena_strndup(a, licence, strlen(licence)) : NULL,
		.kind = kind,
	};
}

static char *fill_or_null(const char *recipe, char **argv, u32 argc)
{
	struct buf b = {0};

	if (recipe && template_fill(&b, recipe, argv, argc))
		return b.s;
	buf_free(&b);
	return NULL;
}

static const struct template_list *resolve(struct builder *b, u64 macro);

/* Arguments filled in one by one; one that is not known becomes "?". */
static char *fill_each(const char *recipe, char **argv, u32 argc)
{
	char *copy = xstrdup(recipe), *part[MAX_ARGS];
	struct buf one = {0}, all = {0};
	u32 n = split_args(copy, part), i;

	buf_add(&all, "", 0);
	for (i = 0; i < n; i++) {
		if (i)
			buf_putc(&all, ARG_END);
		buf_puts(&all, template_fill(&one, part[i], argv, argc) ? one.s : "?");
	}
	buf_free(&one);
	free(copy);
	return all.s;
}

static void add_filled(struct builder *b, struct template_list *l, const struct template *t,
		       char **argv, u32 argc)
{
	char *name = t->kind == MAKES_CALL ? fill_each(t->name, argv, argc)
					   : fill_or_null(t->name, argv, argc);
	char *ns = fill_or_null(t->ns, argv, argc);
	char *licence = fill_or_null(t->licence, argv, argc);

	if (name && (ns || t->kind != MAKES_CALL))
		add_template(b, l, name, ns, licence, t->kind);
	free(name);
	free(ns);
	free(licence);
}

static void add_from_call(struct builder *b, struct template_list *l,
			  const struct macro_call *mc)
{
	char *args = xstrdup(facts_str(mc->f, mc->call->args)), *argv[MAX_ARGS];
	const struct template_list *sub;
	char param[2] = {0};
	u64 callee = mc->call->callee;
	u32 argc, i;

	if (!callee) {
		add_template(b, l, args, NULL, NULL, MAKES_USE);
	} else if (callee < CALLEE_PARAM + MAX_PARAMS) {
		param[0] = (char)(0x80 + (callee - CALLEE_PARAM));
		add_template(b, l, args, param, NULL, MAKES_CALL);
	} else if ((sub = resolve(b, callee)) && *args == '=') {
		for (i = 0; i < sub->n; i++)
			add_template(b, l, sub->t[i].name, sub->t[i].ns, sub->t[i].licence,
				     sub->t[i].kind);
	} else if (sub) {
		argc = split_args(args, argv);
		for (i = 0; i < sub->n; i++)
			add_filled(b, l, &sub->t[i], argv, argc);
	}
	free(args);
}

static const struct template_list *resolve(struct builder *b, u64 macro)
{
	struct template_list made = {.macro = macro};
	u32 *at = map_find(&b->ts->index, macro), *first, i;

	if (at)
		return *at == UINT32_MAX ? NULL : &b->ts->lists.v[*at];
	first = map_find(&b->first, macro);
	if (!first || b->depth > 24)
		return NULL;
	*map_get(&b->ts->index, macro, UINT32_MAX) = UINT32_MAX; /* in progress, or none */
	b->depth++;
	for (i = *first; i; i = b->calls.v[i].next)
		add_from_call(b, &made, &b->calls.v[i]);
	b->depth--;
	if (!made.n)
		return NULL;
	*map_get(&b->ts->index, macro, 0) = b->ts->lists.n;
	vec_push(&b->ts->lists, made);
	return &b->ts->lists.v[b->ts->lists.n - 1];
}

static void add_alias(struct templates *ts, u64 macro, const char *other)
{
	u32 *at = map_get(&ts->aliases, macro, UINT32_MAX);

	if (*at != UINT32_MAX)
		return;
	*at = ts->alias_names.n;
	vec_push(&ts->alias_names, arena_strndup(&ts->arena, other, strlen(other)));
	ts->digest += (macro ^ hash_str(other)) * 0x9fb21c651e98df25ull;
}

const char *templates_alias(const struct templates *ts, u64 name)
{
	const u32 *at = map_find(&ts->aliases, name);

	return at ? ts->alias_names.v[*at] : NULL;
}

static void collect_calls(struct builder *b, const struct facts *f)
{
	const struct fact_call *call = f->a[FA_CALL];
	const struct fact_def *def = f->a[FA_DEF];
	u32 i;

	for (i = 0; i < f->n[FA_CALL]; i++) {
		const struct fact_def *d = &def[call[i].owner];
		struct macro_call mc = {.f = f, .call = &call[i]};
		u32 *first;

		if (d->kind != DEF_MACRO)
			continue;
		if (*facts_str(f, call[i].args) == '=')
			add_alias(b->ts, d->name, facts_str(f, call[i].args) + 1);
		first = map_get(&b->first, d->name, 0);
		mc.next = *first;
		*first = b->calls.n;
		vec_push(&b->calls, mc);
	}
}

static void add_primitives(struct builder *b, const struct primitives *prims)
{
	size_t i;

	for (i = 0; i < prims->n; i++) {
		const struct primitive *p = &prims->v[i];
		struct template_list l = {.macro = p->name};
		char ns[2] = {(char)(0x80 + p->ns_arg - 1)};
		char licence[2] = {(char)(0x80 + p->licence_arg - 1)};

		add_template(b, &l, "\x80", p->ns_arg ? ns : p->fixed_ns,
			     p->licence_arg ? licence : NULL, p->kind);
		*map_get(&b->ts->index, p->name, 0) = b->ts->lists.n;
		vec_push(&b->ts->lists, l);
	}
}

static void seal(struct templates *ts)
{
	size_t i;
	u32 k;

	for (i = 0; i < ts->lists.n; i++) {
		const struct template_list *l = &ts->lists.v[i];

		ts->filter[(l->macro >> 6) & 1023] |= 1ull << (l->macro & 63);
		for (k = 0; k < l->n; k++) {
			u64 h = hash_str(l->t[k].name) ^
				(u64)(l->t[k].kind + 2) * 0x9e3779b9;

			if (l->t[k].ns)
				h ^= hash_str(l->t[k].ns) << 1;
			ts->digest += (h ^ l->macro) * 0xd6e8feb86659fd93ull;
		}
	}
}

/* Those that made nothing leave the index, so that a look-up is a find. */
static void drop_empty(struct templates *ts)
{
	struct map full = {0};
	size_t i;

	for (i = 0; i < ts->lists.n; i++)
		*map_get(&full, ts->lists.v[i].macro, 0) = i;
	map_free(&ts->index);
	ts->index = full;
}

void templates_build(struct templates *ts, const struct facts *const *headers, size_t n,
		     const struct primitives *prims)
{
	struct builder b = {.ts = ts};
	struct macro_call none = {0};
	size_t i;

	memset(ts, 0, sizeof(*ts));
	vec_push(&b.calls, none); /* index 0 means "no more" */
	add_primitives(&b, prims);
	for (i = 0; i < n; i++)
		collect_calls(&b, headers[i]);
	for (i = 0; i <= b.first.mask && b.first.key; i++)
		if (b.first.key[i])
			resolve(&b, b.first.key[i]);
	drop_empty(ts);
	seal(ts);
	vec_free(&b.calls);
	map_free(&b.first);
}

void templates_free(struct templates *ts)
{
	size_t i;

	for (i = 0; i < ts->lists.n; i++)
		free(ts->lists.v[i].t);
	vec_free(&ts->lists);
	map_free(&ts->index);
	map_free(&ts->aliases);
	vec_free(&ts->alias_names);
	arena_free(&ts->arena);
}
