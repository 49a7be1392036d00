// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: by which calls is an address range vacated?
 *
 * A range that one thread has vacated may be given to another at once. Each row makes a
 * block, and takes it away by one such call: libc's own, one that libc makes inside of
 * another function (places_libc.c), the raw system call, io_uring's, or one that another
 * process makes the thread do. Some take the pages and leave the place.
 */
#include "places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RW      (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define SHARED  (MAP_SHARED | MAP_ANONYMOUS)

static int map(struct kit_block *b, size_t len, int flags)
{
	if (b->want)
		flags |= MAP_FIXED_NOREPLACE;
	return block_is(b, mmap(b->want, len, RW, flags, -1, 0));
}

static int take_private(struct kit_block *b)
{
	return map(b, b->len, PRIVATE);
}

static int take_shared(struct kit_block *b)
{
	return map(b, b->len, SHARED);
}

/* Half a block stays, and a whole one behind it goes. */
static int take_more(struct kit_block *b)
{
	int err;

	if (b->want)
		b->want -= b->len / 2;
	err = map(b, b->len / 2 + b->len, PRIVATE);
	if (!err)
		b->gone = b->at + b->len / 2;
	return err;
}

static void end_here(struct kit_block *b)
{
	munmap(b->at, b->len);
}

static void end_kept(struct kit_block *b)
{
	munmap(b->at, b->len / 2);
}

static void end_moved(struct kit_block *b)
{
	if (b->moved)
		munmap(b->moved, 2 * b->len);
	else
		munmap(b->at, b->len);
}

/* What moved away and left its place mapped. */
static void end_both(struct kit_block *b)
{
	if (b->moved)
		munmap(b->moved, b->len);
	munmap(b->at, b->len);
}

/* ---- whole mappings ------------------------------------------------------------------ */

static void unmap_libc(struct kit_block *b)
{
	munmap(b->at, b->len);
}

static void unmap_raw(struct kit_block *b)
{
	kit_calls(WAY_RAW, 0)->munmap(b->at, b->len);
}

static void unmap_other(struct kit_block *b)
{
	if (kit_inject(SYS_munmap, (long)b->at, (long)b->len, 0, 0, 0))
		munmap(b->at, b->len);
}

/* Is there one that can? */
static bool others_can(void)
{
	return kit_inject(SYS_getpid, 0, 0, 0, 0, 0) == getpid();
}

static int take_for_other(struct kit_block *b)
{
	return others_can() ? take_private(b) : -EPERM;
}

/* Twice as large: it has to go elsewhere, with what it holds. */
static void move_away(struct kit_block *b, enum kit_way way)
{
	void *p =
		kit_calls(way, 0)->mremap(b->at, b->len, 2 * b->len, MREMAP_MAYMOVE, NULL);

	if (p != MAP_FAILED)
		b->moved = p;
}

static void move_libc(struct kit_block *b)
{
	move_away(b, WAY_LIBC);
}

static void move_raw(struct kit_block *b)
{
	move_away(b, WAY_RAW);
}

static void move_other(struct kit_block *b)
{
	long p = kit_inject(SYS_mremap, (long)b->at, (long)b->len, 2 * (long)b->len,
			    MREMAP_MAYMOVE, 0);

	if (p > 0 || p < -4095)
		b->moved = (uint8_t *)p;
}

/* Where it grows without moving, it has vacated nothing: so its neighbour is taken. */
static int take_walled(struct kit_block *b)
{
	int err = take_private(b);

	if (!err)
		b->handle = mmap(b->at + b->len, KIT_PAGE, PROT_NONE,
				 PRIVATE | MAP_FIXED_NOREPLACE, -1, 0);
	return err;
}

static int take_walled_for_other(struct kit_block *b)
{
	return others_can() ? take_walled(b) : -EPERM;
}

static void end_walled(struct kit_block *b)
{
	end_moved(b);
	if (b->handle && b->handle != MAP_FAILED)
		munmap(b->handle, KIT_PAGE);
}

static void shrink_libc(struct kit_block *b)
{
	mremap(b->at, b->len / 2 + b->len, b->len / 2, 0);
}

static void shrink_raw(struct kit_block *b)
{
	kit_calls(WAY_RAW, 0)->mremap(b->at, b->len / 2 + b->len, b->len / 2, 0, NULL);
}

static void pages_away(struct kit_block *b, enum kit_way way)
{
	void *p = kit_calls(way, 0)->mremap(b->at, b->len, b->len,
					    MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

	if (p != MAP_FAILED)
		b->moved = p;
}

static void pages_away_libc(struct kit_block *b)
{
	pages_away(b, WAY_LIBC);
}

static void pages_away_raw(struct kit_block *b)
{
	pages_away(b, WAY_RAW);
}

static void map_over_libc(struct kit_block *b)
{
	(void)mmap(b->at, b->len, RW, PRIVATE | MAP_FIXED, -1, 0);
}

static void map_over_raw(struct kit_block *b)
{
	kit_calls(WAY_RAW, 0)->mmap(b->at, b->len, RW, PRIVATE | MAP_FIXED, -1, 0);
}

/* ---- SysV ---------------------------------------------------------------------------- */

static int attach(struct kit_block *b, const void *at, int flags, enum kit_way way)
{
	int id = shmget(IPC_PRIVATE, b->len, IPC_CREAT | 0600);
	void *p;

	if (id < 0)
		return -errno;
	p = kit_calls(way, 0)->shmat(id, at, flags);
	shmctl(id, IPC_RMID, NULL);
	return block_is(b, p);
}

static int take_segment(struct kit_block *b)
{
	return attach(b, b->want, 0, WAY_LIBC);
}

static void detach_libc(struct kit_block *b)
{
	shmdt(b->at);
}

static void detach_raw(struct kit_block *b)
{
	kit_calls(WAY_RAW, 0)->shmdt(b->at);
}

static void attach_over_libc(struct kit_block *b)
{
	attach(b, b->at, SHM_REMAP, WAY_LIBC);
}

static void attach_over_raw(struct kit_block *b)
{
	attach(b, b->at, SHM_REMAP, WAY_RAW);
}

/* ---- pages --------------------------------------------------------------------------- */

#define ADVISE(name, call, row, advice)                               \
	static void name(struct kit_block *b)                         \
	{                                                             \
		kit_calls(WAY_##row, 0)->call(b->at, b->len, advice); \
	}

ADVISE(dontneed_libc, madvise, LIBC, MADV_DONTNEED)
ADVISE(dontneed_raw, madvise, RAW, MADV_DONTNEED)
ADVISE(dontneed_uring, madvise, URING, MADV_DONTNEED)
ADVISE(lazily_libc, madvise, LIBC, MADV_FREE)
ADVISE(lazily_raw, madvise, RAW, MADV_FREE)
ADVISE(lazily_uring, madvise, URING, MADV_FREE)
ADVISE(remove_libc, madvise, LIBC, MADV_REMOVE)
ADVISE(remove_raw, madvise, RAW, MADV_REMOVE)
ADVISE(remove_uring, madvise, URING, MADV_REMOVE)
ADVISE(process_libc, process_madvise, LIBC, MADV_DONTNEED)
ADVISE(process_raw, process_madvise, RAW, MADV_DONTNEED)

static void dontneed_other(struct kit_block *b)
{
	if (kit_inject(SYS_madvise, (long)b->at, (long)b->len, MADV_DONTNEED, 0, 0))
		madvise(b->at, b->len, MADV_DONTNEED);
}

/* ---- the heap's end ------------------------------------------------------------------ */

/* The program break was at b->handle, and goes back there when all is over. */
static int take_break(struct kit_block *b)
{
	uint8_t *now = sbrk(0);
	uint8_t *at = (uint8_t *)(((uintptr_t)now + KIT_PAGE - 1) & ~(KIT_PAGE - 1));

	if (brk(at + b->len))
		return -ENOMEM;
	b->handle = now;
	return block_is(b, at);
}

static void break_brk(struct kit_block *b)
{
	brk(b->at);
}

static void break_sbrk(struct kit_block *b)
{
	sbrk(-(intptr_t)b->len);
}

static void break_raw(struct kit_block *b)
{
	kit_calls(WAY_RAW, 0)->brk(b->at);
}

static void end_break(struct kit_block *b)
{
	brk(b->handle);
}

/* ---- the table ----------------------------------------------------------------------- */

#define LEAVES V_IN_PLACE
#define UNSEEN V_UNSEEN

const struct kit_vacate kit_vacates[] = {
	{"munmap", W(LIBC), take_private, unmap_libc, NULL, 0},
	{"munmap", W(RAW), take_private, unmap_raw, NULL, UNSEEN},
	{"munmap", W(OTHER), take_for_other, unmap_other, NULL, UNSEEN},
	{"mremap", W(LIBC), take_walled, move_libc, end_walled, 0},
	{"mremap", W(RAW), take_walled, move_raw, end_walled, UNSEEN},
	{"mremap", W(OTHER), take_walled_for_other, move_other, end_walled, UNSEEN},
	{"mremap shrinks", W(LIBC), take_more, shrink_libc, end_kept, V_KEEPS},
	{"mremap shrinks", W(RAW), take_more, shrink_raw, end_kept, V_KEEPS | UNSEEN},
	{"MREMAP_DONTUNMAP", W(LIBC), take_private, pages_away_libc, end_both, LEAVES},
	{"MREMAP_DONTUNMAP", W(RAW), take_private, pages_away_raw, end_both,
	 LEAVES | UNSEEN},
	{"mmap over", W(LIBC), take_private, map_over_libc, end_here, LEAVES},
	{"mmap over", W(RAW), take_private, map_over_raw, end_here, LEAVES | UNSEEN},
	{"brk", W(LIBC), take_break, break_brk, end_break, V_BRK | V_APART},
	{"sbrk", W(LIBC), take_break, break_sbrk, end_break, V_BRK | V_APART},
	{"brk", W(RAW), take_break, break_raw, end_break, V_BRK | V_APART | UNSEEN},
	{"shmdt", W(LIBC), take_segment, detach_libc, NULL, 0},
	{"shmdt", W(RAW), take_segment, detach_raw, NULL, UNSEEN},
	{"SHM_REMAP", W(LIBC), take_private, attach_over_libc, end_here, LEAVES | V_RECORD},
	{"SHM_REMAP", W(RAW), take_private, attach_over_raw, end_here,
	 LEAVES | UNSEEN | V_RECORD},
	{"MADV_DONTNEED", W(LIBC), take_private, dontneed_libc, end_here, LEAVES},
	{"MADV_DONTNEED", W(RAW), take_private, dontneed_raw, end_here, LEAVES | UNSEEN},
	{"MADV_DONTNEED", W(URING), take_private, dontneed_uring, end_here,
	 LEAVES | UNSEEN},
	{"MADV_DONTNEED", W(OTHER), take_for_other, dontneed_other, end_here,
	 LEAVES | UNSEEN},
	{"process_madvise", W(LIBC), take_private, process_libc, end_here, LEAVES},
	{"process_madvise", W(RAW), take_private, process_raw, end_here, LEAVES | UNSEEN},
	{"MADV_FREE", W(LIBC), take_private, lazily_libc, end_here, LEAVES | V_LATER},
	{"MADV_FREE", W(RAW), take_private, lazily_raw, end_here,
	 LEAVES | V_LATER | UNSEEN},
	{"MADV_FREE", W(URING), take_private, lazily_uring, end_here,
	 LEAVES | V_LATER | UNSEEN},
	{"MADV_REMOVE", W(LIBC), take_shared, remove_libc, end_here, LEAVES},
	{"MADV_REMOVE", W(RAW), take_shared, remove_raw, end_here, LEAVES | UNSEEN},
	{"MADV_REMOVE", W(URING), take_shared, remove_uring, end_here, LEAVES | UNSEEN},
	{"free", W(INNER), free_take, free_vacate, NULL, V_HEAP | V_KEEPS},
	{"realloc", W(INNER), free_take, grown_vacate, grown_end, V_HEAP | V_KEEPS},
	{"realloc shrinks", W(INNER), shrunk_take, shrunk_vacate, free_end,
	 V_HEAP | V_KEEPS},
	{"free at the top", W(INNER), top_take, top_vacate, NULL,
	 V_HEAP | V_APART | V_KEEPS | UNSEEN},
	{"malloc_trim", W(INNER), trim_take, trim_vacate, trim_end,
	 LEAVES | V_HEAP | UNSEEN},
	{"an arena's heap", W(INNER), arena_take, arena_vacate, NULL,
	 V_HEAP | V_APART | V_ARENA | V_KEEPS | UNSEEN},
	{"a stream's buffer", W(INNER), stream_take, stream_vacate, stream_end,
	 V_HEAP | V_KEEPS},
	{"thread exit", W(INNER), thread_take, thread_vacate, NULL, V_KEEPS | UNSEEN},
	{"dlclose", W(INNER), dl_take, dl_vacate, NULL, V_KEEPS | UNSEEN},
};
const unsigned int kit_nr_vacates = sizeof(kit_vacates) / sizeof(kit_vacates[0]);
