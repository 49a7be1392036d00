// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how do the mappings of a window change?
 */
#include "mutate.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#ifndef MAP_SYNC
#include <linux/mman.h>
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

void tell_devices(struct mutator *m, const struct span *s)
{
	for (unsigned int i = 1; m && i < m->nr_devices; i++)
		if (m->dev[i]->tell)
			m->dev[i]->tell(s->at, s->len);
}

static int some_prot(uint64_t *rng)
{
	unsigned int n = rnd_below(rng, 20);

	return n == 0 ? PROT_NONE : n == 1 ? PROT_READ : PROT_READ | PROT_WRITE;
}

/* Announce that the pages are new memory. */
static void announce_new(struct life *l, const struct span *s)
{
	struct region *r = l->region;

	for (unsigned int i = 0; i < s->nr; i++) {
		const struct page_state *p = &l->pages[s->page + i];
		const struct file_page *f = p->file < 0 ? NULL : &l->file[p->file];
		int backing =
			f && !kind_is_private(l->kind) ? f->backing : model_backing(r);

		model_map(r, s->page + i, backing, page_access(l, s->page + i));
		if (!f || kind_is_private(l->kind))
			model_value(r, backing, f ? f->gen : 0, f ? f->page : 0, true);
	}
}

static void attach(struct life *l, struct mutator *m, struct span s)
{
	struct region *r = l->region;
	int prot = rnd_below(&m->rng, 10) ? PROT_READ | PROT_WRITE : PROT_READ;
	int flags = SHM_REMAP | (prot & PROT_WRITE ? 0 : SHM_RDONLY);

	s = span_of(l, s.win, 0, r->pages);
	model_begin(r);
	for (unsigned int i = 0; i < s.nr; i++)
		l->pages[s.page + i] =
			(struct page_state){.mapped = true, .prot = prot, .file = (int)i};
	announce_new(l, &s);
	model_started(r);
	if (calls->shmat(l->shmid, s.at, flags) != s.at)
		change_failed("shmat", &s);
	model_commit(r);
}

static int share_flags(const struct life *l)
{
	if (l->kind == KIND_DAX && l->region->id % 2)
		return MAP_SHARED_VALIDATE | MAP_SYNC;
	return kind_is_private(l->kind) ? MAP_PRIVATE : MAP_SHARED;
}

/* mmap, over whatever is there. */
void change_map(struct life *l, struct mutator *m, struct span s)
{
	struct region *r = l->region;
	int prot = some_prot(&m->rng);
	int flags = MAP_FIXED | share_flags(l);
	unsigned int from = s.first;

	if (l->kind == KIND_SYSV) {
		attach(l, m, s);
		return;
	}
	if (kind_is_file(l->kind) && s.nr < r->pages)
		from = rnd_below(&m->rng, r->pages - s.nr + 1);
	if (!kind_is_file(l->kind))
		flags |= MAP_ANONYMOUS;
	model_begin(r);
	for (unsigned int i = 0; i < s.nr; i++)
		l->pages[s.page + i] = (struct page_state){
			.mapped = true,
			.prot = prot,
			.file = kind_is_file(l->kind) ? (int)(from + i) : -1,
		};
	announce_new(l, &s);
	model_started(r);
	if (calls->mmap(s.at, s.len, prot, flags, l->fd,
			kind_is_file(l->kind) ? (off_t)from * PAGE : 0) != s.at)
		change_failed("mmap", &s);
	model_commit(r);
	if (l->kind == KIND_THP)
		madvise(s.at, s.len, MADV_HUGEPAGE);
}

static bool any_mapped(const struct life *l, const struct span *s)
{
	for (unsigned int i = 0; i < s->nr; i++)
		if (l->pages[s->page + i].mapped)
			return true;
	return false;
}

static void announce_gone(struct life *l, const struct span *s)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		struct page_state *p = &l->pages[s->page + i];

		if (p->mapped)
			model_map(l->region, s->page + i, -1, 0);
		*p = (struct page_state){.file = -1};
	}
}

/* @m may be NULL: nobody to tell. */
void change_unmap(struct life *l, struct mutator *m, struct span s)
{
	struct region *r = l->region;
	bool detach = l->kind == KIND_SYSV && m;

	if (detach)
		s = span_of(l, s.win, 0, r->pages);
	if (!any_mapped(l, &s))
		return;
	model_begin(r);
	announce_gone(l, &s);
	model_started(r);
	if (detach ? calls->shmdt(s.at) : calls->munmap(s.at, s.len))
		change_failed(detach ? "shmdt" : "munmap", &s);
	if (detach && calls->raw)
		tell_devices(m, &s);
	model_commit(r);
}

/* ---- mremap ------------------------------------------------------------------- */

static bool there(const char *at)
{
	unsigned char vec;

	return mincore((void *)at, PAGE, &vec) == 0;
}

struct move {
	struct span from, to;
	bool stays; /* MREMAP_DONTUNMAP: the old pages stay mapped, empty */
};

/* The new place first loses what it had; then it has what was moved. */
static void announce_move(struct life *l, const struct move *mv, int *backs,
			  struct page_state *old)
{
	struct region *r = l->region;

	for (unsigned int i = 0; i < mv->from.nr; i++) {
		backs[i] = model_current(r, mv->from.page + i)->backing;
		old[i] = l->pages[mv->from.page + i];
	}
	announce_gone(l, &mv->to);
	for (unsigned int i = 0; i < mv->from.nr; i++) {
		l->pages[mv->to.page + i] = old[i];
		model_map(r, mv->to.page + i, backs[i], page_access(l, mv->to.page + i));
	}
	if (mv->stays)
		announce_new(l, &mv->from);
	else
		announce_gone(l, &mv->from);
}

/* mremap failed, perhaps after it had done half of it: say what is there now. */
static void settle_move(struct life *l, const struct move *mv, const struct page_state *was,
			const int *backs)
{
	struct region *r = l->region;

	model_undo(r);
	for (unsigned int i = 0; i < mv->from.nr; i++) {
		unsigned int from = mv->from.page + i, to = mv->to.page + i;
		bool src = there(mv->from.at + (size_t)i * PAGE);
		bool dst = there(mv->to.at + (size_t)i * PAGE);

		l->pages[from] = was[i];
		l->pages[to] = was[mv->from.nr + i];
		if (!dst && l->pages[to].mapped) {
			model_map(r, to, -1, 0);
			l->pages[to] = (struct page_state){.file = -1};
		} else if (dst && !src) {
			l->pages[to] = was[i];
			model_map(r, to, backs[i], page_access(l, to));
		}
		if (!src) {
			model_map(r, from, -1, 0);
			l->pages[from] = (struct page_state){.file = -1};
		}
	}
	model_started(r);
	model_commit(r);
}

static void move(struct life *l, const struct move *mv)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (mv->stays ? MREMAP_DONTUNMAP : 0);
	struct page_state was[2 * REGION_PAGES_MAX], old[REGION_PAGES_MAX];
	struct region *r = l->region;
	int backs[REGION_PAGES_MAX];

	memcpy(was, &l->pages[mv->from.page], mv->from.nr * sizeof(was[0]));
	memcpy(was + mv->from.nr, &l->pages[mv->to.page], mv->from.nr * sizeof(was[0]));
	model_begin(r);
	announce_move(l, mv, backs, old);
	model_started(r);
	if (calls->mremap(mv->from.at, mv->from.len, mv->from.len, flags, mv->to.at) ==
	    mv->to.at)
		model_commit(r);
	else
		settle_move(l, mv, was, backs);
}

/* To the other window, onto whatever is there. */
void change_move(struct life *l, struct mutator *m, struct span s)
{
	unsigned int nr_free = l->region->pages - s.nr + 1;
	struct move mv = {
		.from = s,
		.to = span_of(l, !s.win, rnd_below(&m->rng, nr_free), s.nr),
	};

	if (kind_is_anon(l->kind) && !rnd_below(&m->rng, 4)) {
		mv.from = span_of(l, s.win, s.first, 1);
		mv.to = span_of(l, mv.to.win, mv.to.first, 1);
		mv.stays = true;
	}
	move(l, &mv);
}

/* Shrink in place. Where it is refused nothing has changed, or all that was asked. */
void change_resize(struct life *l, struct mutator *m, struct span s)
{
	struct region *r = l->region;
	unsigned int keep = 1 + rnd_below(&m->rng, s.nr);
	struct span tail = span_of(l, s.win, s.first + keep, s.nr - keep);
	struct page_state was[REGION_PAGES_MAX];

	if (keep == s.nr)
		return;
	memcpy(was, &l->pages[tail.page], tail.nr * sizeof(was[0]));
	model_begin(r);
	announce_gone(l, &tail);
	model_started(r);
	if (calls->mremap(s.at, s.len, (size_t)keep * PAGE, 0, NULL) == s.at) {
		model_commit(r);
		return;
	}
	model_undo(r);
	for (unsigned int i = 0; i < tail.nr; i++) {
		l->pages[tail.page + i] = was[i];
		if (there(tail.at + (size_t)i * PAGE))
			continue;
		model_map(r, tail.page + i, -1, 0);
		l->pages[tail.page + i] = (struct page_state){.file = -1};
	}
	model_started(r);
	model_commit(r);
}
