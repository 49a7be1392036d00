/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages are there, and what may be done with them without a fault?
 *
 * PAGEMAP_SCAN (kernel 6.7) tells ranges of like pages; before that, and for the one bit
 * that it does not tell, /proc/self/pagemap has an entry a page. That bit: whether an
 * anonymous page is this process's alone. Without it, it is shared with a child of a fork
 * (or by KSM), and a write to it faults.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "as/as.h"
#include "as/kernel.h"
#include "sys/sys.h"
#include "util/arena.h"

#define REGIONS  64
#define ENTRIES  512
#define GIGANTIC (1ull << 30)

/* What the pages of one mapping have in common. */
struct kind {
	bool write, shared;
	uint64_t huge; /* HMM_PFN_PMD or _PUD, for a huge page of this mapping */
	uint64_t
		always; /* flags of every present page: hugetlb, where nothing else tells */
};

static uint64_t page_flags(const struct kind *kind, uint64_t entry)
{
	uint64_t flags = HMM_PFN_VALID | kind->always;
	bool file = entry & K_PM_FILE;

	if (!(entry & K_PM_PRESENT))
		return 0;
	if (file)
		flags |= HMM_PFN_FILE;
	if (kind->write && !(entry & K_PM_UFFD_WP) &&
	    (kind->shared || (!file && entry & K_PM_EXCLUSIVE)))
		flags |= HMM_PFN_WRITE;
	return flags;
}

/* One entry a page: all that old kernels have. Keeps what is in @keep of pfns[]. */
static int read_entries(int fd, const struct kind *kind, uint64_t start, uint64_t end,
			uint64_t *pfns, uint64_t keep)
{
	uint64_t entries[ENTRIES], page = page_size();

	while (start < end) {
		uint64_t nr = (end - start) / page;
		long got;

		nr = nr < ENTRIES ? nr : ENTRIES;
		got = sys_pread(fd, entries, nr * 8, start / page * 8);
		if (got < 8)
			return got < 0 ? (int)got : -EFAULT;
		nr = (uint64_t)got / 8;
		for (uint64_t i = 0; i < nr; i++, pfns++) {
			uint64_t flags = page_flags(kind, entries[i]);

			*pfns = flags ? flags | (*pfns & keep) : 0;
		}
		start += nr * page;
	}
	return 0;
}

static uint64_t region_flags(const struct kind *kind, uint64_t categories)
{
	uint64_t flags = HMM_PFN_VALID;

	if (!(categories & K_PAGE_IS_PRESENT))
		return 0;
	if (categories & K_PAGE_IS_FILE)
		flags |= HMM_PFN_FILE;
	if (categories & K_PAGE_IS_HUGE)
		flags |= kind->huge;
	else if (categories & K_PAGE_IS_PFNZERO)
		flags |= HMM_PFN_ZERO; /* the huge zero page is not told apart */
	if (kind->write && kind->shared && categories & K_PAGE_IS_WRITTEN)
		flags |= HMM_PFN_WRITE;
	return flags;
}

static int fill_region(int fd, const struct kind *kind, const struct k_page_region *region,
		       uint64_t *pfns)
{
	uint64_t nr = (region->end - region->start) / page_size();
	uint64_t flags = region_flags(kind, region->categories);

	for (uint64_t i = 0; i < nr; i++)
		pfns[i] = flags;
	/* Only a page of its own, anonymous, in a private writable mapping needs more. */
	if (!flags || !kind->write || kind->shared || flags & (HMM_PFN_FILE | HMM_PFN_ZERO))
		return 0;
	return read_entries(fd, kind, region->start, region->end, pfns,
			    HMM_PFN_PMD | HMM_PFN_PUD);
}

static int scan_regions(int fd, const struct kind *kind, uint64_t start, uint64_t end,
			uint64_t *pfns)
{
	struct k_page_region regions[REGIONS];
	struct k_pm_scan_arg arg = {
		.size = sizeof(arg),
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = REGIONS,
		.category_mask = K_PAGE_IS_PRESENT,
		.return_mask = K_PAGE_IS_PRESENT | K_PAGE_IS_FILE | K_PAGE_IS_PFNZERO |
			       K_PAGE_IS_HUGE | K_PAGE_IS_WRITTEN,
	};
	uint64_t page = page_size();

	memset(pfns, 0, (end - start) / page * sizeof(*pfns));
	for (uint64_t at = start; at < end; at = arg.walk_end) {
		int nr;

		arg.start = at;
		nr = sys_ioctl(fd, K_PAGEMAP_SCAN, &arg);
		if (nr < 0)
			return nr;
		for (int i = 0; i < nr; i++) {
			int err = fill_region(fd, kind, &regions[i],
					      pfns + (regions[i].start - start) / page);

			if (err)
				return err;
		}
		if (arg.walk_end <= at)
			return -EIO;
	}
	return 0;
}

static int scan_mapping(struct pages *pages, const struct as_mapping *mapping,
			uint64_t start, uint64_t end, uint64_t *pfns)
{
	struct kind kind = {
		.write = mapping->write,
		.shared = mapping->shared,
		.huge = mapping->page >= GIGANTIC ? HMM_PFN_PUD : HMM_PFN_PMD,
	};
	uint64_t page = page_size();

	if (!mapping->read || mapping_special(mapping)) {
		for (uint64_t i = 0; i < (end - start) / page; i++)
			pfns[i] = HMM_PFN_ERROR;
		return 0;
	}
	if (pages->scan)
		return scan_regions(pages->fd, &kind, start, end, pfns);
	if (mapping->page > page)
		kind.always = kind.huge;
	return read_entries(pages->fd, &kind, start, end, pfns, 0);
}

int pages_scan(struct pages *pages, struct maps *maps, uint64_t start, uint64_t end,
	       uint64_t *pfns)
{
	uint64_t page = page_size(), at = start;

	while (at < end) {
		struct as_mapping mapping;
		uint64_t stop;
		int err = maps_next(maps, at, &mapping);

		if (err && err != -ENOENT)
			return err;
		stop = err || mapping.start > end ? end : mapping.start;
		for (; at < stop; at += page)
			pfns[(at - start) / page] = HMM_PFN_ERROR;
		if (at >= end)
			break;
		stop = mapping.end < end ? mapping.end : end;
		err = scan_mapping(pages, &mapping, at, stop, pfns + (at - start) / page);
		if (err)
			return err;
		at = stop;
	}
	return 0;
}

int pages_present(struct pages *pages, uint64_t addr)
{
	struct k_page_region region;
	struct k_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = addr,
		.end = addr + page_size(),
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = K_PAGE_IS_WPALLOWED, /* watched by a userfaultfd: ours */
		.return_mask = K_PAGE_IS_WPALLOWED | K_PAGE_IS_PRESENT | K_PAGE_IS_SWAPPED,
	};
	int nr;

	/* The older interface does not tell a watched mapping from another. */
	if (!pages->scan)
		return -EOPNOTSUPP;
	nr = sys_ioctl(pages->fd, K_PAGEMAP_SCAN, &arg);
	if (nr < 1)
		return nr < 0 ? nr : -ENOENT;
	return region.categories & (K_PAGE_IS_PRESENT | K_PAGE_IS_SWAPPED) ? 1 : 0;
}

/* MADV_POPULATE_... says ENOMEM for a hole and for no memory; the maps tell which. */
static int why_no_memory(struct maps *maps, uint64_t start, uint64_t end)
{
	while (start < end) {
		struct as_mapping mapping;
		int err = maps_find(maps, start, &mapping);

		if (err)
			return err == -ENOENT ? -EFAULT : err;
		start = mapping.end;
	}
	return -ENOMEM;
}

int pages_populate(struct maps *maps, uint64_t start, uint64_t end, bool write)
{
	int advice = write ? K_MADV_POPULATE_WRITE : K_MADV_POPULATE_READ;
	int err;

	do {
		err = sys_madvise((void *)(uintptr_t)start, end - start, advice);
	} while (err == -EINTR || err == -EAGAIN);
	if (err == -EINVAL)
		return -EACCES; /* the mapping's permissions, or I/O memory */
	return err == -ENOMEM ? why_no_memory(maps, start, end) : err;
}

int pages_init(struct pages *pages)
{
	struct k_pm_scan_arg arg = {.size = sizeof(arg)};

	*pages = (struct pages){.fd = -1};
	pages->fd = sys_open(AT_FDCWD, "/proc/self/pagemap", O_RDONLY);
	if (pages->fd < 0)
		return pages->fd;
	/* An empty range: only whether the request is known. */
	pages->scan = sys_ioctl(pages->fd, K_PAGEMAP_SCAN, &arg) >= 0;
	return 0;
}

void pages_fini(struct pages *pages)
{
	if (pages->fd >= 0)
		sys_close(pages->fd);
	pages->fd = -1;
}
