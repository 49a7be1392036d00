/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages are there, and what may be done with them without a fault?
 *
 * /proc/self/pagemap has an entry a page, and alone tells whether an anonymous page is this
 * process's own: without that bit it is shared with a child of a fork (or by KSM), and a
 * write to it faults. What the entries do not tell, PAGEMAP_SCAN does (kernel 6.7): huge
 * pages and the zero page. It is asked only where the entries leave room for one, so that
 * most pages are walked once (bench: range).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "linux/address_space.h"
#include "linux/kernel.h"
#include "sys/sys.h"
#include "util/arena.h"

#define REGIONS        64
#define ENTRIES        512
#define GIGANTIC       (1ull << 30)
#define POPULATE_TRIES 32 /* for memory that comes and goes */

/* What the pages of one mapping have in common. */
struct kind {
	bool write, shared;
	uint64_t always; /* flags of every present page: hugetlb */
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

/* ---- what the entries do not tell ------------------------------------------------- */

/* Add @flag to the pages of [start, end) that are in @category. */
static int add_category(int fd, uint64_t category, uint64_t flag, uint64_t start,
			uint64_t end, uint64_t *pfns)
{
	struct k_page_region regions[REGIONS];
	struct k_pm_scan_arg arg = {
		.size = sizeof(arg),
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = REGIONS,
		.category_mask = category,
		.return_mask = category,
	};

	for (uint64_t at = start; at < end; at = arg.walk_end) {
		int nr;

		arg.start = at;
		nr = sys_ioctl(fd, K_PAGEMAP_SCAN, &arg);
		if (nr < 0)
			return nr;
		for (int i = 0; i < nr; i++)
			for (uint64_t a = regions[i].start; a < regions[i].end;
			     a += page_size())
				if (pfns[(a - start) / page_size()] & HMM_PFN_VALID)
					pfns[(a - start) / page_size()] |= flag;
		if (arg.walk_end <= at)
			return -EIO;
	}
	return 0;
}

/*
 * The one page at @addr, if it is in @category: 1, and which of @wanted it is in; 0 it is
 * not; or -errno.
 */
static int scan_page(int fd, uint64_t addr, uint64_t category, uint64_t wanted,
		     uint64_t *found)
{
	struct k_page_region region = {0};
	struct k_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = addr,
		.end = addr + page_size(),
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = category,
		.return_mask = wanted,
	};
	int nr = sys_ioctl(fd, K_PAGEMAP_SCAN, &arg);

	if (nr > 0)
		*found = region.categories;
	return nr;
}

static bool all_valid(const uint64_t *pfns, uint64_t nr)
{
	for (uint64_t i = 0; i < nr; i++)
		if (!(pfns[i] & HMM_PFN_VALID))
			return false;
	return true;
}

/* A huge page is there as a whole: one page of each full block tells. */
static int add_huge(const struct pages *pages, int fd, uint64_t start, uint64_t end,
		    uint64_t *pfns)
{
	uint64_t page = page_size(), block = pages->pmd, stop, found;

	for (uint64_t at = start; at < end; at = stop) {
		uint64_t *first = pfns + (at - start) / page;
		int huge;

		stop = (at / block + 1) * block;
		stop = stop < end ? stop : end;
		if (!all_valid(first, (stop - at) / page))
			continue;
		huge = scan_page(fd, at, K_PAGE_IS_HUGE, K_PAGE_IS_HUGE, &found);
		if (huge < 0)
			return huge;
		/* The huge zero page is not told apart. */
		for (uint64_t i = 0; huge && i < (stop - at) / page; i++)
			first[i] = (first[i] | HMM_PFN_PMD) & ~HMM_PFN_ZERO;
	}
	return 0;
}

/* ---- the entries ------------------------------------------------------------------ */

/* May be the zero page: there, of no file, and not this process's own. */
static bool maybe_zero(uint64_t entry)
{
	return (entry & (K_PM_PRESENT | K_PM_FILE | K_PM_EXCLUSIVE)) == K_PM_PRESENT;
}

static int read_entries(const struct pages *pages, int fd, const struct kind *kind,
			uint64_t start, uint64_t end, uint64_t *pfns)
{
	uint64_t entries[ENTRIES], page = page_size();

	while (start < end) {
		uint64_t nr = (end - start) / page;
		bool zero = false;
		long got;

		nr = nr < ENTRIES ? nr : ENTRIES;
		got = sys_pread(fd, entries, nr * 8, start / page * 8);
		if (got < 8)
			return got < 0 ? (int)got : -EFAULT;
		nr = (uint64_t)got / 8;
		for (uint64_t i = 0; i < nr; i++) {
			pfns[i] = page_flags(kind, entries[i]);
			zero |= maybe_zero(entries[i]);
		}
		if (zero && pages->scan && !kind->shared && !kind->always) {
			int err = add_category(fd, K_PAGE_IS_PFNZERO, HMM_PFN_ZERO, start,
					       start + nr * page, pfns);
			if (err)
				return err;
		}
		start += nr * page;
		pfns += nr;
	}
	return 0;
}

static int scan_mapping(struct pages *pages, const struct as_mapping *mapping,
			uint64_t start, uint64_t end, uint64_t *pfns)
{
	uint64_t page = page_size();
	struct kind kind = {.write = mapping->write, .shared = mapping->shared};
	int fd = own_file_fd(&pages->file), err;

	if (fd < 0)
		return fd;
	if (!mapping->read || mapping_special(mapping)) {
		for (uint64_t i = 0; i < (end - start) / page; i++)
			pfns[i] = HMM_PFN_ERROR;
		return 0;
	}
	/* hugetlb: each of its pages is a huge one. */
	if (mapping->page > page)
		kind.always = mapping->page >= GIGANTIC ? HMM_PFN_PUD : HMM_PFN_PMD;
	err = read_entries(pages, fd, &kind, start, end, pfns);
	if (!err && pages->scan && !kind.always)
		err = add_huge(pages, fd, start, end, pfns);
	return err;
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
	const uint64_t there = K_PAGE_IS_PRESENT | K_PAGE_IS_SWAPPED;
	uint64_t found;
	int fd, nr;

	/* The older interface does not tell a watched mapping from another. */
	if (!pages->scan)
		return -EOPNOTSUPP;
	fd = own_file_fd(&pages->file);
	/* Of those that are watched by a userfaultfd: ours. */
	nr = fd < 0 ? fd
		    : scan_page(fd, addr, K_PAGE_IS_WPALLOWED, K_PAGE_IS_WPALLOWED | there,
				&found);
	if (nr < 1)
		return nr < 0 ? nr : -ENOENT;
	return found & there ? 1 : 0;
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
	int tries = POPULATE_TRIES, err;

	do {
		err = sys_madvise((void *)(uintptr_t)start, end - start, advice);
		if (err == -EINVAL)
			return -EACCES; /* the mapping's permissions, or I/O memory */
		/* A hole that is mapped again by the time we look was no lack of memory. */
		if (err == -ENOMEM)
			err = why_no_memory(maps, start, end);
	} while (err == -EINTR || err == -EAGAIN || (err == -ENOMEM && --tries));
	return err;
}

/* The size of a huge page in one entry of the middle level. */
static uint64_t pmd_size(void)
{
	char text[32];
	uint64_t size = 0;
	int fd = sys_open(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
			  O_RDONLY);
	long got = fd < 0 ? fd : sys_read(fd, text, sizeof(text));

	if (fd >= 0)
		sys_close(fd);
	for (long i = 0; i < got && text[i] >= '0' && text[i] <= '9'; i++)
		size = size * 10 + (uint64_t)(text[i] - '0');
	return size >= page_size() && !(size & (size - 1))
		       ? size
		       : page_size() * (page_size() / 8);
}

int pages_init(struct pages *pages)
{
	struct k_pm_scan_arg arg = {.size = sizeof(arg)};
	int err;

	*pages = (struct pages){.file = OWN_FILE_NONE};
	pages->pmd = pmd_size();
	err = own_file_open(&pages->file, "/proc/self/pagemap", "/proc/thread-self/pagemap",
			    O_RDONLY);
	if (err)
		return err;
	/* An empty range: only whether the request is known. */
	pages->scan = sys_ioctl(own_file_fd(&pages->file), K_PAGEMAP_SCAN, &arg) >= 0;
	return 0;
}

void pages_fini(struct pages *pages)
{
	own_file_close(&pages->file);
}
