// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: what does every region have, and where is room for one?
 */
#include "kinds.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

size_t kit_page = 4096, kit_huge = (size_t)2 << 20, kit_hugetlb = (size_t)2 << 20;

static size_t read_size(const char *path, const char *format, size_t unit, size_t otherwise)
{
	char line[128];
	FILE *file = fopen(path, "re");
	unsigned long value = 0;

	while (file && !value && fgets(line, sizeof(line), file))
		(void)sscanf(line, format, &value);
	if (file)
		fclose(file);
	return value ? value * unit : otherwise;
}

void kit_sizes_init(void)
{
	kit_page = (size_t)sysconf(_SC_PAGESIZE);
	/* A level of the page table: entries of 8 bytes. */
	kit_huge = read_size("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "%lu", 1,
			     kit_page * (kit_page / 8));
	kit_hugetlb = read_size("/proc/meminfo", "Hugepagesize: %lu kB", 1024, kit_huge);
}

/*
 * Far below where the kernel puts mappings of its own accord: an address that the suite
 * leaves empty stays empty until the suite fills it again.
 */
uint8_t *kit_zone(size_t len)
{
	static uintptr_t next = 0x200000000000;
	size_t unit = kit_huge > kit_hugetlb ? kit_huge : kit_hugetlb;
	uintptr_t at = (next + unit - 1) / unit * unit;

	next = at + (len / unit + 3) * unit;
	return (uint8_t *)at;
}

int kit_region_reason(struct kit_region *r, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->reason, sizeof(r->reason), format, args);
	va_end(args);
	return err;
}

/* What a region is compared with, three times its length: as much as the longest needs. */
static uint8_t *shadow_for(size_t len)
{
	static uint8_t *shadow;
	static size_t room;
	uint8_t *longer;

	if (len <= room)
		return shadow;
	longer = mmap(NULL, 3 * len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (longer == MAP_FAILED)
		return NULL;
	/* The shorter one stays: a region may be open that has it. */
	room = len;
	return shadow = longer;
}

int kit_region_open(struct kit_region *r, const struct kit_kind *kind)
{
	uint8_t *shadow = kind->missing ? NULL : shadow_for(kind->len);

	memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->len = kind->len;
	r->page = kind->page;
	r->shadow = shadow;
	r->fd = -1;
	if (kind->missing)
		return kit_region_reason(r, -EOPNOTSUPP, "%s", kind->missing);
	if (!shadow)
		return kit_region_reason(r, -ENOMEM,
					 "no address space is left (RLIMIT_AS?)");
	r->base = shadow + kind->len;
	r->fresh = shadow + 2 * kind->len;
	return kind->make(r);
}
