// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: which kinds of memory are there?
 *
 * kinds_own.c makes those that a program maps itself, kinds_libc.c those that libc, the
 * loader and the kernel make for it, kinds_dax.c persistent memory.
 */
#include "kinds.h"

#include <string.h>

/* ---- the table
 * ---------------------------------------------------------------------------- */

#define SMALL 0, 0

static const struct kit_kind everywhere[] = {
	{"anon", "private anonymous", T_OWN | T_ANON | T_WRITE, SMALL, make_own, unmake_own,
	 map_anon},
	{"anon-ro", "private anonymous, read-only", T_OWN | T_ANON, SMALL, make_own,
	 unmake_own, map_anon_ro},
	{"thp", "transparent huge pages", T_OWN | T_ANON | T_WRITE | T_THP, 0, 0, make_thp,
	 unmake_own, map_thp},
	{"hugetlb", "MAP_HUGETLB, private", T_OWN | T_ANON | T_WRITE | T_HUGETLB, 0, 0,
	 make_hugetlb, unmake_own, map_hugetlb},
	{"anon-shared", "anonymous, MAP_SHARED", T_OWN | T_SHARED | T_SHMEM | T_WRITE,
	 SMALL, make_own, unmake_own, map_anon},
	{"shm", "shm_open", T_OWN | T_SHARED | T_SHMEM | T_FD | T_WRITE, SMALL, make_own,
	 unmake_own, map_fd},
	{"memfd", "memfd_create", T_OWN | T_SHARED | T_SHMEM | T_FD | T_WRITE, SMALL,
	 make_own, unmake_own, map_fd},
	{"sysv", "shmget, shmat", T_OWN | T_SHARED | T_SHMEM | T_SYSV | T_WRITE, SMALL,
	 make_own, unmake_own, map_sysv},
	{"file-private", "a file, MAP_PRIVATE", T_OWN | T_FILE | T_FD | T_WRITE, SMALL,
	 make_own, unmake_own, map_fd},
	{"file-shared", "a file, MAP_SHARED", T_OWN | T_SHARED | T_FILE | T_FD | T_WRITE,
	 SMALL, make_own, unmake_own, map_fd},
	{"file-ro", "a file opened read-only, MAP_PRIVATE", T_OWN | T_FILE | T_FD, SMALL,
	 make_own, unmake_own, map_fd},
	{"file-shared-ro", "a file opened read-only, MAP_SHARED",
	 T_OWN | T_SHARED | T_FILE | T_FD, SMALL, make_own, unmake_own, map_fd},
	{"heap", "malloc, from the brk heap", T_ANON | T_WRITE | T_HEAP, SMALL, make_heap,
	 unmake_heap, NULL},
	{"heap-large", "malloc, a mapping of its own", T_ANON | T_WRITE | T_LARGE, SMALL,
	 make_large, unmake_heap, NULL},
	{"brk", "sbrk", T_ANON | T_WRITE | T_BRK, SMALL, make_brk, unmake_brk, NULL},
	{"stack", "the main thread's stack", T_ANON | T_WRITE, SMALL, make_stack,
	 unmake_kept, NULL},
	{"thread-stack", "a thread's stack, unmapped at its end",
	 T_ANON | T_WRITE | T_THREAD, SMALL, make_thread_big, unmake_thread, NULL},
	{"thread-cached", "a thread's stack, kept by libc for the next",
	 T_ANON | T_WRITE | T_THREAD, SMALL, make_thread_small, unmake_thread, NULL},
	{"rodata", "read-only data of the program", T_STATIC, SMALL, make_rodata,
	 unmake_kept, NULL},
	{"data", ".data of the program", T_STATIC | T_WRITE, SMALL, make_data, unmake_kept,
	 NULL},
	{"bss", ".bss of the program", T_STATIC | T_ANON | T_WRITE, SMALL, make_bss,
	 unmake_kept, NULL},
	{"library", ".data of a library that dlopen brought", T_LIBRARY | T_WRITE, SMALL,
	 make_library, unmake_library, NULL},
};

struct kit_kind kit_kinds[KIT_MAX_KINDS];
unsigned int kit_nr_kinds;

static void set_size(struct kit_kind *kind)
{
	size_t huge = kind->traits & T_HUGETLB ? kit_hugetlb : kit_huge;

	kind->page = KIT_PAGE;
	kind->len = KIT_PAGES * KIT_PAGE;
	if (kind->traits & (T_HUGETLB | T_DEVICE))
		kind->page = huge;
	if (kind->traits & (T_HUGETLB | T_DEVICE | T_THP | T_HUGE))
		kind->len = 2 * huge;
	if (kind->len > KIT_MAX_LEN && !kind->missing)
		kind->missing = "huge pages of this machine are larger than the suite's "
				"regions";
}

void kit_kinds_init(void)
{
	kit_sizes_init();
	kit_nr_kinds = sizeof(everywhere) / sizeof(everywhere[0]);
	memcpy(kit_kinds, everywhere, sizeof(everywhere));
	kit_nr_kinds +=
		kit_dax_kinds(kit_kinds + kit_nr_kinds, KIT_MAX_KINDS - kit_nr_kinds);
	for (unsigned int k = 0; k < kit_nr_kinds; k++)
		set_size(&kit_kinds[k]);
}
