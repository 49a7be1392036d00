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

/*
 * After mlockall(MCL_FUTURE) a new mapping is locked: filled with pages at once, and
 * counted against RLIMIT_MEMLOCK. So it begins as one page without access, is unlocked, and
 * grows then: what grows is as it was.
 */
static int map_unlocked(void **out, size_t size)
{
	void *memory, *grown = NULL;
	int err = sys_mmap(&memory, page_size(), PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	if (err)
		return err;
	sys_munlock(memory, page_size());
	err = sys_mremap(&grown, memory, page_size(), size);
	if (!err)
		memory = grown;
	if (!err)
		err = sys_mprotect(memory, size, PROT_READ | PROT_WRITE);
	if (err)
		sys_munmap(memory, memory == grown ? size : page_size());
	else
		*out = memory;
	return err;
}

static void *reserve(size_t size, int *err)
{
	void *memory;

	*err = debug_inject("arena_reserve");
	if (*err)
		return NULL;
	size = whole_pages(size);
	*err = map_unlocked(&memory, size);
	if (*err)
		return NULL;
	/* A hint: a core dump of 150 MiB of zeros tells nobody anything. */
	sys_madvise(memory, size, MADV_DONTDUMP);
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
