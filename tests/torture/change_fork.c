// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: does the child of a fork keep its own copy, untouched
 * by any device?
 *
 * While the child lives the parent goes on with operations on the same addresses. The
 * child makes no call that takes a lock: it may be of a raw clone.
 */
#include "mutate.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COPY_PAGES 64

/* Seen by parent and child alike. */
struct fork_shared {
	_Atomic uint32_t gen_after; /* the last generation begun when fork had returned */
	_Atomic bool parent_done;
};

enum { CHILD_OK, CHILD_CHANGED = 10, CHILD_LATER, CHILD_NOT_DEAD };

int fork_init(struct mutator *m)
{
	m->shared = mmap(NULL, sizeof(*m->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	m->copy = mmap(NULL, COPY_PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return m->shared == MAP_FAILED || m->copy == MAP_FAILED ? -ENOMEM : 0;
}

void fork_fini(struct mutator *m)
{
	munmap(m->shared, sizeof(*m->shared));
	munmap(m->copy, COPY_PAGES * PAGE);
}

static void nap(long us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* A generation that was given out after the fork was over? */
static bool from_later(const struct region *r, const char *page, uint32_t limit)
{
	for (unsigned int at = 0; at < PAGE; at += 8) {
		struct stamp s;
		uint64_t word;

		memcpy(&word, page + at, 8);
		if (word && stamp_decode(word, &s) && s.region == r->id && s.gen > limit &&
		    s.gen - limit < STAMP_GEN_MAX / 2)
			return true;
	}
	return false;
}

static int child(struct life *l, struct mutator *m, const struct span *s)
{
	for (unsigned int i = 0; i < s->nr; i++)
		if (page_access(l, s->page + i) & CAN_READ)
			memcpy(m->copy + (size_t)i * PAGE, s->at + (size_t)i * PAGE, PAGE);
	for (unsigned int i = 0; i < 2000 && !m->shared->gen_after; i++)
		nap(500);
	for (unsigned int i = 0; i < 200 && !m->shared->parent_done; i++)
		nap(500);
	for (unsigned int i = 0; i < s->nr; i++) {
		char *page = s->at + (size_t)i * PAGE;

		if (!(page_access(l, s->page + i) & CAN_READ))
			continue;
		if (memcmp(m->copy + (size_t)i * PAGE, page, PAGE))
			return CHILD_CHANGED;
		if (from_later(l->region, page, m->shared->gen_after))
			return CHILD_LATER;
		/* must not be seen by the parent, nor by its devices */
		if (page_access(l, s->page + i) & CAN_WRITE)
			memset(page, 0xc5, PAGE);
	}
	for (unsigned int i = 1; !calls->raw && i < m->nr_devices; i++)
		if (m->dev[i]->in_child && m->dev[i]->in_child())
			return CHILD_NOT_DEAD;
	return CHILD_OK;
}

static void reap(struct mutator *m, const struct life *l, pid_t pid)
{
	int status = 0;

	for (unsigned int i = 0; waitpid(pid, &status, WNOHANG) == 0; i++) {
		if (i == 20000) {
			fprintf(stderr, "VIOLATION: the child of a fork hangs\n");
			kill(pid, SIGKILL);
		}
		nap(500);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_OK)
		return;
	fprintf(stderr, "VIOLATION: fork, region %u (%s), child: %s (status %#x)\n",
		l->region->id, kind_names[l->kind],
		!WIFEXITED(status)                     ? "killed"
		: WEXITSTATUS(status) == CHILD_CHANGED ? "its memory changed"
		: WEXITSTATUS(status) == CHILD_LATER   ? "a later write got into its memory"
		: WEXITSTATUS(status) == CHILD_NOT_DEAD ? "the mirror is not dead"
							: "failed",
		(unsigned int)status);
	atomic_fetch_add(&model_stats.violations, 1);
	if (model_violated)
		model_violated();
}

void change_fork(struct life *l, struct mutator *m, struct span s)
{
	uint32_t gen;
	pid_t pid;

	if (!kind_is_private(l->kind))
		return;
	if (s.nr > COPY_PAGES)
		s = span_of(l, s.win, s.first, COPY_PAGES);
	atomic_store(&m->shared->gen_after, 0);
	atomic_store(&m->shared->parent_done, false);
	pid = calls->fork();
	if (pid < 0)
		change_failed("fork", NULL);
	if (pid == 0)
		_exit(child(l, m, &s));
	gen = atomic_load(&l->region->gen) & STAMP_GEN_MAX;
	atomic_store(&m->shared->gen_after, gen ? gen : 1);
	for (unsigned int i = 0; i < 4; i++) {
		traffic_write(m, l, &s);
		traffic_probe(m, l, &s);
	}
	atomic_store(&m->shared->parent_done, true);
	reap(m, l, pid);
}
