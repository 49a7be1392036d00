/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where does memory come from when nobody may call malloc? (arena.h)
 *
 * A reservation costs address space only. Its first 4 MiB are kept in small pages, so that
 * a library that does little stays small; what follows is asked for in huge ones, so that
 * large tables do not miss in the TLB.
 */
#include <errno.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "sys/sys.h"
#include "util/arena.h"
#include "util/debug.h"

#define SMALL (4u << 20)
#define HUGE  (2u << 20) /* of most machines; elsewhere the hints are a little off */

static _Atomic uint64_t reserved;

size_t page_size(void)
{
	static _Atomic size_t size;

	if (!size)
		size = getauxval(AT_PAGESZ);
	return size;
}

static size_t whole_pages(size_t size)
{
	return (size + page_size() - 1) & ~(page_size() - 1);
}

static void *reserve(size_t size, int *err)
{
	void *memory;

	*err = debug_inject("arena_reserve");
	if (*err)
		return NULL;
	size = whole_pages(size);
	*err = sys_mmap(&memory, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (*err)
		return NULL;
	reserved += size;
	return memory;
}

void *arena_reserve(size_t size, int *err)
{
	char *memory = reserve(size, err);
	size_t small;

	if (!memory)
		return NULL;
	size = whole_pages(size);
	/* Hints: a kernel without huge pages refuses both, which changes nothing. */
	small = SMALL + HUGE - ((uintptr_t)memory & (HUGE - 1));
	small = small < size ? small : size;
	sys_madvise(memory, small, MADV_NOHUGEPAGE);
	if (small < size)
		sys_madvise(memory + small, size - small, MADV_HUGEPAGE);
	return memory;
}

void *arena_reserve_wiped(size_t size, int *err)
{
	void *memory = reserve(size, err);

	if (!memory)
		return NULL;
	*err = sys_madvise(memory, whole_pages(size), MADV_WIPEONFORK);
	if (*err) {
		arena_free(memory, size);
		return NULL;
	}
	sys_madvise(memory, whole_pages(size), MADV_NOHUGEPAGE);
	return memory;
}

void arena_free(void *memory, size_t size)
{
	if (!memory)
		return;
	sys_munmap(memory, whole_pages(size));
	reserved -= whole_pages(size);
}

void arena_discard(void *memory, size_t size)
{
	sys_madvise(memory, whole_pages(size), MADV_DONTNEED);
}

uint64_t arena_reserved(void)
{
	return reserved;
}
