// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What can a name mean: which exports, and which definitions of headers reach one?
 *
 * What reaches an export is found by going over all bodies until nothing changes. Headers
 * of register numbers define one name hundreds of times, so the meanings of a name lie in
 * groups whose headers share a word of a set of headers: one look tells whether a file
 * sees any of the group.
 */
#include <stdlib.h>

#include "link.h"
#include "sources/expand.h"

void linker_add_name(struct linker *l, u64 name, enum edge_kind kind, u32 target)
{
	u32 *id = map_get(&l->names, name, UINT32_MAX), bit = name >> (64 - FILTER_BITS);
	struct edge e = {.target = target, .kind = kind};

	if (*id == UINT32_MAX) {
		*id = l->first_edge.n;
		vec_push(&l->first_edge, 0);
	}
	e.next = l->first_edge.v[*id];
	vec_push(&l->edges, e);
	l->first_edge.v[*id] = l->edges.n;
	l->filter[bit / 64] |= 1ull << (bit % 64);
}

static enum group_kind kind_of(const struct linker *l, const struct edge *edge)
{
	if (edge->kind == EDGE_EXPORT)
		return GROUP_EXPORTS;
	return l->s->defs.v[edge->target].reaches ? GROUP_REACHING : GROUP_OTHER;
}

/* Behind the name's others, the order of which is kept. */
static void add_target(struct linker *l, const struct edge *edge, bool first)
{
	struct target to = {.index = edge->target};
	struct group fresh = {.kind = kind_of(l, edge), .first = l->targets.n}, *g;
	bool same;

	if (fresh.kind != GROUP_EXPORTS) {
		to.header = includes_header(l->inc, l->s->defs.v[edge->target].file);
		if (to.header == NO_FILE)
			return; /* nobody sees it */
		fresh.word = to.header / 64;
	}
	same = !first && l->groups.v[l->groups.n - 1].kind == fresh.kind &&
	       l->groups.v[l->groups.n - 1].word == fresh.word;
	if (!same)
		vec_push(&l->groups, fresh);
	g = &l->groups.v[l->groups.n - 1];
	g->mask |= 1ull << (to.header % 64);
	g->n++;
	vec_push(&l->targets, to);
}

void linker_seal_names(struct linker *l)
{
	u32 i, e;

	l->group_first = xmalloc((l->first_edge.n + 1) * sizeof(u32));
	for (i = 0; i < l->first_edge.n; i++) {
		l->group_first[i] = l->groups.n;
		for (e = l->first_edge.v[i]; e; e = l->edges.v[e - 1].next)
			add_target(l, &l->edges.v[e - 1], l->groups.n == l->group_first[i]);
	}
	l->group_first[i] = l->groups.n;
	vec_free(&l->edges);
	vec_free(&l->first_edge);
}

/* ---------------------------------------------------------------- definitions ------ */

struct made_names {
	u64 *out;
	u32 n, max;
};

static void take_name(void *arg, const struct made *m)
{
	struct made_names *names = arg;

	if (m->kind == MAKES_USE && names->n < names->max)
		names->out[names->n++] = hash_str(m->name);
}

/* The names that templates make of a header's call; those without parameters are fixed. */
static void made_names(struct scan *s, const struct facts *f, const struct fact_call *call,
		       u64 *out, u32 *n, u32 max)
{
	struct made_names names = {out, *n, max};

	if (templates_find(&s->templates, call->callee))
		expand_call(NULL, &s->templates, call->callee, facts_str(f, call->args),
			    take_name, &names);
	*n = names.n;
}

#define MAX_MADE 256

/* A macro invoked at a header's file scope defines the names that it makes. */
static void add_made_defs(struct linker *l, const struct def *d, const u64 *names, u32 n)
{
	struct def made = *d;
	u64 *callee;
	u32 i;

	callee = arena_alloc(&l->arena, sizeof(*callee));
	*callee = d->name;
	made.extra = callee;
	made.nextra = 1;
	for (i = 0; i < n; i++) {
		made.name = names[i];
		vec_push(&l->s->defs, made);
	}
}

/* A macro body's own calls may make fixed names: #define lock() guard(mutex)(&m). */
static void add_fixed_names(struct linker *l, struct def *d)
{
	const struct template_list *list = templates_find(&l->s->templates, d->name);
	u64 *extra;
	const char *p;
	u32 i, n = 0;

	if (!list)
		return;
	extra = arena_alloc(&l->arena, list->n * sizeof(*extra));
	for (i = 0; i < list->n; i++) {
		for (p = list->t[i].name; *p && (u8)*p < 0x80; p++)
			;
		if (!*p && list->t[i].kind == MAKES_USE)
			extra[n++] = hash_str(list->t[i].name);
	}
	d->extra = extra;
	d->nextra = n;
}

static void add_header_defs(struct linker *l, u32 file)
{
	struct scan *s = l->s;
	const struct facts *f = &s->tree->files.v[file].facts;
	const struct fact_call *call = f->a[FA_CALL];
	u32 i, c = 0, n;
	u64 names[MAX_MADE];

	for (i = 0; i < f->n[FA_DEF]; i++) {
		const struct fact_def *fd = FACTS(f, struct fact_def, FA_DEF) + i;
		struct def d = {.name = fd->name,
				.body = FACTS(f, u64, FA_BODY) + fd->body,
				.nbody = fd->nbody,
				.file = file,
				.line = fd->line,
				.str = fd->str,
				.kind = fd->kind};

		for (n = 0; c < f->n[FA_CALL] && call[c].owner <= i; c++)
			if (call[c].owner == i && fd->kind != DEF_MACRO)
				made_names(s, f, &call[c], names, &n, MAX_MADE);
		if (fd->kind == DEF_MACRO) {
			add_fixed_names(l, &d);
		} else if (fd->kind == DEF_MADE && !n) {
			/* its class may be compiled by CREATE_TRACE_POINTS */
		} else if (fd->kind == DEF_MADE) {
			add_made_defs(l, &d, names, n);
		} else if (n) {
			u64 *extra = arena_alloc(&l->arena, n * sizeof(*extra));

			memcpy(extra, names, n * sizeof(*extra));
			d.extra = extra;
			d.nextra = n;
		}
		if (d.nbody || d.nextra || d.kind != DEF_MADE)
			vec_push(&s->defs, d);
	}
}

static bool body_matters(const struct linker *l, const u64 *names, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (linker_matters(l, names[i]) && map_find(&l->names, names[i]))
			return true;
	return false;
}

/* CREATE_TRACE_POINTS compiles the bodies of a header's trace events. */
static bool is_trace_class(const struct scan *s, const struct def *d)
{
	const char *name = facts_str(&s->tree->files.v[d->file].facts, d->str);

	return d->kind == DEF_MADE &&
	       (has_prefix(name, "TRACE_EVENT") || has_prefix(name, "DECLARE_EVENT_CLASS"));
}

void linker_collect_defs(struct linker *l)
{
	const struct tree *t = l->s->tree;
	size_t i;

	for (i = 0; i < t->files.n; i++)
		if (t->files.v[i].kind == FILE_HEADER && t->files.v[i].has_facts)
			add_header_defs(l, i);
}

void linker_find_reaching(struct linker *l)
{
	struct scan *s = l->s;
	bool changed = true;
	size_t i;

	linker_add_globs(l);
	while (changed) {
		changed = false;
		for (i = 0; i < s->defs.n; i++) {
			struct def *d = &s->defs.v[i];

			if (d->reaches || !(body_matters(l, d->body, d->nbody) ||
					    body_matters(l, d->extra, d->nextra)))
				continue;
			d->reaches = changed = true;
			if (d->name == ANONYMOUS)
				vec_push(&l->anonymous, i);
			else if (is_trace_class(s, d))
				vec_push(&l->classes, i);
			linker_add_name(l, d->name, EDGE_DEF, i);
		}
	}
	/* one that reaches nothing may still stand in an export's way, see is_shadowed() */
	for (i = 0; i < s->defs.n; i++)
		if (!s->defs.v[i].reaches && linker_matters(l, s->defs.v[i].name) &&
		    map_find(&l->names, s->defs.v[i].name))
			linker_add_name(l, s->defs.v[i].name, EDGE_DEF, i);
}
