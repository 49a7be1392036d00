/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does the core get when it asks about the address space? (core/source.h)
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <time.h>

#include "linux/address_space.h"
#include "sys/sys.h"
#include "util/arena.h"

#define ARM_TRIES     64
#define ASK_WHOLE     64 /* pages */
#define BARRIER_TRIES 3

/* ---- arming ----------------------------------------------------------------------------
 */

/*
 * What was registered is what is mapped now: a piece that was unmapped just before was not
 * heard of. From here on every change raises an event, and the event thread waits for the
 * lock that we hold.
 */
static int add_what_is_there_locked(struct as *as, uint64_t start, uint64_t end)
{
	struct as_mapping mapping;

	for (; start < end; start = mapping.end) {
		int err = maps_next(&as->maps, start, &mapping);
		uint64_t from = mapping.start > start ? mapping.start : start;
		uint64_t to = mapping.end < end ? mapping.end : end;

		if (err)
			return err == -ENOENT ? 0 : err;
		if (from >= end)
			return 0;
		err = watch_add_locked(&as->watch, from, to, mapping.ino);
		if (err)
			return err;
	}
	return 0;
}

/*
 * -EAGAIN: the mapping is not what it was. -EPERM: it is, and userfaultfd never takes it
 * (shared memory that may not be made writable).
 */
static int arm_mapping(struct as *as, const struct as_mapping *mapping)
{
	struct as_mapping now;
	int err;

	change_arm_begin(as->hmm, mapping->start, mapping->end);
	as_lock(&as->lock);
	err = uffd_register(&as->uffd, mapping->start, mapping->end);
	if (!err)
		err = add_what_is_there_locked(as, mapping->start, mapping->end);
	as_unlock(&as->lock);
	change_arm_end(as->hmm);
	if (err != -EINVAL && err != -EPERM && err != -ENOMEM)
		return err;
	if (maps_find(&as->maps, mapping->start, &now) || now.start != mapping->start ||
	    now.end != mapping->end || now.ino != mapping->ino)
		return -EAGAIN;
	return err == -EINVAL ? -EOPNOTSUPP : err;
}

/*
 * The kernel is asked page by page, which for a large range costs as much as a look at all
 * its pages: there one page of each mapping will do, for the kernel watches whole mappings.
 */
static int registered_locked(struct as *as, uint64_t start, uint64_t end)
{
	struct as_mapping mapping;

	if (end - start <= ASK_WHOLE * page_size())
		return uffd_registered(&as->uffd, start, end);
	while (start < end) {
		int err = maps_next(&as->maps, start, &mapping);
		uint64_t page = err || !mapping.page ? page_size() : mapping.page;
		uint64_t at = start - start % page;

		if (!err && mapping.start > start)
			err = -ENOENT;
		if (!err)
			err = uffd_registered(&as->uffd, at, at + page);
		if (err)
			return err;
		start = mapping.end;
	}
	return 0;
}

/*
 * What is in the set may have been unmapped, and mapped anew by another thread, with the
 * event of that still to come. The kernel knows; while a change is under way whose event
 * was not read it says -EAGAIN, and soon something else.
 */
static bool still_watched(struct as *as, uint64_t start, uint64_t end)
{
	int tries = ARM_TRIES, err;
	bool covered;

	do {
		as_lock(&as->lock);
		covered = watch_covers_locked(&as->watch, start, end);
		err = covered ? registered_locked(as, start, end) : 0;
		as_unlock(&as->lock);
	} while (err == -EAGAIN && --tries && !sched_yield());
	return covered && (!err || err == -EINVAL); /* a piece of a huge page: cannot say */
}

/*
 * Memory that userfaultfd takes: when it does not, there was a hole for a moment, although
 * what is mapped before and after looks the same.
 */
static bool watchable(const struct as *as, const struct as_mapping *mapping)
{
	return !mapping_unpinnable(mapping) || (as->uffd.any && mapping->ino);
}

static bool was_refused(struct as *as, const struct as_mapping *mapping)
{
	bool found = false;

	as_lock(&as->lock);
	for (unsigned int i = 0; i < REFUSED && !found; i++)
		found = as->refused[i].start == mapping->start &&
			as->refused[i].end == mapping->end &&
			as->refused[i].ino == mapping->ino;
	as_unlock(&as->lock);
	return found;
}

static void remember_refused(struct as *as, const struct as_mapping *mapping)
{
	as_lock(&as->lock);
	as->refused[as->next_refused++ % REFUSED] = (struct as_refused){
		.start = mapping->start, .end = mapping->end, .ino = mapping->ino};
	as_unlock(&as->lock);
}

/*
 * Refused: is it worth another try? There may have been a hole for a moment. What was
 * refused every time is tried twice only from then on.
 */
static bool try_again(struct as *as, const struct as_mapping *mapping, int *tries)
{
	if (!watchable(as, mapping))
		return false;
	if (*tries == ARM_TRIES && was_refused(as, mapping))
		*tries = 2;
	if (--*tries)
		return true;
	if (!was_refused(as, mapping))
		remember_refused(as, mapping);
	return false;
}

static int arm_all(struct as *as, uint64_t start, uint64_t end)
{
	struct as_mapping mapping;
	int tries = ARM_TRIES;
	bool covered;

	if (as->uffd.none)
		return -EOPNOTSUPP; /* find() says whether something is mapped */
	covered = still_watched(as, start, end);
	while (!covered && start < end) {
		int err = maps_find(&as->maps, start, &mapping);

		if (err)
			return err == -ENOENT ? -EFAULT : err;
		err = arm_mapping(as, &mapping);
		if (err == -EOPNOTSUPP && try_again(as, &mapping, &tries))
			continue;
		if (err == -EAGAIN && --tries)
			continue;
		if (err)
			return err == -EPERM ? -EOPNOTSUPP : err;
		start = mapping.end;
	}
	return 0;
}

int as_arm(struct as *as, uint64_t start, uint64_t end)
{
	int err = arm_all(as, start, end);

	if (err == -EOPNOTSUPP)
		as->watch.live->unwatched = true;
	/* The mapping is looked at after this: see look_again() in interpose.c. */
	atomic_thread_fence(memory_order_seq_cst);
	return err;
}

/*
 * The set first: should the kernel refuse (no room to split a mapping), an event comes,
 * which is just as right.
 */
bool as_disarm(struct as *as, uint64_t start, uint64_t end, bool going)
{
	uint64_t from = start, to = end, ino;
	bool cut;

	as_lock(&as->lock);
	cut = watch_cuts_locked(&as->watch, start, end);
	while (watch_piece_locked(&as->watch, &from, &to, &ino)) {
		watch_del_locked(&as->watch, from, to);
		if (going)
			uffd_unregister_going(&as->uffd, from, to);
		else
			uffd_unregister(&as->uffd, from, to);
		from = to;
		to = end;
	}
	as_unlock(&as->lock);
	return cut;
}

/* ---- what is mapped ------------------------------------------------------------------ */

/*
 * The changes that nobody tells of (shmdt by a raw system call) leave an interval behind
 * that the kernel does not watch any more. What is mapped there now mostly has another
 * file number: then it is armed anew.
 */
static bool other_file(struct as *as, const struct as_mapping *mapping, uint64_t addr)
{
	uint64_t start = addr, end = addr + 1, ino;
	bool other;

	as_lock(&as->lock);
	other = watch_piece_locked(&as->watch, &start, &end, &ino) && ino != mapping->ino;
	if (other)
		watch_del_locked(&as->watch, mapping->start, mapping->end);
	as_unlock(&as->lock);
	return other;
}

/* Page tables of x86-64, arm64 and ppc64 let a page be read that may be written. */
static unsigned int access_of(const struct as_mapping *mapping)
{
	if (mapping->write)
		return HMM_READ | HMM_WRITE;
	return mapping->read ? HMM_READ : 0;
}

static int find(void *source, uint64_t addr, struct source_mapping *out)
{
	struct as *as = source;
	struct as_mapping mapping;
	int err = maps_find(&as->maps, addr, &mapping);

	/* Armed first, looked at then. What cannot be watched is found all the same. */
	while (!err && other_file(as, &mapping, addr)) {
		err = as_arm(as, addr, addr + 1);
		if (!err || err == -EOPNOTSUPP || err == -EBUSY)
			err = maps_find(&as->maps, addr, &mapping);
	}
	if (err == -EFAULT || err == -ENOENT) {
		out->end = maps_hole_end(&as->maps, addr);
		return -ENOENT;
	}
	if (err)
		return err;
	*out = (struct source_mapping){
		.start = mapping.start,
		.end = mapping.end,
		.access = access_of(&mapping),
		.special = mapping_special(&mapping),
		.why = mapping_unpinnable(&mapping),
	};
	out->unseen = sharers_any(as);
	if (out->unseen && !out->why)
		out->why = "another process shares this address space (clone, vfork), and "
			   "its changes are not all seen";
	out->pinnable = !out->why;
	if (out->special)
		as->watch.live->unwatched = true; /* not armed by who looks at a range */
	memcpy(out->name, mapping.name, sizeof(out->name));
	return 0;
}

/* ---- the table
 * ---------------------------------------------------------------------------- */

static int arm(void *source, uint64_t start, uint64_t end)
{
	return as_arm(source, start, end);
}

static int populate(void *source, uint64_t start, uint64_t end, bool write)
{
	struct as *as = source;

	return pages_populate(&as->maps, start, end, write);
}

static int scan(void *source, uint64_t start, uint64_t end, uint64_t *pfns)
{
	struct as *as = source;

	return pages_scan(&as->pages, &as->maps, start, end, pfns);
}

static int present(void *source, uint64_t addr)
{
	struct as *as = source;

	return pages_present(&as->pages, addr);
}

static bool drain(void *source, uint32_t patience_ms)
{
	struct as *as = source;

	return perf_drain(&as->perf, as, patience_ms);
}

static bool changers_done(void *source, uint64_t since)
{
	struct as *as = source;

	/* All that is looked at is looked at after @since. */
	return !sharers_any(as) && quiesce_changers_done(&as->tasks, !as->perf.off);
}

static uint64_t now(void *source)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/*
 * It cannot fail once the process is registered for it, save where a seccomp filter came
 * since, or a test makes it. From then on hits use fences. A hit that did not see that yet
 * has its count in a store buffer, which empties within microseconds, or at once if the
 * thread is taken off its processor: a wait of many times that is a barrier for all.
 */
static void barrier(void *source, _Atomic bool *fences)
{
	const struct timespec enough = {.tv_nsec = 50000000};

	for (int i = 0; i < BARRIER_TRIES; i++)
		if (!sys_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
			return;
	*fences = true;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &enough, NULL);
}

#define OPS                                                                                \
	.size = sizeof(struct source_ops), .find = find, .arm = arm, .populate = populate, \
	.scan = scan, .copy_in = copy_in, .copy_out = copy_out, .present = present,        \
	.drain = drain, .changers_done = changers_done, .now = now

HIDDEN const struct source_ops as_source_ops = {OPS, .barrier = barrier};
HIDDEN const struct source_ops as_source_ops_no_barrier = {OPS};
