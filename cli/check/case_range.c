// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: is a range operation that collides with a change told so, and does it get
 * on all the same (Y6)?
 */
#include "cases.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAGES 16u
#define LEN   (PAGES * KIT_PAGE)

struct request {
	struct hmm_range range;
	uint64_t pfns[PAGES];
	struct hmm_translation dma[PAGES];
};

static void request_init(struct request *req, struct check_run *run, uint8_t *at,
			 uint64_t flags)
{
	memset(req, 0, sizeof(*req));
	req->range = (struct hmm_range){.size = sizeof(struct hmm_range),
					.mirror = run->env->mirror,
					.start = (uintptr_t)at,
					.end = (uintptr_t)at + LEN,
					.default_flags = flags,
					.pfns = req->pfns,
					.dma = req->dma,
					.dma_max = PAGES};
}

static int change_page(const struct kit_calls *calls, uint8_t *at)
{
	void *p;

	if (calls->munmap(at, KIT_PAGE))
		return -errno;
	p = calls->mmap(at, KIT_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return p == at ? 0 : -errno;
}

/* Without a way to watch memory nobody could be told of a collision: then no range. */
static bool refused(struct check_run *run, uint8_t *at)
{
	struct request req;
	int err;

	if (run->env->watched)
		return false;
	request_init(&req, run, at, 0);
	err = hmm_range_begin(&req.range);
	if (err == -EOPNOTSUPP)
		check_skip(run, "refused here: %s", hmm_error());
	else
		check_fail(run, "a range of memory that cannot be watched: %d", err);
	return true;
}

/* ---- told so
 * ------------------------------------------------------------------------------ */

typedef int (*change_fn)(const struct kit_calls *calls, uint8_t *at);

static int change_none(const struct kit_calls *calls, uint8_t *at)
{
	return 0;
}

static int change_discard(const struct kit_calls *calls, uint8_t *at)
{
	return calls->madvise(at, KIT_PAGE, MADV_DONTNEED);
}

static int change_protect(const struct kit_calls *calls, uint8_t *at)
{
	return calls->mprotect(at, KIT_PAGE, PROT_READ) |
	       calls->mprotect(at, KIT_PAGE, PROT_READ | PROT_WRITE);
}

static int told(struct check_run *run, uint8_t *at, change_fn change, enum kit_way way,
		uint8_t *where, bool expected, const char *what)
{
	const struct kit_calls *calls = kit_calls(way, 0);
	uint64_t records = check_records(run->env);
	struct request req;
	int err;

	request_init(&req, run, at, 0);
	err = hmm_range_begin(&req.range);
	if (!err)
		err = hmm_range_snapshot(&req.range);
	if (err)
		return check_fail(run, "%s: snapshot: %d, %s", what, err, hmm_error());
	if (hmm_range_retry(&req.range))
		return check_fail(run, "%s: retry before there was a change", what);
	if (change(calls, where))
		return check_fail(run, "%s: %s", what, strerror(errno));
	if (change == change_protect)
		check_wait_for_record(run->env, records);
	if (hmm_range_retry(&req.range) != expected)
		return check_stale(run, "%s %s: %s", what, kit_way_names[way],
				   expected ? "the holder of a snapshot was not told"
					    : "told of a change elsewhere");
	return 0;
}

static int all_told(struct check_run *run, uint8_t *at, uint8_t *elsewhere)
{
	uint8_t *in = at + 3 * KIT_PAGE;

	for (enum kit_way way = WAY_LIBC; way <= WAY_RAW; way++) {
		if (told(run, at, change_none, way, in, false, "no change") ||
		    told(run, at, change_page, way, in, true, "munmap and mmap") ||
		    told(run, at, change_discard, way, in, true, "MADV_DONTNEED") ||
		    told(run, at, change_page, way, elsewhere, false, "munmap elsewhere"))
			return -1;
		if (way == WAY_LIBC && !kit_interposed() && !run->env->perf)
			continue;
		if (way == WAY_RAW && !run->env->perf)
			continue;
		if (told(run, at, change_protect, way, in, true, "mprotect"))
			return -1;
	}
	return 0;
}

/* ---- what a snapshot and a fault say
 * -------------------------------------------------------- */

static int fault(struct check_run *run, struct request *req, uint8_t *at, uint64_t flags)
{
	int err;

	request_init(req, run, at, flags);
	do {
		err = hmm_range_begin(&req->range);
		if (!err)
			err = hmm_range_fault(&req->range);
	} while (err == -EBUSY || (!err && hmm_range_retry(&req->range)));
	return err;
}

static int says(struct check_run *run, uint8_t *at)
{
	struct request req;
	int err;

	request_init(&req, run, at, 0);
	munmap(at, LEN);
	(void)mmap(at, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0);
	if (hmm_range_begin(&req.range) || hmm_range_snapshot(&req.range))
		return check_fail(run, "snapshot: %s", hmm_error());
	if (req.pfns[0] & (HMM_PFN_VALID | HMM_PFN_ERROR))
		return check_fail(run, "an untouched page: %llx",
				  (unsigned long long)req.pfns[0]);
	err = fault(run, &req, at, HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE);
	for (unsigned int i = 0; i < PAGES; i++) {
		if (err || !(req.pfns[i] & HMM_PFN_VALID) || !(req.pfns[i] & HMM_PFN_WRITE))
			return check_fail(run, "page %u after a write fault: %d, %llx", i,
					  err, (unsigned long long)req.pfns[i]);
	}
	mprotect(at + KIT_PAGE, KIT_PAGE, PROT_READ);
	munmap(at + 5 * KIT_PAGE, KIT_PAGE);
	request_init(&req, run, at, 0);
	if (hmm_range_begin(&req.range) || hmm_range_snapshot(&req.range))
		return check_fail(run, "snapshot: %s", hmm_error());
	if ((req.pfns[1] & HMM_PFN_WRITE) || !(req.pfns[1] & HMM_PFN_VALID) ||
	    !(req.pfns[5] & HMM_PFN_ERROR) || (req.pfns[4] & HMM_PFN_ERROR))
		return check_stale(run, "a read-only page says %llx, a hole %llx",
				   (unsigned long long)req.pfns[1],
				   (unsigned long long)req.pfns[5]);
	err = fault(run, &req, at, HMM_PFN_REQ_FAULT);
	if (err != -EFAULT)
		return check_fail(run, "a fault over a hole gave %d", err);
	(void)mmap(at + 5 * KIT_PAGE, KIT_PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	err = fault(run, &req, at, HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE);
	if (err != -EACCES)
		return check_fail(run, "a write fault on a read-only page gave %d", err);
	mprotect(at, LEN, PROT_READ | PROT_WRITE);
	return 0;
}

static int maps(struct check_run *run, uint8_t *at)
{
	struct request req;
	uint64_t covered = 0;
	int err;

	if (fault(run, &req, at, HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE))
		return check_fail(run, "fault: %s", hmm_error());
	err = hmm_range_dma_map(&req.range, HMM_READ | HMM_WRITE);
	if (err)
		return check_fail(run, "dma map: %d, %s", err, hmm_error());
	for (unsigned int i = 0; i < req.range.dma_count; i++)
		covered += hmm_translation_valid(&req.dma[i]);
	if (!req.range.dma_count || covered != req.range.dma_count)
		return check_fail(run, "%llu of %u pieces are valid",
				  (unsigned long long)covered, req.range.dma_count);
	change_page(kit_calls(WAY_RAW, 0), at + 7 * KIT_PAGE);
	if (!hmm_range_retry(&req.range))
		return check_stale(run, "a mapped range was not told of a change");
	err = hmm_range_dma_unmap(&req.range);
	if (err)
		return check_fail(run, "dma unmap: %d", err);
	err = hmm_range_dma_map(&req.range, HMM_READ | HMM_WRITE);
	if (err != -EBUSY)
		return check_fail(run, "dma map after a change gave %d", err);
	return 0;
}

void case_range(struct check_run *run)
{
	uint8_t *at = case_map(LEN), *elsewhere = case_map(LEN);

	if (!at || !elsewhere) {
		check_fail(run, "mmap: %s", strerror(errno));
		return;
	}
	memset(at, 1, LEN);
	if (!case_both_ways(run, at, LEN, "the range") &&
	    !case_both_ways(run, elsewhere, LEN, "another range") && !refused(run, at) &&
	    !all_told(run, at, elsewhere) && !says(run, at))
		maps(run, at);
	munmap(at, LEN);
	munmap(elsewhere, LEN);
}

/* ---- progress
 * ---------------------------------------------------------------------------------- */

struct churn {
	uint8_t *at;
	atomic_bool stop;
	atomic_uint changes;
};

/* Changes two pages of the range as fast as it can, by turns through libc and raw. */
static void *churn(void *arg)
{
	struct churn *c = arg;

	for (unsigned int i = 0; !atomic_load(&c->stop); i++) {
		const struct kit_calls *calls = kit_calls(i & 2 ? WAY_RAW : WAY_LIBC, i);

		if (i & 1)
			change_page(calls, c->at + 2 * KIT_PAGE);
		else
			calls->madvise(c->at + 3 * KIT_PAGE, KIT_PAGE, MADV_DONTNEED);
		atomic_fetch_add(&c->changes, 1);
	}
	return NULL;
}

/* One range operation, as often as it takes. */
static int get_on(struct check_run *run, uint8_t *at, unsigned int *collisions)
{
	struct request req;
	int err;

	for (;;) {
		request_init(&req, run, at, HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE);
		err = hmm_range_begin(&req.range);
		if (!err)
			err = hmm_range_fault(&req.range);
		if (!err && !hmm_range_retry(&req.range))
			return 0;
		/* A hole for a moment is what the other thread makes: no failure of ours.
		 */
		if (err && err != -EBUSY && err != -EFAULT)
			return check_fail(run, "range fault: %d, %s", err, hmm_error());
		++*collisions;
	}
}

static int device_gets_on(struct check_run *run, uint8_t *at, unsigned int *collisions)
{
	uint8_t out[3];
	int rc;

	/* On the border of what changes and what does not. */
	while ((rc = case_read(run, at + 2 * KIT_PAGE - 1, out, sizeof(out)))) {
		if (rc != -EFAULT && rc != -EBUSY)
			return check_fail(run, "device read: %d, %s", rc, hmm_error());
		++*collisions;
	}
	rc = case_read(run, at + 9 * KIT_PAGE, out, sizeof(out));
	if (rc)
		return check_fail(run, "device read beside the changes: %d", rc);
	return 0;
}

/* Changes a page now and then, but so that there is no moment at which it is not there. */
static void *discard(void *arg)
{
	struct churn *c = arg;

	for (unsigned int i = 0; !atomic_load(&c->stop); i++) {
		kit_calls(i & 1 ? WAY_RAW : WAY_LIBC, i)
			->madvise(c->at + 3 * KIT_PAGE, KIT_PAGE, MADV_DONTNEED);
		usleep(50);
	}
	return NULL;
}

/* A device that was refused because the memory changed has to try again. */
static void never_refused(struct check_run *run, struct churn *c)
{
	uint8_t out[3];
	pthread_t thread;

	atomic_store(&c->stop, false);
	if (pthread_create(&thread, NULL, discard, c)) {
		check_fail(run, "no thread");
		return;
	}
	for (unsigned int i = 0; i < 300 && !run->failed; i++) {
		int rc = case_read(run, c->at + 3 * KIT_PAGE, out, sizeof(out));

		if (rc && rc != -EBUSY)
			check_fail(run, "device read of memory that is always there: %s",
				   strerror(-rc));
	}
	atomic_store(&c->stop, true);
	pthread_join(thread, NULL);
}

void case_progress(struct check_run *run)
{
	struct churn c = {.at = case_map(LEN)};
	unsigned int collisions = 0, rounds = 0;
	pthread_t thread;

	if (!c.at || pthread_create(&thread, NULL, churn, &c)) {
		check_fail(run, "no memory or no thread");
		return;
	}
	/* Enough of both to have met: a case that stands still is ended by its time limit.
	 */
	while (!run->failed && (rounds < 300 || !collisions)) {
		if (!run->env->watched || !get_on(run, c.at, &collisions))
			device_gets_on(run, c.at, &collisions);
		++*check_beat;
		rounds++;
	}
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	if (!run->failed)
		never_refused(run, &c);
	if (!run->failed)
		snprintf(run->result->detail, sizeof(run->result->detail),
			 "%u operations%s got on, %u collisions, %u changes", rounds,
			 run->env->watched ? ""
					   : " of the device (ranges are refused here)",
			 collisions, atomic_load(&c.changes));
	munmap(c.at, LEN);
}
