/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is a translation made that is not there?
 *
 *	begin:   wait until the range is settled, note the log's head
 *	look:    arm the mappings, see what they are, choose a mode
 *	map:     the driver maps, with no lock held
 *	publish: under the lock, if nothing touched the range since; else undo, begin again
 *
 * Armed first, looked at then: whatever changes after the look is noticed.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "core/core.h"
#include "core/hold.h"
#include "util/arena.h"

#define CLOCK_MISSES 1024 /* misses between two ticks of the eviction clock */
#define MARK_TRIES   16

struct attempt {
	struct request *request;
	struct timespec deadline;
	uint64_t since;                /* the log's head when we began */
	uint64_t start, end;           /* the pages to map: at least the request's */
	struct source_mapping mapping; /* the first mapping of the range */
	unsigned int access;           /* what all mappings of the range allow */
	bool pinnable, special, one;   /* all of them; any of them; only one */
	bool watched;                  /* changes of all mappings are told */
	bool closed;                   /* rule 4: not to be pinned now */
	bool passed_over;              /* a better mode was not taken, for now */
	bool waiting;                  /* and only because of closed */
	unsigned int unmarked;         /* times that the pages could not be made dirty */
	uint64_t reserved;             /* bytes of stats.pinned that no slot has yet */
	const char *why;               /* the last reason for passing over a mode */
	struct hmm_mapping map;
};

static const char *access_name(unsigned int access)
{
	static const char *const names[] = {"nothing", "read", "write", "read and write"};

	return names[access & 3];
}

/* ---- look ------------------------------------------------------------------------ */

static int no_mapping(const struct request *r, uint64_t addr)
{
	return core_error(
		-EFAULT,
		"nothing is mapped at %#llx (asked for [%#llx, %#llx)): map it first",
		(unsigned long long)addr, (unsigned long long)r->ptr,
		(unsigned long long)r->end);
}

static int not_allowed(const struct request *r, const struct source_mapping *m)
{
	return core_error(-EACCES,
			  "the mapping [%#llx, %#llx) %s allows the CPU to %s, the device "
			  "asked to %s: change it with mprotect()",
			  (unsigned long long)m->start, (unsigned long long)m->end, m->name,
			  access_name(m->access), access_name(r->access));
}

static int look_at_mappings(struct attempt *a)
{
	struct request *r = a->request;
	struct hmm *hmm = r->mirror->hmm;
	struct source_mapping m;

	a->access = HMM_READ | HMM_WRITE;
	a->pinnable = true;
	a->special = false;
	for (uint64_t at = r->start; at < r->stop; at = m.end) {
		int err = hmm->ops->find(hmm->source, at, &m);

		if (err == -ENOENT)
			return no_mapping(r, at);
		if (err)
			return core_error(err, "cannot read this process's mappings");
		if (r->access & ~m.access)
			return not_allowed(r, &m);
		if (at == r->start)
			a->mapping = m;
		a->access &= m.access;
		a->pinnable &= m.pinnable;
		a->special |= m.special;
		if (!m.pinnable)
			a->why = m.why;
	}
	a->one = a->mapping.end >= r->stop;
	return 0;
}

static int too_long_for(const struct hmm_mirror *mirror, const struct request *r)
{
	return core_error(-E2BIG,
			  "device %s maps at most %llu bytes at a time, whole pages, and "
			  "[%#llx, %#llx) was asked for: translate parts",
			  mirror->device->driver->name,
			  (unsigned long long)longest_mapping(mirror),
			  (unsigned long long)r->ptr, (unsigned long long)r->end);
}

static int look(struct attempt *a)
{
	struct request *r = a->request;
	struct hmm *hmm = r->mirror->hmm;
	bool foreign;
	int err;

	if (r->stop - r->start > longest_mapping(r->mirror))
		return too_long_for(r->mirror, r);
	err = hmm->ops->arm(hmm->source, r->start, r->stop);
	if (err == -EFAULT)
		return no_mapping(r, r->start);
	if (err && err != -EOPNOTSUPP && err != -EBUSY)
		return core_error(
			err, "cannot watch the mappings of [%#llx, %#llx) for changes%s",
			(unsigned long long)r->start, (unsigned long long)r->stop,
			err == -ENOMEM ? ": too many mappings, or no memory "
					 "(vm.max_map_count)"
				       : "");
	a->watched = !err;
	foreign = err == -EBUSY;
	err = look_at_mappings(a);
	if (err)
		return err;
	if (!a->watched) {
		a->pinnable = false;
		a->why = foreign ? "another userfaultfd watches it, of the program or of a "
				   "second copy of libhmm in it (dlmopen): unregister it "
				   "there"
				 : "its changes cannot be seen (hmm info)";
	}
	return 0;
}

/* ---- map ------------------------------------------------------------------------- */

/*
 * begin() looked at the request only. What lies around it may be changing since before
 * that, and then the log does not tell.
 */
static bool around_is_settled(struct attempt *a, enum hmm_mode mode)
{
	struct hmm *hmm = a->request->mirror->hmm;
	bool settled;

	core_lock(hmm);
	settled = !change_touches_locked(hmm, a->start, a->end) &&
		  (mode != HMM_MODE_PIN || !closed_overlaps_locked(hmm, a->start, a->end));
	core_unlock(hmm);
	return settled;
}

/* Around the request, inside its mapping and the mirror's interval. */
static void extend(struct attempt *a, enum hmm_mode mode)
{
	const struct request *r = a->request;

	a->start = r->start;
	a->end = r->stop;
	if (!a->one)
		return;
	around(r, mode, a->mapping.start, a->mapping.end, &a->start, &a->end);
	if ((a->start < r->start || a->end > r->stop) && !around_is_settled(a, mode)) {
		a->start = r->start;
		a->end = r->stop;
	}
}

/*
 * Room for the pin under the mirror's limit; evicts. What is found is taken under the same
 * lock, so that threads which map at once do not share it: unreserve() gives it back, or
 * the slot that is published has it.
 */
static bool reserve_pin(struct attempt *a)
{
	struct hmm_mirror *mirror = a->request->mirror;
	struct hmm *hmm = mirror->hmm;
	uint64_t size = a->end - a->start, max = mirror->max_pinned;

	if (max && size > max)
		return false;
	for (int i = 0; i < EVICT_TRIES; i++) {
		struct list posted = {0};

		core_lock(hmm);
		uint64_t pinned = mirror->stats.pinned;
		bool room = !max || (pinned <= max && size <= max - pinned);
		bool any = !room &&
			   (evict_locked(hmm, mirror, pinned + size - max, 0, &posted) ||
			    hmm->posted || hmm->queued || hmm->releasing);

		if (room) {
			mirror->stats.pinned += size;
			a->reserved = size;
		}
		revoke_unlock(hmm, &posted);
		if (room || !any)
			return room;
		evict_settle(hmm);
	}
	return false;
}

static void unreserve(struct attempt *a)
{
	struct hmm_mirror *mirror = a->request->mirror;

	if (!a->reserved)
		return;
	core_lock(mirror->hmm);
	mirror->stats.pinned -= a->reserved;
	core_unlock(mirror->hmm);
	a->reserved = 0;
}

static bool mode_possible(struct attempt *a, enum hmm_mode mode)
{
	struct hmm_mirror *mirror = a->request->mirror;

	if (!(mirror->modes & 1u << mode))
		return false;
	/* What faults by itself holds no page: any that has pages will do. */
	if (mode == HMM_MODE_FAULT && a->special)
		return false;
	if (mode == HMM_MODE_PIN && (a->special || !a->pinnable))
		return false;
	if (mode == HMM_MODE_PIN && mirror->max_pinned &&
	    mirror->device->driver->delayed_unpin) {
		a->why = "the device lets go of pages late, so max_pinned would not hold";
		return false;
	}
	if (mode == HMM_MODE_PIN && a->unmarked >= MARK_TRIES) {
		a->why =
			"its pages cannot be marked as written: the kernel might drop them";
		return false;
	}
	if (mode == HMM_MODE_PIN && a->closed) {
		a->why = "a removal of its pages is not over yet";
		a->passed_over = a->waiting = true;
		return false;
	}
	if (mode == HMM_MODE_PIN && !reserve_pin(a)) {
		a->why = "the mirror's limit of pinned memory";
		a->passed_over = true;
		return false;
	}
	return true;
}

static int map_in_mode(struct attempt *a, enum hmm_mode mode)
{
	int err;

	a->map = (struct hmm_mapping){
		.start = a->start,
		.end = a->end,
		.access = a->access,
		.mode = mode,
		.memory = (void *)(uintptr_t)a->start,
	};
	err = map_with_room(a->request->mirror->device, &a->map);
	if (err)
		unreserve(a);
	a->passed_over |= err == -ENOMEM || err == -ENOSPC;
	return err;
}

/* What the driver said of its last refusal is the reason, where it said something. */
static int unreachable(struct attempt *a, int err)
{
	struct request *r = a->request;
	const char *name = a->mapping.name;
	char said[160];

	snprintf(said, sizeof(said), "%s", err ? hmm_error() : "");
	if (err && !*said && !a->why)
		snprintf(said, sizeof(said), "its driver failed with errno %d", -err);
	return core_error(err ? err : -EOPNOTSUPP,
			  "device %s cannot reach [%#llx, %#llx) in the mapping %s: %s",
			  r->mirror->device->driver->name, (unsigned long long)r->ptr,
			  (unsigned long long)r->end, *name ? name : "[anonymous]",
			  *said    ? said
			  : a->why ? a->why
				   : "the driver refuses this memory in each of its modes");
}

#define NOT_YET 1 /* not an error of the driver's, which may be -EAGAIN as well */

/* Staging maps nothing here. NOT_YET: only a removal that is not over stands in the way. */
static int map_best(struct attempt *a)
{
	const struct hmm_driver *driver = a->request->mirror->device->driver;
	int last = 0;

	a->passed_over = a->waiting = false;
	if (self.error)
		*self.error = 0; /* what is said from here on is the driver's */
	for (unsigned int i = 0; i < driver->nr_modes; i++) {
		enum hmm_mode mode = driver->modes[i];

		extend(a, mode);
		if (!mode_possible(a, mode))
			continue;
		if (mode == HMM_MODE_STAGE) {
			a->map = (struct hmm_mapping){.start = a->request->start,
						      .end = a->request->stop,
						      .access = a->request->access,
						      .mode = mode};
			return 0;
		}
		bool more = a->start < a->request->start || a->end > a->request->stop;
		int err = map_in_mode(a, mode);

		if (err && more && err != -EOPNOTSUPP) {
			/* Perhaps it takes what was asked for, without what is around. */
			a->start = a->request->start;
			a->end = a->request->stop;
			if (mode_possible(a, mode))
				err = map_in_mode(a, mode);
		}
		if (!err)
			return 0;
		last = err == -EOPNOTSUPP ? last : err;
		if (err != -EOPNOTSUPP && err != -ENOMEM && err != -ENOSPC)
			return *hmm_error() ? err : unreachable(a, err);
	}
	if (a->waiting && !last)
		return NOT_YET;
	return unreachable(a, last);
}

static void unmap(struct attempt *a)
{
	struct hmm_device *device = a->request->mirror->device;
	unsigned int depth = undisturbed_pause();

	if (a->map.mode != HMM_MODE_STAGE && !core_dead(device->hmm)) {
		if (device->ops.release)
			device->ops.release(device, &a->map);
		entry_put(device);
	}
	undisturbed_resume(depth);
	unreserve(a);
}

/* ---- publish ----------------------------------------------------------------------- */

static uint32_t get_slot_locked(struct hmm_mirror *mirror)
{
	if (mirror->live >= mirror->max_translations)
		return NO_SLOT;
	return slot_alloc_locked(mirror->hmm);
}

/* From begin() to here hmm_mirror_destroy() waits for us. */
static void leave_locked(struct hmm_mirror *mirror)
{
	mirror->users--;
	if (mirror->closing)
		event_count_wake_locked(&mirror->hmm->idle);
}

static void leave(struct hmm_mirror *mirror)
{
	core_lock(mirror->hmm);
	leave_locked(mirror);
	core_unlock(mirror->hmm);
}

static uint32_t publish_flags(const struct attempt *a)
{
	if (a->map.mode == HMM_MODE_STAGE)
		return SLOT_ONCE | SLOT_STAGE;
	/* Passed over for now only, or nobody would tell of a change, or the page is more
	 * than the mirror's interval has of it: ask again the next time. */
	return a->passed_over || !a->watched || a->start < a->request->mirror->start ||
			       a->end > a->request->mirror->end
		       ? SLOT_ONCE
		       : 0;
}

/*
 * What is staged is copied later, as the memory is by then: no change before that matters,
 * and memory that changes all the time would never be reached.
 */
static bool collided_locked(struct attempt *a)
{
	struct hmm *hmm = a->request->mirror->hmm;

	return change_settle_locked(hmm, a->start, a->end, &a->deadline) ||
	       log_overlaps(hmm, a->since, a->start, a->end);
}

/* 1: published; 0: the range changed, begin again; -ENOSPC: no slot. */
static int publish(struct attempt *a, struct hmm_translation *out)
{
	struct request *r = a->request;
	struct hmm_mirror *mirror = r->mirror;
	struct hmm *hmm = mirror->hmm;
	uint32_t flags = publish_flags(a), n;
	int ret = 0;

	core_lock(hmm);
	if (!(flags & SLOT_STAGE) && collided_locked(a)) {
		mirror->stats.collisions++;
	} else if (mirror->closing) {
		ret = -ESHUTDOWN;
	} else if (!(n = get_slot_locked(mirror))) {
		ret = -ENOSPC;
	} else {
		if (a->map.mode == HMM_MODE_DIRECT || a->map.mode == HMM_MODE_FAULT)
			mirror->device->ops.commit(mirror->device, &a->map);
		slot_publish_locked(mirror, n, &a->map, flags);
		a->reserved = 0; /* the slot's now */
		hold_told(mirror, &hmm->slots[n], n, hmm->slots[n].state, r->ptr,
			  hold_begin(hmm, n), out);
		mirror->stats.closed_fills += a->closed;
		if (!(mirror->stats.misses % CLOCK_MISSES))
			atomic_fetch_add_explicit(&hmm->clock, 1, memory_order_relaxed);
		ret = 1;
		leave_locked(mirror);
	}
	core_unlock(hmm);
	return ret;
}

/* 1: it was there by now; 0: go on, as a user of the mirror. Drops the lock on return. */
static int begin(struct attempt *a, struct hmm_translation *out)
{
	struct request *r = a->request;
	struct hmm *hmm = r->mirror->hmm;
	int ret;

	core_lock(hmm);
	ret = change_settle_locked(hmm, r->start, r->stop, &a->deadline);
	if (!ret && r->mirror->closing)
		ret = -ESHUTDOWN;
	if (!ret && hit(r->mirror, r->ptr, r->end, r->access, out))
		ret = 1;
	r->mirror->users += !ret;
	a->since = atomic_load_explicit(&hmm->log_head, memory_order_relaxed);
	a->closed = closed_overlaps_locked(hmm, r->start, r->stop);
	core_unlock(hmm);
	if (!ret && a->closed) {
		closed_settle(hmm);
		core_lock(hmm);
		a->closed = closed_overlaps_locked(hmm, r->start, r->stop);
		core_unlock(hmm);
	}
	return ret;
}

static bool overdue(const struct timespec *deadline)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > deadline->tv_sec ||
	       (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

static int too_long(const struct request *r)
{
	return core_error(
		-ETIMEDOUT,
		"[%#llx, %#llx) kept changing, or a change of it did not end, for "
		"%u ms (wait_ms)",
		(unsigned long long)r->start, (unsigned long long)r->stop,
		r->mirror->hmm->wait_ms);
}

static int no_slot(struct attempt *a)
{
	struct hmm_mirror *mirror = a->request->mirror;

	if (evict_for_slot(mirror))
		return 0;
	return core_error(
		-ENOSPC,
		"all %u translations of the mirror, or all of the process, are in use: put "
		"some, or raise max_translations",
		mirror->max_translations);
}

static void wait_a_little(struct hmm *hmm)
{
	struct timespec soon;

	deadline_in(&soon, 1);
	core_lock(hmm);
	core_wait_locked(hmm, &hmm->settled, &soon);
	core_unlock(hmm);
}

/*
 * What a device writes through a pin the kernel does not see: a page that it holds for
 * clean when the pin goes (after MADV_FREE, or read from swap) is thrown away. So it is
 * made dirty once it is pinned, and stays so: pinned pages are not written back. A discard
 * from here on is a change, which publish() finds. A failure is mostly a change, too, with
 * its news on the way: false, begin again.
 */
static bool mark_written(struct attempt *a)
{
	struct hmm *hmm = a->request->mirror->hmm;
	int err;

	if (a->map.mode != HMM_MODE_PIN || !(a->map.access & HMM_WRITE))
		return true;
	err = hmm->ops->populate(hmm->source, a->start, a->end, true);
	a->unmarked = err == -EHWPOISON ? MARK_TRIES : a->unmarked + !!err;
	return !err;
}

static int make(struct attempt *a, struct hmm_translation *out)
{
	struct hmm *hmm = a->request->mirror->hmm;
	int ret = look(a);

	if (!ret)
		ret = map_best(a);
	if (ret == NOT_YET) {
		wait_a_little(hmm);
		return 0;
	}
	if (ret) {
		/* What failed may have failed because the range was changing. */
		core_lock(hmm);
		bool changed =
			log_overlaps(hmm, a->since, a->request->start, a->request->stop);
		core_unlock(hmm);
		return changed && ret != -ENOMEM ? 0 : ret;
	}
	ret = mark_written(a) ? publish(a, out) : 0;
	if (ret != 1)
		unmap(a);
	return ret == -ENOSPC ? no_slot(a) : ret;
}

static int attempt(struct attempt *a, struct hmm_translation *out)
{
	int ret = begin(a, out);

	if (ret)
		return ret == -ETIMEDOUT ? 0 : ret;
	ret = make(a, out);
	if (ret != 1)
		leave(a->request->mirror);
	return ret;
}

/*
 * One attempt. 1: done; 0: begin again; else the error. All sections with a lock are one,
 * as far as signals go: each would cost two system calls. What is copied may have to wait
 * for the application.
 */
static int try_fill(struct attempt *a, struct hmm_translation *out)
{
	int ret;

	a->map.mode = HMM_MODES;
	undisturbed_begin();
	ret = attempt(a, out);
	undisturbed_end();
	if (ret == 1 && a->map.mode == HMM_MODE_STAGE)
		return stage_get(a->request, a->access & HMM_READ, out) ?: 1;
	return ret;
}

int fill(struct request *request, struct hmm_translation *out)
{
	struct attempt a = {.request = request};
	struct hmm_translation got;
	int ret;

	deadline_in(&a.deadline, request->mirror->hmm->wait_ms);
	do {
		ret = try_fill(&a, &got);
	} while (!ret && !overdue(&a.deadline));
	if (ret != 1 && core_dead(request->mirror->hmm))
		return core_error(-ECHILD, "this mirror belongs to the parent of a fork");
	if (!ret)
		return too_long(request);
	if (ret == -ESHUTDOWN)
		return core_error(ret, "the mirror is being destroyed");
	if (ret < 0)
		return ret;
	*out = got;
	return 0;
}
