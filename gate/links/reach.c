// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which exports does a file use that names this macro or inline function?
 *
 * Ten thousand modules name the same definitions over and over, so what a definition
 * reaches is made out once. What a body names counts at once if the definition's own
 * header sees it; if not, it depends on the file that uses the definition, and stays open
 * in the set. Definitions that reach each other have one set.
 */
#include <stdlib.h>

#include "base/components.h"
#include "reach.h"

static void number_nodes(struct reach *r)
{
	const struct scan *s = r->l->s;
	u32 i;

	r->node_of = xmalloc((s->defs.n + 1) * sizeof(u32));
	r->def_of = xmalloc((s->defs.n + 1) * sizeof(u32));
	r->set_of = xmalloc((s->defs.n + 1) * sizeof(u32));
	for (i = 0; i < s->defs.n; i++) {
		r->node_of[i] = r->set_of[i] = UINT32_MAX;
		if (!s->defs.v[i].reaches)
			continue;
		r->node_of[i] = r->n;
		r->def_of[r->n++] = i;
	}
}

/* The file that uses the definition may see more of what this name can mean. */
static void add_open(struct reach *r, u32 name)
{
	if (r->maybe_of[name] == UINT32_MAX) {
		r->maybe_of[name] = r->maybe.n;
		vec_push(&r->maybe, name);
	}
	vec_push(&r->own, r->base + r->maybe_of[name]);
}

static void add_targets(struct reach *r, u32 name)
{
	const struct linker *l = r->l;
	const struct group *g;
	bool open = false;
	u32 i, t;

	for (i = l->group_first[name]; i < l->group_first[name + 1]; i++) {
		g = &l->groups.v[i];
		for (t = g->first; g->kind == GROUP_EXPORTS && t < g->first + g->n; t++)
			vec_push(&r->own, l->targets.v[t].index);
		if (g->kind != GROUP_REACHING)
			continue;
		open |= g->mask & ~r->seen.bits[g->word];
		for (t = g->first; visible_some(&r->seen, g) && t < g->first + g->n; t++)
			if (visible_header(&r->seen, l->targets.v[t].header))
				vec_push(&r->edges, r->node_of[l->targets.v[t].index]);
	}
	if (open)
		add_open(r, name);
}

static void collect_edges(struct reach *r)
{
	u32 i, k, file = NO_FILE;

	visible_init(r->l->inc, &r->seen);
	r->edge_first = xmalloc((r->n + 1) * sizeof(u32));
	r->own_first = xmalloc((r->n + 1) * sizeof(u32));
	for (i = 0; i < r->n; i++) {
		const struct def *d = &r->l->s->defs.v[r->def_of[i]];

		r->edge_first[i] = r->edges.n;
		r->own_first[i] = r->own.n;
		if (d->file != file)
			visible_fill_header(r->l->inc, d->file, &r->seen);
		file = d->file;
		for (k = 0; k < d->nfollow; k++)
			add_targets(r, d->follow[k]);
	}
	visible_free(&r->seen);
	r->edge_first[r->n] = r->edges.n;
	r->own_first[r->n] = r->own.n;
}

/* ---------------------------------------------------------------- sets ------------- */

static void put_bits(struct reach *r, u32 at, u64 bits)
{
	bits &= ~r->common[at];
	if (!bits)
		return;
	if (!r->scratch[at])
		vec_push(&r->touched, at);
	r->scratch[at] |= bits;
}

/* The definitions that the component names, once each: as sets. */
static void collect_sets(struct reach *r, const u32 *members, u32 n)
{
	u32 i, e, set;

	r->merge++;
	r->merged.n = 0;
	for (i = 0; i < n; i++)
		for (e = r->edge_first[members[i]]; e < r->edge_first[members[i] + 1];
		     e++) {
			set = r->set_of[r->def_of[r->edges.v[e]]];
			if (set == NO_SET || r->stamp.v[set] == r->merge)
				continue;
			r->stamp.v[set] = r->merge;
			vec_push(&r->merged, set);
		}
}

/* The largest of them is shared as it is; the others add what it lacks. */
static u32 largest_set(const struct reach *r)
{
	u32 best = NO_SET, i;

	for (i = 0; i < r->merged.n; i++)
		if (best == NO_SET || r->sets.v[r->merged.v[i]].size > r->sets.v[best].size)
			best = r->merged.v[i];
	return best;
}

static void mark_common(struct reach *r, u32 set, bool on)
{
	const struct reach_set *at;
	u32 i;

	for (; set != NO_SET; set = at->rest) {
		at = &r->sets.v[set];
		r->stamp.v[set] = r->merge;
		for (i = 0; i < at->n; i++)
			r->common[at->w[i].at] =
				on ? r->common[at->w[i].at] | at->w[i].bits : 0;
	}
}

static void add_sets(struct reach *r, u32 largest)
{
	const struct reach_set *at;
	u32 i, k, set;

	r->merge++;
	mark_common(r, largest, true);
	for (i = 0; i < r->merged.n; i++)
		for (set = r->merged.v[i]; set != NO_SET && r->stamp.v[set] != r->merge;
		     set = at->rest) {
			at = &r->sets.v[set];
			r->stamp.v[set] = r->merge;
			for (k = 0; k < at->n; k++)
				put_bits(r, at->w[k].at, at->w[k].bits);
		}
}

/* Makes a set of the scratch and empties that. */
static u32 make_set(struct reach *r, u32 rest)
{
	u32 n = r->touched.n, i, base = r->base;
	struct reach_word *w;
	struct reach_set set = {.n = n, .rest = rest, .size = n};

	if (!n && rest != NO_SET)
		return rest;
	w = arena_alloc(&r->l->s->arena, (n + 1) * sizeof(*w));
	set.w = w;
	for (i = 0; i < n; i++) {
		w[i].at = r->touched.v[i];
		w[i].bits = r->scratch[w[i].at];
		r->scratch[w[i].at] = 0;
		set.open |= w[i].at > base / 64 ||
			    (w[i].at == base / 64 && w[i].bits >> (base % 64));
	}
	r->touched.n = 0;
	if (rest != NO_SET) {
		set.size += r->sets.v[rest].size;
		set.open |= r->sets.v[rest].open;
	}
	vec_push(&r->sets, set);
	vec_push(&r->stamp, 0);
	return r->sets.n - 1;
}

static void close_members(void *arg, const u32 *members, u32 n)
{
	struct reach *r = arg;
	u32 i, e, largest, set;

	collect_sets(r, members, n);
	largest = largest_set(r);
	add_sets(r, largest);
	for (i = 0; i < n; i++)
		for (e = r->own_first[members[i]]; e < r->own_first[members[i] + 1]; e++)
			put_bits(r, r->own.v[e] / 64, 1ull << (r->own.v[e] % 64));
	mark_common(r, largest, false);
	set = make_set(r, largest);
	for (i = 0; i < n; i++)
		r->set_of[r->def_of[members[i]]] = set;
}

static int by_header(const void *a, const void *b)
{
	const struct reach_meaning *x = a, *y = b;

	if (x->header != y->header)
		return x->header < y->header ? -1 : 1;
	return x->set < y->set ? -1 : x->set > y->set;
}

/* Headers of register numbers define one name over and over: once is enough. */
static void seal_meanings(struct reach *r, u32 first)
{
	struct reach_meaning *m = r->meaning.v;
	u32 i, kept = first;

	if (r->meaning.n - first > 1)
		qsort(m + first, r->meaning.n - first, sizeof(*m), by_header);
	for (i = first; i < r->meaning.n; i++)
		if (i == first || by_header(&m[i], &m[kept - 1]))
			m[kept++] = m[i];
	r->meaning.n = kept;
}

static void group_meanings(struct reach *r, u32 first)
{
	struct group *g = NULL;
	u32 i, word;

	for (i = first; i < r->meaning.n; i++) {
		word = r->meaning.v[i].header / 64;
		if (!g || g->word != word) {
			struct group fresh = {.word = word, .first = i};

			vec_push(&r->groups, fresh);
			g = &r->groups.v[r->groups.n - 1];
		}
		g->mask |= 1ull << (r->meaning.v[i].header % 64);
		g->n++;
	}
}

static void add_meanings(struct reach *r, const struct group *g)
{
	const struct target *to = r->l->targets.v + g->first, *end = to + g->n;

	for (; g->kind == GROUP_REACHING && to < end; to++) {
		struct reach_meaning m = {.header = to->header,
					  .set = r->set_of[to->index]};

		vec_push(&r->meaning, m);
	}
}

static void collect_meanings(struct reach *r)
{
	const struct linker *l = r->l;
	u32 i, k, first;

	r->group_first = xmalloc((r->maybe.n + 1) * sizeof(u32));
	for (i = 0; i < r->maybe.n; i++) {
		u32 name = r->maybe.v[i];

		r->group_first[i] = r->groups.n;
		first = r->meaning.n;
		for (k = l->group_first[name]; k < l->group_first[name + 1]; k++)
			add_meanings(r, &l->groups.v[k]);
		seal_meanings(r, first);
		group_meanings(r, first);
	}
	r->group_first[i] = r->groups.n;
}

struct reach *reach_create(struct linker *l)
{
	struct reach *r = xcalloc(1, sizeof(*r));

	r->l = l;
	r->base = l->xnames.n;
	r->maybe_of = xmalloc((l->names.n + 1) * sizeof(u32));
	memset(r->maybe_of, 0xff, (l->names.n + 1) * sizeof(u32));
	number_nodes(r);
	collect_edges(r);
	r->words = (r->base + r->maybe.n) / 64 + 1;
	r->scratch = xcalloc(r->words, sizeof(u64));
	r->common = xcalloc(r->words, sizeof(u64));
	each_component(r->n, r->edge_first, r->edges.v, close_members, r);
	collect_meanings(r);
	free(r->node_of);
	free(r->def_of);
	free(r->edge_first);
	free(r->own_first);
	free(r->scratch);
	free(r->common);
	vec_free(&r->edges);
	vec_free(&r->own);
	vec_free(&r->touched);
	vec_free(&r->merged);
	vec_free(&r->stamp);
	free(r->maybe_of);
	return r;
}

void reach_free(struct reach *r)
{
	free(r->set_of);
	vec_free(&r->sets);
	vec_free(&r->maybe);
	vec_free(&r->meaning);
	vec_free(&r->groups);
	free(r->group_first);
	free(r);
}
