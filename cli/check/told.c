// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: do the range operations say of this memory what the CPU sees, and is who
 * holds their result told of its unmapping (Y6)?
 */
#include "suite.h"

#include <errno.h>
#include <string.h>

#define TRIES 100 /* of a range that others touch meanwhile */

static uint64_t pfns[KIT_MAX_LEN / 4096];
static struct hmm_translation dma[KIT_MAX_PAGES];
static uint64_t dma_len[KIT_MAX_PAGES];

static bool writable(const struct check_run *run)
{
	return run->r.kind->traits & T_WRITE;
}

static size_t nr_pages(const struct check_run *run)
{
	return run->r.len / KIT_PAGE;
}

/* Of these it is known; whether a private page is a file's depends on who wrote it. */
static bool is_file(const struct check_run *run)
{
	return run->r.kind->traits & (T_SHARED | T_SHMEM);
}

static struct hmm_range range_of(struct check_run *run)
{
	struct hmm_range range = {
		.size = sizeof(struct hmm_range),
		.mirror = run->env->mirror,
		.start = (uintptr_t)run->r.addr,
		.end = (uintptr_t)run->r.addr + run->r.len,
		.default_flags =
			HMM_PFN_REQ_FAULT | (writable(run) ? HMM_PFN_REQ_WRITE : 0),
		.pfns = pfns,
		.dma = dma,
		.dma_len = dma_len,
		.dma_max = KIT_MAX_PAGES,
	};

	return range;
}

/* In all of it: what the CPU may do, the device is said to be able to do. */
static int look_at(struct check_run *run, const char *after)
{
	uint64_t want = HMM_PFN_VALID | (writable(run) ? HMM_PFN_WRITE : 0) |
			(is_file(run) ? HMM_PFN_FILE : 0);
	uint64_t not = HMM_PFN_ERROR | (writable(run) ? 0 : HMM_PFN_WRITE);

	for (size_t i = 0; i < nr_pages(run); i++) {
		if ((pfns[i] & want) == want && !(pfns[i] & not ))
			continue;
		return check_fail(run, "page %zu after %s: %#llx, not %#llx", i, after,
				  (unsigned long long)pfns[i], (unsigned long long)want);
	}
	return 0;
}

/* The pieces are the range, from end to end. */
static int look_at_dma(struct check_run *run, const struct hmm_range *range)
{
	uint64_t covered = 0;

	for (uint32_t i = 0; i < range->dma_count; i++) {
		if (!hmm_translation_valid(&dma[i]))
			return check_fail(run, "piece %u of the DMA map is not valid", i);
		covered += dma_len[i];
	}
	if (covered != run->r.len)
		return check_fail(run, "a DMA map of %llu of %zu bytes",
				  (unsigned long long)covered, run->r.len);
	return 0;
}

/* 0, -EBUSY (begin again), or a verdict as 1. */
static int use_range(struct check_run *run, struct hmm_range *range)
{
	int err = hmm_range_begin(range);

	memset(pfns, 0, nr_pages(run) * sizeof(pfns[0]));
	if (!err)
		err = hmm_range_fault(range);
	if (!err && look_at(run, "a fault"))
		return 1;
	memset(pfns, 0, nr_pages(run) * sizeof(pfns[0]));
	if (!err)
		err = hmm_range_snapshot(range);
	if (!err && look_at(run, "a snapshot"))
		return 1;
	if (!err)
		err = hmm_range_dma_map(range, HMM_READ | (writable(run) ? HMM_WRITE : 0));
	if (!err && look_at_dma(run, range))
		return 1;
	return err;
}

/* What a bounce buffer holds has nowhere to go: that must be said, too. */
static int unmap_dma(struct check_run *run, struct hmm_range *range)
{
	bool lost = writable(run) && dma[0].mode == HMM_MODE_STAGE;
	int err = hmm_range_dma_unmap(range);

	if (err != (lost ? -EFAULT : 0))
		return check_fail(run, "dma unmap: %d, %s", err, hmm_error());
	return 0;
}

/*
 * What cannot be watched is refused; where any mapping can be, a refusal is a fault. The
 * kernel watches no shared mapping of a file that was opened for reading.
 */
static bool may_be_refused(const struct check_run *run)
{
	unsigned int traits = run->r.kind->traits;

	return !run->env->any || (traits & T_DAX) ||
	       ((traits & T_SHARED) && !(traits & T_WRITE));
}

int told_before(struct check_run *run, struct hmm_range *range)
{
	int err, tries = TRIES;

	if (!run->env->mirror)
		return check_skip(run, "without a mirror there are no ranges");
	do {
		*range = range_of(run);
		err = use_range(run, range);
	} while (err == -EBUSY && --tries);
	if (err == -EOPNOTSUPP && may_be_refused(run))
		return check_skip(run, "refused: %s", hmm_error());
	if (err)
		return err > 0 ? -1 : check_fail(run, "a range: %d, %s", err, hmm_error());
	if (hmm_range_retry(range))
		return check_fail(run, "told of a change that was none");
	return 0;
}

int told_after(struct check_run *run, struct hmm_range *range)
{
	if (!hmm_range_retry(range))
		return check_stale(run, "the holder of a range was not told");
	return unmap_dma(run, range);
}
