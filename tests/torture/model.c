// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how are the histories of model.h written?
 */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model_priv.h"

struct model_stats model_stats;
static _Atomic uint64_t model_clock = 1;

uint64_t model_tick(void)
{
	return atomic_fetch_add(&model_clock, 1);
}

/* Not malloc: the heap is under test, and a fork's child must find this as it was. */
static void *table(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);

	return at == MAP_FAILED ? NULL : at;
}

int region_init(struct region *r, unsigned int id, unsigned int pages, char *at)
{
	unsigned int all = pages * WINDOWS;

	memset(r, 0, sizeof(*r));
	r->id = id;
	r->pages = pages;
	for (unsigned int w = 0; w < WINDOWS; w++)
		r->window[w] =
			at + (size_t)w * (pages == HUGE_PAGES ? pages : pages + 1) * PAGE;
	pthread_mutex_init(&r->mutate, NULL);
	pthread_mutex_init(&r->lock, NULL);
	pthread_rwlock_init(&r->hold, NULL);
	r->nr_back = all * 3 + 8;
	r->map = table(all * sizeof(*r->map));
	r->back = table(r->nr_back * sizeof(*r->back));
	r->open_maps = table(2 * all * sizeof(*r->open_maps));
	r->open_backs = table(4 * all * sizeof(*r->open_backs));
	if (!r->map || !r->back || !r->open_maps || !r->open_backs)
		return -ENOMEM;
	for (unsigned int i = 0; i < all; i++) {
		r->map[i].nr = 1;
		r->map[i].evs[0].backing = -1;
	}
	return 0;
}

void region_fini(struct region *r)
{
	unsigned int all = r->pages * WINDOWS;

	munmap(r->map, all * sizeof(*r->map));
	munmap(r->back, r->nr_back * sizeof(*r->back));
	munmap(r->open_maps, 2 * all * sizeof(*r->open_maps));
	munmap(r->open_backs, 4 * all * sizeof(*r->open_backs));
	pthread_mutex_destroy(&r->mutate);
	pthread_mutex_destroy(&r->lock);
	pthread_rwlock_destroy(&r->hold);
}

/* ---- values ------------------------------------------------------------------- */

/* From when on can v not be seen any more? NEVER: it still can. */
static uint64_t killed_at(const struct backing *b, const struct val *v)
{
	uint64_t at = NEVER;

	for (unsigned int i = 0; i < b->nr; i++) {
		const struct val *e = &b->vals[i];

		if (e->certain && e->end != NEVER && e->start >= v->end && e->lo <= v->lo &&
		    e->hi >= v->hi && e->end < at)
			at = e->end;
	}
	return at;
}

static void forget(struct backing *b, unsigned int i)
{
	memmove(&b->vals[i], &b->vals[i + 1], (b->nr - i - 1) * sizeof(b->vals[0]));
	b->nr--;
}

/* Room for one more value: drop the one that ended longest ago. */
static bool make_room(struct backing *b)
{
	unsigned int pick = b->nr;
	uint64_t best = NEVER;

	if (b->nr < MODEL_VALS)
		return true;
	for (unsigned int i = 0; i < b->nr; i++) {
		uint64_t at = killed_at(b, &b->vals[i]);

		if (at < best && !b->vals[i].pending) {
			best = at;
			pick = i;
		}
	}
	if (pick < b->nr) {
		if (best > b->known_from)
			b->known_from = best;
		forget(b, pick);
		return true;
	}
	for (unsigned int i = 0; i < b->nr; i++) {
		if (b->vals[i].pending || b->vals[i].end == NEVER)
			continue;
		b->unknown = true;
		if (b->vals[i].end > b->lost_until)
			b->lost_until = b->vals[i].end;
		forget(b, i);
		return true;
	}
	return false;
}

struct val *backing_add(struct backing *b, const struct val *v)
{
	if (!make_room(b)) {
		/* Only writes under way are left: nothing more is known of this page. */
		b->unknown = true;
		b->known_from = NEVER;
		return NULL;
	}
	b->vals[b->nr] = *v;
	return &b->vals[b->nr++];
}

/* All bytes were surely written, after what was lost: the page is known again. */
static void value_ended(struct backing *b, struct val *v, uint64_t now)
{
	v->end = now;
	if (b->unknown && v->certain && !v->lo && v->hi == PAGE && b->known_from != NEVER &&
	    v->start >= b->lost_until) {
		b->unknown = false;
		b->known_from = now;
	}
}

void model_value(struct region *r, int backing, uint32_t gen, unsigned int page,
		 bool certain)
{
	struct backing *b = &r->back[backing];

	backing_add(b, &(struct val){.start = r->now,
				     .end = NEVER,
				     .gen = gen,
				     .page = page,
				     .hi = PAGE,
				     .certain = certain});
	r->open_backs[r->nr_open_backs++] = backing;
}

/* ---- mappings ----------------------------------------------------------------- */

int model_backing(struct region *r)
{
	for (unsigned int i = 0; i < r->nr_back; i++) {
		unsigned int at = (r->next_back + i) % r->nr_back;
		struct backing *b = &r->back[at];

		if (b->refs)
			continue;
		r->next_back = at + 1;
		b->serial++;
		b->unknown = false;
		b->known_from = b->lost_until = 0;
		b->nr = 0;
		return (int)at;
	}
	fprintf(stderr, "torture: region %u ran out of backing pages\n", r->id);
	abort();
}

void model_hold(struct region *r, int backing, int by)
{
	r->back[backing].refs += (unsigned int)by;
}

const struct mapev *model_current(const struct region *r, unsigned int page)
{
	const struct mpage *m = &r->map[page];

	return &m->evs[m->nr - 1];
}

static void pend(struct region *r, const struct inflight *w, unsigned int page, int backing)
{
	size_t from = (size_t)w->page * PAGE + w->off, to = from + w->len;
	size_t lo = (size_t)page * PAGE, hi = lo + PAGE;
	struct backing *b = &r->back[backing];

	if (to <= lo || from >= hi)
		return;
	for (unsigned int i = 0; i < b->nr; i++)
		if (b->vals[i].gen == w->gen && b->vals[i].page == page)
			return;
	backing_add(b, &(struct val){.start = w->start,
				     .end = NEVER,
				     .gen = w->gen,
				     .page = page,
				     .lo = (uint32_t)(from > lo ? from - lo : 0),
				     .hi = (uint32_t)((to < hi ? to : hi) - lo),
				     .pending = true});
}

void model_map(struct region *r, unsigned int page, int backing, unsigned int access)
{
	struct mpage *m = &r->map[page];

	if (m->nr == MODEL_MAPS) {
		m->known_from = m->evs[1].end;
		memmove(&m->evs[0], &m->evs[1], (MODEL_MAPS - 1) * sizeof(m->evs[0]));
		m->nr--;
	}
	m->evs[m->nr++] = (struct mapev){
		.start = r->now,
		.end = NEVER,
		.backing = backing,
		.serial = backing < 0 ? 0 : r->back[backing].serial,
		.access = backing < 0 ? 0 : access,
	};
	r->open_maps[r->nr_open_maps++] = page;
	if (backing < 0)
		return;
	r->back[backing].refs++;
	for (unsigned int i = 0; i < MODEL_WRITES; i++)
		if (r->writes[i].gen)
			pend(r, &r->writes[i], page, backing);
}

void model_begin(struct region *r)
{
	pthread_mutex_lock(&r->lock);
	r->now = model_tick();
}

void model_started(struct region *r)
{
	pthread_mutex_unlock(&r->lock);
}

/* A page may have been mapped more than once in one change (gone, then another). */
static void commit_maps(struct region *r, uint64_t now)
{
	for (unsigned int i = 0; i < r->nr_open_maps; i++) {
		struct mpage *m = &r->map[r->open_maps[i]];

		for (unsigned int j = m->nr; j-- > 1 && m->evs[j].end == NEVER;) {
			m->evs[j].end = now;
			if (m->evs[j - 1].backing >= 0)
				r->back[m->evs[j - 1].backing].refs--;
		}
	}
	r->nr_open_maps = 0;
}

/* Writes under way may have been noted with a backing that was never mapped after all. */
static void abort_maps(struct region *r)
{
	for (unsigned int i = 0; i < r->nr_open_maps; i++) {
		struct mpage *m = &r->map[r->open_maps[i]];

		while (m->nr > 1 && m->evs[m->nr - 1].end == NEVER) {
			const struct mapev *ev = &m->evs[--m->nr];

			if (ev->backing >= 0)
				r->back[ev->backing].refs--;
		}
	}
	r->nr_open_maps = 0;
	for (unsigned int i = 0; i < MODEL_WRITES; i++)
		r->writes[i].strays = true;
}

static void end_values(struct region *r, uint64_t now, bool keep)
{
	for (unsigned int i = 0; i < r->nr_open_backs; i++) {
		struct backing *b = &r->back[r->open_backs[i]];

		for (unsigned int j = b->nr; j-- > 0;) {
			struct val *v = &b->vals[j];

			if (v->end != NEVER || v->pending)
				continue;
			if (keep)
				value_ended(b, v, now);
			else
				forget(b, j);
		}
	}
	r->nr_open_backs = 0;
}

void model_commit(struct region *r)
{
	uint64_t now;

	pthread_mutex_lock(&r->lock);
	now = model_tick();
	commit_maps(r, now);
	end_values(r, now, true);
	pthread_mutex_unlock(&r->lock);
	atomic_fetch_add_explicit(&model_stats.changes, 1, memory_order_relaxed);
}

void model_undo(struct region *r)
{
	pthread_mutex_lock(&r->lock);
	abort_maps(r);
	end_values(r, 0, false);
}

void model_abort(struct region *r)
{
	model_undo(r);
	pthread_mutex_unlock(&r->lock);
}

/* ---- operations ---------------------------------------------------------------- */

uint32_t model_gen(struct region *r)
{
	uint32_t gen = atomic_fetch_add(&r->gen, 1) + 1;

	return gen & STAMP_GEN_MAX ? gen & STAMP_GEN_MAX : model_gen(r);
}

void op_prepare(struct op *op)
{
	struct region *r = op->region;
	size_t at = op->off;

	op->inflight = NULL;
	op->ptr = r->window[op->win] + op->off;
	if (!op->write)
		return;
	op->gen = model_gen(r);
	while (at < op->off + op->len) {
		size_t next = (at / PAGE + 1) * PAGE, page = at / PAGE * PAGE;

		if (next > op->off + op->len)
			next = op->off + op->len;
		/* where the page's byte 0 would be: may lie before data, never touched */
		stamp_fill((void *)((uintptr_t)op->data + page - op->off), r->id,
			   region_page(r, op->win, at), (unsigned int)(at - page),
			   (unsigned int)(next - page), op->gen);
		at = next;
	}
}

static void begin_write(struct op *op)
{
	struct region *r = op->region;
	unsigned int first = region_page(r, op->win, op->off);
	unsigned int last = region_page(r, op->win, op->off + op->len - 1);
	struct inflight *w = r->writes;

	while (w->gen)
		if (++w == r->writes + MODEL_WRITES) {
			fprintf(stderr, "torture: too many writes under way\n");
			abort();
		}
	*w = (struct inflight){
		.start = op->t0,
		.gen = op->gen,
		.page = first,
		.off = op->off % PAGE,
		.len = op->len,
	};
	op->inflight = w;
	for (unsigned int p = first; p <= last; p++)
		for (unsigned int i = 0; i < r->map[p].nr; i++)
			if (r->map[p].evs[i].backing >= 0 &&
			    r->map[p].evs[i].serial ==
				    r->back[r->map[p].evs[i].backing].serial &&
			    map_candidate(&r->map[p], i, op->t0, op->t0))
				pend(r, w, p, r->map[p].evs[i].backing);
}

void op_begin(struct op *op)
{
	pthread_mutex_lock(&op->region->lock);
	op->t0 = model_tick();
	if (op->write)
		begin_write(op);
	pthread_mutex_unlock(&op->region->lock);
}

static void end_piece(struct op *op, struct backing *b, unsigned int page, bool certain)
{
	struct region *r = op->region;
	long at = (long)((size_t)(page - op->win * r->pages) * PAGE) - (long)op->off;
	long cut =
		op->result < 0 ? 0 : op->result; /* bytes of the operation that are sure */

	for (unsigned int i = 0; i < b->nr; i++) {
		struct val *v = &b->vals[i];
		long sure = cut - at; /* bytes of this page that are sure */

		if (v->gen != op->gen || v->page != page || !v->pending)
			continue;
		v->pending = false;
		if (!certain || sure <= v->lo) {
			v->end = op->t1;
		} else if (sure >= v->hi) {
			v->certain = true;
			value_ended(b, v, op->t1);
		} else {
			struct val rest = *v;

			rest.lo = v->hi = (uint32_t)sure;
			rest.end = v->end = op->t1;
			v->certain = true;
			backing_add(b, &rest);
		}
		return;
	}
}

/* Wherever else it was noted: perhaps. */
static void end_strays(struct op *op)
{
	struct region *r = op->region;

	for (unsigned int i = 0; i < r->nr_back; i++)
		for (unsigned int j = 0; j < r->back[i].nr; j++) {
			struct val *v = &r->back[i].vals[j];

			if (v->pending && v->gen == op->gen) {
				v->pending = false;
				v->end = op->t1;
			}
		}
}

void op_end_write(struct op *op)
{
	struct region *r = op->region;
	unsigned int first = region_page(r, op->win, op->off);
	unsigned int last = region_page(r, op->win, op->off + op->len - 1);

	for (unsigned int p = first; p <= last; p++) {
		const struct mpage *m = &r->map[p];
		unsigned int nr = 0;

		for (unsigned int i = 0; i < m->nr; i++)
			nr += map_candidate(m, i, op->t0, op->t1);
		for (unsigned int i = 0; i < m->nr; i++) {
			const struct mapev *ev = &m->evs[i];

			/* surely only where it can have met nothing else */
			if (ev->backing >= 0 && ev->serial == r->back[ev->backing].serial)
				end_piece(op, &r->back[ev->backing], p,
					  nr == 1 && m->known_from <= op->t0 &&
						  map_candidate(m, i, op->t0, op->t1));
		}
	}
	if (op->inflight->strays)
		end_strays(op);
	op->inflight->gen = 0;
}
