// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: which change comes next?
 */
#include "mutate.h"

unsigned int kinds_enabled;
struct hint hint;

/* The last page: what is removed page by page is removed there last. */
static void give_hint(const struct life *l, const struct span *s)
{
	atomic_store(&hint.win, s->win);
	atomic_store(&hint.off, (size_t)(s->first + s->nr - 1) * PAGE);
	atomic_store(&hint.region, l->region);
}

typedef void change_fn(struct life *l, struct mutator *m, struct span s);

static const struct change {
	const char *name;
	change_fn *fn;
	unsigned int weight;
	bool mapped; /* the span must be mapped in full */
} changes[] = {
	{"mmap over", change_map, 16, false},
	{"munmap", change_unmap, 7, false},
	{"mremap", change_move, 10, true},
	{"mremap to less", change_resize, 3, true},
	{"stamp", change_stamp, 16, true},
	{"mprotect", change_protect, 14, true},
	{"MADV_DONTNEED", change_discard, 16, true},
	{"MADV_FREE", change_free, 4, true},
	{"MADV_REMOVE", change_remove, 8, true},
	{"MADV_GUARD_INSTALL", change_guard, 4, true},
	{"ftruncate", change_length, 4, true},
	{"advice", change_nothing, 3, true},
	{"fork", change_fork, 1, true},
};
#define NR_CHANGES (sizeof(changes) / sizeof(changes[0]))

static const struct change *some_change(uint64_t *rng)
{
	unsigned int total = 0, at;

	for (unsigned int i = 0; i < NR_CHANGES; i++)
		total += changes[i].weight;
	at = rnd_below(rng, total);
	for (unsigned int i = 0;; i++) {
		if (at < changes[i].weight)
			return &changes[i];
		at -= changes[i].weight;
	}
}

static struct span some_span(const struct life *l, uint64_t *rng)
{
	unsigned int pages = l->region->pages, nr, first;

	nr = rnd_below(rng, 4) ? 1 + rnd_below(rng, 6) : 1 + rnd_below(rng, pages);
	first = rnd_below(rng, pages - nr + 1);
	return span_of(l, rnd_below(rng, WINDOWS), first, nr);
}

/* Cut the span where it is no longer mapped; false: its first page is not. */
static bool cut_to_mapped(const struct life *l, struct span *s)
{
	unsigned int nr = 0;

	while (nr < s->nr && l->pages[s->page + nr].mapped)
		nr++;
	if (nr)
		*s = span_of(l, s->win, s->first, nr);
	return nr > 0;
}

static void change_window(struct mutator *m, struct life *l)
{
	const struct change *c = some_change(&m->rng);
	struct span s = some_span(l, &m->rng);

	if (c->mapped && !cut_to_mapped(l, &s)) {
		c = &changes[0]; /* a hole: fill it */
	} else if (l->kind == KIND_SYSV &&
		   (c->fn == change_move || c->fn == change_resize)) {
		return; /* shmdt would not find the pieces */
	} else if (c->fn == change_stamp && s.nr > 32) {
		s = span_of(l, s.win, s.first, 32);
	}
	m->doing = c->name;
	give_hint(l, &s);
	c->fn(l, m, s);
	m->doing = "probe";
	if (rnd_below(&m->rng, 3))
		traffic_probe(m, l, &s);
}

static bool kind_fits(const struct region *r, enum kind k)
{
	if (r->exclusive != kind_is_exclusive(k))
		return false;
	return r->exclusive || (k == KIND_THP) == (r->pages == HUGE_PAGES);
}

static bool some_kind(const struct region *r, uint64_t *rng, enum kind *out)
{
	enum kind fit[KINDS];
	unsigned int nr = 0;

	for (unsigned int k = 0; k < KINDS; k++)
		if (kinds_enabled & 1u << k && kind_fits(r, (enum kind)k))
			fit[nr++] = (enum kind)k;
	if (nr)
		*out = fit[rnd_below(rng, nr)];
	return nr > 0;
}

static void live(struct mutator *m, struct life *l)
{
	enum kind kind;

	if (!l->steps) {
		if (!some_kind(l->region, &m->rng, &kind))
			return;
		m->doing = "new life";
		life_begin(l, m, kind);
	}
	for (unsigned int i = 1 + rnd_below(&m->rng, 8); i && l->steps > 1;
	     i--, l->steps--) {
		if (kind_is_exclusive(l->kind))
			heap_step(l, m);
		else
			change_window(m, l);
	}
	if (l->steps == 1) {
		m->doing = "end of a life";
		life_end(l);
		l->steps = 0;
	}
}

void mutate_step(struct mutator *m, struct life *lives, unsigned int nr)
{
	struct life *l = &lives[rnd_below(&m->rng, nr)];

	if (pthread_mutex_trylock(&l->region->mutate))
		return;
	live(m, l);
	pthread_mutex_unlock(&l->region->mutate);
	atomic_fetch_add(&m->progress, 1);
}
