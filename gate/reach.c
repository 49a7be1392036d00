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

#include "components.h"
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

static void add_targets(struct reach *r, u32 from_file, u32 name)
{
	const struct linker *l = r->l;
	bool open = false;
	u32 t;

	for (t = l->target_first[name]; t < l->target_first[name + 1]; t++) {
		const struct target *to = &l->targets[t];

		if (to->file == NO_FILE)
			vec_push(&r->own, to->index);
		else if (r->node_of[to->index] == UINT32_MAX)
			continue;
		else if (includes_reach(l->inc, from_file, to->file))
			vec_push(&r->edges, r->node_of[to->index]);
		else
			open = true;
	}
	if (open)
		add_open(r, name);
}

static void collect_edges(struct reach *r)
{
	u32 i, k;

	r->edge_first = xmalloc((r->n + 1) * sizeof(u32));
	r->own_first = xmalloc((r->n + 1) * sizeof(u32));
	for (i = 0; i < r->n; i++) {
		const struct def *d = &r->l->s->defs.v[r->def_of[i]];

		r->edge_first[i] = r->edges.n;
		r->own_first[i] = r->own.n;
		for (k = 0; k < d->nfollow; k++)
			add_targets(r, d->file, d->follow[k]);
	}
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

static void collect_meanings(struct reach *r)
{
	const struct linker *l = r->l;
	u32 i, t;

	r->meaning_first = xmalloc((r->maybe.n + 1) * sizeof(u32));
	for (i = 0; i < r->maybe.n; i++) {
		u32 name = r->maybe.v[i];

		r->meaning_first[i] = r->meaning.n;
		for (t = l->target_first[name]; t < l->target_first[name + 1]; t++) {
			const struct target *to = &l->targets[t];
			struct reach_meaning m;

			if (to->file == NO_FILE || r->set_of[to->index] == NO_SET)
				continue;
			m.header = includes_header(l->inc, to->file);
			m.set = r->set_of[to->index];
			if (m.header != NO_FILE)
				vec_push(&r->meaning, m);
		}
		seal_meanings(r, r->meaning_first[i]);
	}
	r->meaning_first[i] = r->meaning.n;
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
	free(r->meaning_first);
	free(r);
}
