/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What do kernels newer than the system's headers define?
 *
 * Numbers and layouts as the kernel's user-space ABI has them (fs.h, userfaultfd.h,
 * mman.h, perf_event.h); every name has a prefix of our own, so that newer headers do not
 * clash.
 */
#ifndef AS_KERNEL_H
#define AS_KERNEL_H

#include <linux/ioctl.h>
#include <stdint.h>

/* userfaultfd: 6.7 */
#define K_UFFD_FEATURE_WP_ASYNC (1ull << 15)

/* userfaultfd: 6.8 */
struct k_uffdio_move {
	uint64_t dst, src, len, mode;
	int64_t move;
};
#define K_UFFDIO_MOVE _IOWR(0xAA, 0x05, struct k_uffdio_move)

/* /proc/PID/maps: 6.11 */
struct k_procmap_query {
	uint64_t size, query_flags, query_addr;
	uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor;
	uint32_t vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};
#define K_PROCMAP_QUERY            _IOWR('f', 17, struct k_procmap_query)
#define K_PROCMAP_READABLE         0x01
#define K_PROCMAP_WRITABLE         0x02
#define K_PROCMAP_EXECUTABLE       0x04
#define K_PROCMAP_SHARED           0x08
#define K_PROCMAP_COVERING_OR_NEXT 0x10

/* /proc/PID/pagemap: 6.7 */
struct k_pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct k_page_region {
	uint64_t start, end, categories;
};
#define K_PAGEMAP_SCAN      _IOWR('f', 16, struct k_pm_scan_arg)
#define K_PAGE_IS_WPALLOWED (1ull << 0)
#define K_PAGE_IS_WRITTEN   (1ull << 1)
#define K_PAGE_IS_FILE      (1ull << 2)
#define K_PAGE_IS_PRESENT   (1ull << 3)
#define K_PAGE_IS_SWAPPED   (1ull << 4)
#define K_PAGE_IS_PFNZERO   (1ull << 5)
#define K_PAGE_IS_HUGE      (1ull << 6)

/* An entry of /proc/PID/pagemap */
#define K_PM_EXCLUSIVE (1ull << 56)
#define K_PM_UFFD_WP   (1ull << 57)
#define K_PM_FILE      (1ull << 61)
#define K_PM_SWAPPED   (1ull << 62)
#define K_PM_PRESENT   (1ull << 63)

/* madvise */
#define K_MADV_POPULATE_READ   22
#define K_MADV_POPULATE_WRITE  23
#define K_MADV_DONTNEED_LOCKED 24
#define K_MADV_COLLAPSE        25
#define K_MADV_GUARD_INSTALL   102
#define K_MADV_GUARD_REMOVE    103

#endif
