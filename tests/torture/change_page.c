// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how do pages change that stay mapped?
 *
 * Every span here is mapped in full.
 */
#include "mutate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>

/* The CPU writes all that it may write. */
void change_stamp(struct life *l, struct mutator *m, struct span s)
{
	struct region *r = l->region;
	uint32_t gen = model_gen(r);

	model_begin(r);
	for (unsigned int i = 0; i < s.nr; i++)
		if (page_access(l, s.page + i) & CAN_WRITE)
			model_value(r, model_current(r, s.page + i)->backing, gen,
				    s.page + i, true);
	model_started(r);
	for (unsigned int i = 0; i < s.nr; i++)
		if (page_access(l, s.page + i) & CAN_WRITE)
			stamp_fill(s.at + (size_t)i * PAGE, r->id, s.page + i, 0, PAGE,
				   gen);
	model_commit(r);
}

static void announce_access(struct life *l, const struct span *s)
{
	for (unsigned int i = 0; i < s->nr; i++)
		model_map(l->region, s->page + i,
			  model_current(l->region, s->page + i)->backing,
			  page_access(l, s->page + i));
}

void change_protect(struct life *l, struct mutator *m, struct span s)
{
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				    PROT_READ | PROT_WRITE};
	/* a segment attached read-only cannot be made writable */
	int prot = prots[rnd_below(&m->rng, l->kind == KIND_SYSV ? 2 : 4)];
	bool key = !rnd_below(&m->rng, 3);

	model_begin(l->region);
	for (unsigned int i = 0; i < s.nr; i++)
		l->pages[s.page + i].prot = prot;
	announce_access(l, &s);
	model_started(l->region);
	if (key ? calls->pkey_mprotect(s.at, s.len, prot)
		: calls->mprotect(s.at, s.len, prot))
		change_failed("mprotect", &s);
	/* by raw system call it may be seen a moment later only (more than 8 processors) */
	if (calls->raw && calls_raw_late)
		tell_devices(m, &s);
	model_commit(l->region);
}

static void announce_empty(struct life *l, const struct span *s, bool certain)
{
	struct region *r = l->region;

	for (unsigned int i = 0; i < s->nr; i++) {
		const struct page_state *p = &l->pages[s->page + i];
		const struct file_page *f = p->file < 0 ? NULL : &l->file[p->file];
		int backing = model_current(r, s->page + i)->backing;

		model_value(r, backing, f && kind_is_private(l->kind) ? f->gen : 0,
			    f && kind_is_private(l->kind) ? f->page : 0, certain);
	}
}

void change_discard(struct life *l, struct mutator *m, struct span s)
{
	unsigned int how = rnd_below(&m->rng, 4);
	int advice = how == 1 ? MADV_DONTNEED_LOCKED : MADV_DONTNEED;

	if (s.nr >= 64) /* so that it takes its time; no value changes by it */
		calls->madvise(s.at, s.len, MADV_POPULATE_WRITE);
	model_begin(l->region);
	if (kind_is_private(l->kind))
		announce_empty(l, &s, true);
	model_started(l->region);
	if (how == 1)
		mlock(s.at, s.len);
	/* Only from Linux 6.13 on may process_madvise() discard. */
	if ((how != 2 || calls->process_madvise(s.at, s.len, advice)) &&
	    calls->madvise(s.at, s.len, advice))
		change_failed("MADV_DONTNEED", &s);
	if (how == 1)
		munlock(s.at, s.len);
	model_commit(l->region);
}

/* The pages go when the kernel likes, or stay when they are written before that. */
void change_free(struct life *l, struct mutator *m, struct span s)
{
	if (!kind_is_anon(l->kind)) {
		change_discard(l, m, s);
		return;
	}
	model_begin(l->region);
	announce_empty(l, &s, false);
	model_started(l->region);
	if (calls->madvise(s.at, s.len, MADV_FREE))
		change_failed("MADV_FREE", &s);
	model_commit(l->region);
}

/* Punch a hole, through the mapping or through the file. */
void change_remove(struct life *l, struct mutator *m, struct span s)
{
	bool by_file = l->fd >= 0 && rnd_below(&m->rng, 2);
	struct region *r = l->region;
	int err;

	if (l->kind != KIND_SHARED && !kind_shows_file(l->kind)) {
		change_discard(l, m, s);
		return;
	}
	model_begin(r);
	for (unsigned int i = 0; i < s.nr; i++)
		model_value(r,
			    by_file ? l->file[s.first + i].backing
				    : model_current(r, s.page + i)->backing,
			    0, 0, true);
	model_started(r);
	if (by_file)
		err = calls->fallocate(l->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       (off_t)s.first * PAGE, (off_t)s.len);
	else
		err = calls->madvise(s.at, s.len, MADV_REMOVE);
	if (err)
		change_failed(by_file ? "fallocate" : "MADV_REMOVE", &s);
	model_commit(r);
}

void change_guard(struct life *l, struct mutator *m, struct span s)
{
	static _Atomic bool missing;
	struct region *r = l->region;

	if (!kind_is_anon(l->kind) || missing)
		return;
	model_begin(r);
	for (unsigned int i = 0; i < s.nr; i++)
		model_map(r, s.page + i, model_current(r, s.page + i)->backing, 0);
	announce_empty(l, &s, true);
	model_started(r);
	if (calls->madvise(s.at, s.len, TORTURE_GUARD_INSTALL)) {
		if (errno != EINVAL)
			change_failed("MADV_GUARD_INSTALL", &s);
		missing = true;
		model_abort(r);
		return;
	}
	/* by raw system call nobody sees it: the contract has the application say so */
	if (calls->raw)
		tell_devices(m, &s);
	model_commit(r);
	traffic_probe(m, l, &s);
	model_begin(r);
	announce_access(l, &s);
	model_started(r);
	if (calls->madvise(s.at, s.len, TORTURE_GUARD_REMOVE))
		change_failed("MADV_GUARD_REMOVE", &s);
	model_commit(r);
}

static void announce_length(struct life *l, unsigned int from, unsigned int to)
{
	struct region *r = l->region;

	for (unsigned int i = 0; i < r->pages * WINDOWS; i++) {
		const struct page_state *p = &l->pages[i];
		int backing = model_current(r, i)->backing;

		if (!p->mapped || p->file < (int)from || p->file >= (int)to)
			continue;
		model_map(r, i, backing, page_access(l, i));
		if (kind_is_private(l->kind))
			model_value(r, backing, 0, 0, true);
	}
	for (unsigned int i = from; i < to; i++) {
		if (kind_is_private(l->kind))
			l->file[i].gen = 0;
		else
			model_value(r, l->file[i].backing, 0, 0, true);
	}
}

/* Cut the file, look, and make it as long as it was (with zeroes). */
void change_length(struct life *l, struct mutator *m, struct span s)
{
	struct region *r = l->region;
	unsigned int cut = rnd_below(&m->rng, r->pages);

	if (!kind_is_file(l->kind))
		return;
	for (int up = 0; up < 2; up++) {
		model_begin(r);
		l->file_pages = up ? r->pages : cut;
		announce_length(l, cut, r->pages);
		model_started(r);
		if (calls->ftruncate(l->fd, (off_t)l->file_pages * PAGE))
			change_failed("ftruncate", &s);
		model_commit(r);
		traffic_probe(m, l, &s);
	}
}

/* What moves pages, but changes nothing that can be seen. */
void change_nothing(struct life *l, struct mutator *m, struct span s)
{
	static const int advice[] = {MADV_COLD,          MADV_PAGEOUT,       MADV_WILLNEED,
				     MADV_NOHUGEPAGE,    MADV_HUGEPAGE,      MADV_COLLAPSE,
				     MADV_POPULATE_READ, MADV_POPULATE_WRITE};
	unsigned int how = rnd_below(&m->rng, 8);

	/* each of them may be refused for some kind: nothing depends on it */
	if (advice[how] != MADV_COLLAPSE || !rnd_below(&m->rng, 10))
		calls->madvise(s.at, s.len, advice[how]);
}
