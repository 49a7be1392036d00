/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does it cost to fault a range in, and to take a snapshot of it?
 *
 * 64 MiB of anonymous memory. Limits: MADV_POPULATE_WRITE; PAGEMAP_SCAN with the same
 * categories. Small pages, so that both do the same work every time.
 */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "linux/kernel.h"
#include "bench.h"

#define SIZE (64ull << 20)

static char *map_fresh(void)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED)
		die("cannot map 64 MiB");
	madvise(p, SIZE, MADV_NOHUGEPAGE);
	return p;
}

static void set_range(struct hmm_range *range, char *p)
{
	range->start = (uintptr_t)p;
	range->end = range->start + SIZE;
	range->default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
	range->pfn_flags_mask = 0;
}

static double fault_gbs(struct hmm_range *range)
{
	char *p = map_fresh();

	set_range(range, p);
	double start = now_ns();

	check_hmm(hmm_range_begin(range), "begin");
	check_hmm(hmm_range_fault(range), "fault");
	if (hmm_range_retry(range))
		die("the range changed by itself");
	double ns = now_ns() - start;

	munmap(p, SIZE);
	return SIZE / ns;
}

static double populate_gbs(void)
{
	char *p = map_fresh();
	double start = now_ns();

	if (madvise(p, SIZE, K_MADV_POPULATE_WRITE))
		return NAN;
	double ns = now_ns() - start;

	munmap(p, SIZE);
	return SIZE / ns;
}

/* Touched or not page by page, in the pattern given: a scan has as many regions. */
static char *map_pattern(bool mixed)
{
	char *p = map_fresh();
	long page = sysconf(_SC_PAGESIZE);

	for (size_t at = 0; at < SIZE; at += (size_t)page * (mixed ? 2 : 1))
		p[at] = 1;
	return p;
}

static double snapshot_gbs(struct hmm_range *range, char *p)
{
	set_range(range, p);
	double start = now_ns();

	check_hmm(hmm_range_begin(range), "begin");
	check_hmm(hmm_range_snapshot(range), "snapshot");
	if (hmm_range_retry(range))
		die("the range changed by itself");
	return SIZE / (now_ns() - start);
}

double scan_gbs(int pagemap, char *p, size_t size)
{
	static struct k_page_region regions[1024];
	struct k_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)p,
		.end = (uintptr_t)p + size,
		.vec = (uintptr_t)regions,
		.vec_len = 1024,
		.return_mask = K_PAGE_IS_PRESENT | K_PAGE_IS_WRITTEN | K_PAGE_IS_FILE |
			       K_PAGE_IS_PFNZERO | K_PAGE_IS_HUGE,
	};
	double start = now_ns();

	while (arg.start < arg.end) {
		if (ioctl(pagemap, K_PAGEMAP_SCAN, &arg) < 0)
			return NAN;
		arg.start = arg.walk_end;
	}
	return (double)size / (now_ns() - start);
}

static void add(struct bench *bench, const char *what, const struct samples *ours,
		const struct samples *limit, const char *limit_name, double aim,
		const char *text)
{
	struct row *row = row_add(bench, "range", "GB/s", "%s", what);

	row_compare(row, ours, limit, limit_name, NULL, NULL);
	row->aim = aim;
	row->aim_at_least = true;
	row->aim_value = row->of_limit;
	row->aim_text = text;
}

static void snapshots(struct bench *bench, struct hmm_range *range, bool mixed)
{
	struct samples ours = {0}, limit = {0};
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *p = map_pattern(mixed);

	for (unsigned int i = 0; i < bench->runs * ROUNDS_A_RUN; i++) {
		sample(&ours, snapshot_gbs(range, p));
		sample(&limit, scan_gbs(pagemap, p, SIZE));
	}
	add(bench,
	    mixed ? "snapshot of 64 MiB, every other page there"
		  : "snapshot of 64 MiB, all there",
	    &ours, &limit, "PAGEMAP_SCAN", 0.9, "at least 0.9 of the limit");
	close(pagemap);
	munmap(p, SIZE);
}

void bench_range(struct bench *bench)
{
	struct samples fault = {0}, populate = {0};
	struct hmm_range range = {.size = sizeof(range)};
	struct null_device *null;
	struct hmm *hmm;

	check_hmm(hmm_open(NULL, &hmm), "hmm_open");
	null = null_open(hmm, HMM_MODE_PIN);
	range.mirror = null_mirror(null);
	range.pfns = calloc(SIZE / (uint64_t)sysconf(_SC_PAGESIZE), sizeof(*range.pfns));
	if (!range.pfns)
		die("out of memory");
	memset(range.pfns, 0, SIZE / (uint64_t)sysconf(_SC_PAGESIZE) * sizeof(*range.pfns));
	for (unsigned int i = 0; i < bench->runs * ROUNDS_A_RUN; i++) {
		sample(&fault, fault_gbs(&range));
		sample(&populate, populate_gbs());
	}
	add(bench, "fault in 64 MiB for writing", &fault, &populate, "MADV_POPULATE_WRITE",
	    0.9, "at least 0.9 of the limit");
	snapshots(bench, &range, false);
	snapshots(bench, &range, true);
	free(range.pfns);
	null_close(null);
	hmm_close(hmm);
}
