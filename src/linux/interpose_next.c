/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where is the next function in line? (interpose_next.h)
 *
 * The linker is asked once for all of them, by whoever comes first. It may call malloc()
 * and free() while it looks, which are ours: that thread gets memory from a small buffer
 * until the answers are there.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "linux/interpose.h"
#include "linux/interpose_next.h"

#if INTERPOSE

#define EARLY 8192u
#define ALIGN 16u

extern void __libc_free(void *) __attribute__((weak));
extern void *__libc_malloc(size_t) __attribute__((weak));

HIDDEN struct next next_table;
HIDDEN _Atomic bool next_known;

static const struct next nobody;
static __attribute__((aligned(ALIGN))) char early[EARLY];
static _Atomic size_t early_used;
/* volatile: dlsym() is declared a leaf, so the compiler sees nobody who would read it. */
static __thread volatile bool looking __attribute__((tls_model("initial-exec")));

void *next_early_alloc(size_t size)
{
	size_t room = (size + 2 * ALIGN - 1) & ~(size_t)(ALIGN - 1), at;

	if (size > EARLY)
		return NULL;
	at = atomic_fetch_add(&early_used, room);
	if (at + room > EARLY)
		return NULL;
	*(size_t *)&early[at] = size; /* for realloc() */
	return &early[at + ALIGN];
}

bool next_early_block(const void *block)
{
	uintptr_t at = (uintptr_t)block;

	return at >= (uintptr_t)early && at < (uintptr_t)early + EARLY;
}

/* malloc() in use: ours, or where the library was loaded late, somebody else's. */
static bool glibc_allocates(const struct next *next)
{
	void *malloc_in_use = dlsym(RTLD_DEFAULT, "malloc");

	return next->free && next->free == __libc_free && next->malloc == __libc_malloc &&
	       (malloc_in_use == (void *)interpose_malloc ||
		malloc_in_use == (void *)__libc_malloc);
}

#define LOOK(next, name) (*(void **)&(next)->name = dlsym(RTLD_NEXT, #name))

static void look_for_mappings(struct next *next)
{
	LOOK(next, munmap);
	LOOK(next, mmap);
	LOOK(next, mmap64);
	LOOK(next, mremap);
	LOOK(next, mprotect);
	LOOK(next, pkey_mprotect);
	LOOK(next, remap_file_pages);
	LOOK(next, madvise);
	LOOK(next, process_madvise);
	LOOK(next, brk);
	LOOK(next, sbrk);
	LOOK(next, shmat);
	LOOK(next, shmdt);
	LOOK(next, ftruncate);
	LOOK(next, ftruncate64);
	LOOK(next, truncate);
	LOOK(next, truncate64);
}

static void look_for_allocator(struct next *next)
{
	LOOK(next, free);
	LOOK(next, malloc);
	LOOK(next, calloc);
	LOOK(next, realloc);
	LOOK(next, memalign);
	LOOK(next, aligned_alloc);
	LOOK(next, posix_memalign);
	LOOK(next, valloc);
	LOOK(next, pvalloc);
	next->glibc = glibc_allocates(next);
}

/* Two threads that come at once write the same. */
const struct next *next_look(void)
{
	struct next found = {0};

	if (looking)
		return &nobody;
	looking = true;
	look_for_mappings(&found);
	look_for_allocator(&found);
	looking = false;
	memcpy(&next_table, &found, sizeof(found));
	atomic_store_explicit(&next_known, true, memory_order_release);
	return &next_table;
}

/* So that no signal handler and no child of vfork() is the first to ask. */
__attribute__((constructor)) static void look_early(void)
{
	next_in_line();
}

#endif
