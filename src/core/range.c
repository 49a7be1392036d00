/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in a range of pages, and how is it made present and reachable?
 *
 *	do {
 *		hmm_range_begin(range);
 *		hmm_range_snapshot(range), or fault, or dma_map: -EBUSY begins again
 *		(use what was found to prepare)
 *	} while (hmm_range_retry(range));
 */
#include <errno.h>
#include <time.h>

#include "core/core.h"
#include "util/arena.h"

/* What it had in the first release; what was added later is read where it is there. */
#define RANGE_SIZE_0 (offsetof(struct hmm_range, seq) + sizeof(uint64_t))

static int check_range(const struct hmm_range *range)
{
	const struct hmm_mirror *mirror;
	uint64_t page = page_size();

	if (!range || range->size < RANGE_SIZE_0)
		return core_error(-EINVAL,
				  "struct hmm_range: none, or its size is not set: "
				  "zero it and set size to sizeof(struct hmm_range)");
	if (!range->mirror)
		return core_error(-EINVAL, "struct hmm_range: no mirror in it");
	mirror = range->mirror;
	if (core_dead(mirror->hmm))
		return core_error(-ECHILD, "hmm_range: the mirror is the parent's");
	if (range->end <= range->start || range->start % page || range->end % page)
		return core_error(
			-EINVAL,
			"hmm_range [%#llx, %#llx) is empty or not whole pages of %llu "
			"bytes",
			(unsigned long long)range->start, (unsigned long long)range->end,
			(unsigned long long)page);
	if (range->start < mirror->start || range->end > mirror->end)
		return core_error(
			-ERANGE,
			"hmm_range [%#llx, %#llx) is outside the mirrored interval "
			"[%#llx, %#llx)",
			(unsigned long long)range->start, (unsigned long long)range->end,
			(unsigned long long)mirror->start, (unsigned long long)mirror->end);
	return 0;
}

/* Watch every mapping of the range; holes need no watching: nothing is there to change. */
static int arm_all(const struct hmm_range *range)
{
	struct hmm *hmm = range->mirror->hmm;
	struct source_mapping m;
	uint64_t page = page_size();

	for (uint64_t at = range->start; at < range->end;) {
		m.end = 0;
		int err = hmm->ops->find(hmm->source, at, &m);

		if (err == -ENOENT) {
			at = m.end > at ? m.end : at + page;
			continue;
		}
		if (!err && m.unseen)
			return core_error(-EOPNOTSUPP,
					  "the mapping [%#llx, %#llx) %s cannot be watched "
					  "for changes: %s",
					  (unsigned long long)m.start,
					  (unsigned long long)m.end, m.name,
					  m.why ? m.why : "somebody changes it unseen");
		if (!err && !m.special)
			err = hmm->ops->arm(hmm->source, at,
					    m.end < range->end ? m.end : range->end);
		if (err == -EFAULT || err == -EAGAIN)
			continue; /* went, or changed, meanwhile */
		if (err)
			return core_error(
				err,
				"the mapping [%#llx, %#llx) %s cannot be watched for "
				"changes: %s",
				(unsigned long long)m.start, (unsigned long long)m.end,
				m.name[0] ? m.name : "(anonymous)",
				err == -EBUSY ? "another userfaultfd has it"
					      : "this kernel cannot do it, see `hmm info`; "
						"translate it instead");
		at = m.end;
	}
	return 0;
}

static int settle(const struct hmm_range *range, uint32_t timeout_ms, uint64_t *seq)
{
	struct hmm *hmm = range->mirror->hmm;
	struct timespec deadline;
	int err;

	deadline_in(&deadline, timeout_ms);
	core_lock(hmm);
	err = change_settle_locked(hmm, range->start, range->end, &deadline);
	if (seq && !err)
		*seq = atomic_load_explicit(&hmm->log_head, memory_order_relaxed);
	core_unlock(hmm);
	if (err)
		return core_error(err,
				  "a change of [%#llx, %#llx) did not end within %u ms",
				  (unsigned long long)range->start,
				  (unsigned long long)range->end, timeout_ms);
	return 0;
}

int hmm_range_begin(struct hmm_range *range)
{
	int err = check_range(range);

	if (!err)
		err = thread_attach(range->mirror->hmm);
	if (!err)
		err = settle(range, range->mirror->hmm->wait_ms, &range->seq);
	/* After the number was taken: a change that comes while we arm leaves its part
	 * unwatched, and only what is logged from here on says so. */
	if (!err)
		err = arm_all(range);
	return err;
}

bool hmm_range_retry(const struct hmm_range *range)
{
	struct hmm *hmm;

	if (check_range(range))
		return true;
	hmm = range->mirror->hmm;
	/* Events that are being read, or records that nobody read: let them be told first.
	 */
	if ((atomic_load(&hmm->wiped->seq) & 1 || change_poll_moved(hmm)) &&
	    settle(range, hmm->wait_ms, NULL))
		return true;
	return log_overlaps(hmm, range->seq, range->start, range->end);
}

int hmm_range_wait(const struct hmm_range *range, uint32_t timeout_ms)
{
	int err = check_range(range);

	return err ? err : settle(range, timeout_ms, NULL);
}

static int changed(const struct hmm_range *range)
{
	if (!hmm_range_retry(range))
		return 0;
	return core_error(-EBUSY, "[%#llx, %#llx) changed meanwhile: begin again",
			  (unsigned long long)range->start, (unsigned long long)range->end);
}

static int check_pfns(const struct hmm_range *range)
{
	if (range && !range->pfns)
		return core_error(-EINVAL,
				  "hmm_range.pfns is NULL: give it an entry a page");
	return check_range(range);
}

int hmm_range_snapshot(struct hmm_range *range)
{
	struct hmm *hmm;
	int err = check_pfns(range);

	if (err)
		return err;
	hmm = range->mirror->hmm;
	err = hmm->ops->scan(hmm->source, range->start, range->end, range->pfns);
	if (err)
		return core_error(err, "the page states of [%#llx, %#llx) cannot be read",
				  (unsigned long long)range->start,
				  (unsigned long long)range->end);
	return changed(range);
}

static uint64_t asked(const struct hmm_range *range, uint64_t i)
{
	return ((range->pfns[i] & range->pfn_flags_mask) | range->default_flags) &
	       (HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE);
}

static int populate_failed(const struct hmm_range *range, uint64_t start, uint64_t end,
			   uint64_t flags, int err)
{
	/* The change that it failed for may not have been told yet, and asking for the
	 * watch waits for that: a hole for a moment is no lack of memory. */
	int why = arm_all(range);

	if (!why)
		why = changed(range);
	if (why)
		return why;
	return core_error(err, "[%#llx, %#llx) cannot be made %s: %s",
			  (unsigned long long)start, (unsigned long long)end,
			  flags & HMM_PFN_REQ_WRITE ? "writable" : "present",
			  err == -EFAULT   ? "a hole, or beyond the end of the file"
			  : err == -EACCES ? "the mapping does not allow it"
			  : err == -ENOMEM ? "out of memory"
					   : "the kernel refused");
}

static int populate_all(const struct hmm_range *range)
{
	struct hmm *hmm = range->mirror->hmm;
	uint64_t page = page_size(), n = (range->end - range->start) / page, j;

	for (uint64_t i = 0; i < n; i = j) {
		uint64_t flags = asked(range, i);

		for (j = i + 1; j < n && asked(range, j) == flags; j++)
			;
		if (!flags)
			continue;
		uint64_t start = range->start + i * page, end = range->start + j * page;
		int err = hmm->ops->populate(hmm->source, start, end,
					     flags & HMM_PFN_REQ_WRITE);
		if (err)
			return populate_failed(range, start, end, flags, err);
	}
	return 0;
}

int hmm_range_fault(struct hmm_range *range)
{
	int err = check_pfns(range);

	if (!err)
		err = populate_all(range);
	return err ? err : hmm_range_snapshot(range);
}

int hmm_range_dma_unmap(struct hmm_range *range)
{
	int err = 0;

	if (!range || (range->dma_count && !range->dma))
		return core_error(-EINVAL, "hmm_range_dma_unmap: nothing is mapped");
	for (uint32_t i = 0; i < range->dma_count; i++) {
		int e = hmm_translation_put(&range->dma[i]);

		err = err ? err : e;
	}
	range->dma_count = 0;
	return err;
}

/* One mapping's part of the range, no longer than the device takes at a time. */
static int next_piece(const struct hmm_range *range, uint64_t at, uint64_t *end)
{
	struct hmm *hmm = range->mirror->hmm;
	uint64_t max = longest_mapping(range->mirror);
	struct source_mapping m;
	int err = hmm->ops->find(hmm->source, at, &m);

	if (err)
		return core_error(err == -ENOENT ? -EFAULT : err,
				  "nothing is mapped at %#llx", (unsigned long long)at);
	*end = m.end < range->end ? m.end : range->end;
	if (*end - at > max)
		*end = at + max;
	return 0;
}

static int map_pieces(struct hmm_range *range, unsigned int access)
{
	uint64_t at, end = range->start;
	int err;

	for (at = range->start; at < range->end; at = end) {
		if (range->dma_count == range->dma_max)
			return core_error(-ENOSPC,
					  "hmm_range.dma has room for %u pieces, the "
					  "range takes more",
					  range->dma_max);
		err = next_piece(range, at, &end);
		if (!err)
			err = hmm_translate(range->mirror, (void *)(uintptr_t)at, end - at,
					    access, &range->dma[range->dma_count]);
		if (err)
			return err;
		if (range->dma_len)
			range->dma_len[range->dma_count] = end - at;
		range->dma_count++;
	}
	return changed(range);
}

int hmm_range_dma_map(struct hmm_range *range, unsigned int access)
{
	int err = check_range(range);

	if (err)
		return err;
	if (!range->dma)
		return core_error(-EINVAL, "hmm_range.dma is NULL: give it room");
	range->dma_count = 0;
	err = map_pieces(range, access);
	if (err)
		hmm_range_dma_unmap(range);
	return err;
}
