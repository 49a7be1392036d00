// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: by which calls is an address range occupied?
 *
 * Most rows ask for no address: the kernel and libc choose, and what was vacated last is
 * what they give first. The others name the place that was vacated.
 */
#include "places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define RW      (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

/* ---- mapped -------------------------------------------------------------------------- */

static int map(struct kit_block *b, void *at, int flags, enum kit_way way)
{
	return block_is(b, kit_calls(way, 0)->mmap(at, b->len, RW, PRIVATE | flags, -1, 0));
}

static int map_libc(struct kit_block *b)
{
	return map(b, NULL, 0, WAY_LIBC);
}

static int map_raw(struct kit_block *b)
{
	return map(b, NULL, 0, WAY_RAW);
}

static int map_hint_libc(struct kit_block *b)
{
	return map(b, b->want, 0, WAY_LIBC);
}

static int map_hint_raw(struct kit_block *b)
{
	return map(b, b->want, 0, WAY_RAW);
}

static int map_there_libc(struct kit_block *b)
{
	return map(b, b->want, MAP_FIXED_NOREPLACE, WAY_LIBC);
}

static int map_there_raw(struct kit_block *b)
{
	return map(b, b->want, MAP_FIXED_NOREPLACE, WAY_RAW);
}

static int map_over_libc(struct kit_block *b)
{
	return map(b, b->want, MAP_FIXED, WAY_LIBC);
}

static int map_over_raw(struct kit_block *b)
{
	return map(b, b->want, MAP_FIXED, WAY_RAW);
}

static void unmap(struct kit_block *b)
{
	munmap(b->at, b->len);
}

/* ---- moved --------------------------------------------------------------------------- */

/* What grows or moves is mapped before anything is vacated, since it must not take that
 * place itself. */
static int prepare(struct kit_block *b, void *at, size_t len)
{
	void *p = mmap(at, len, RW, PRIVATE | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	memset(p, 0, len);
	b->handle = p;
	return 0;
}

/* Away from others, with a wall behind it: it has to move. */
static int prepare_half(struct kit_block *b)
{
	static uint8_t *pen;

	if (!pen) {
		pen = kit_zone(b->len);
		(void)mmap(pen + b->len / 2, KIT_PAGE, PROT_NONE,
			   PRIVATE | MAP_FIXED_NOREPLACE, -1, 0);
	}
	return prepare(b, pen, b->len / 2);
}

static int prepare_whole(struct kit_block *b)
{
	return prepare(b, NULL, b->len);
}

static int prepare_below(struct kit_block *b)
{
	return prepare(b, b->want - b->len / 2, b->len / 2);
}

static void undo_half(struct kit_block *b)
{
	munmap(b->handle, b->len / 2);
}

static void undo_whole(struct kit_block *b)
{
	munmap(b->handle, b->len);
}

static int grow(struct kit_block *b, enum kit_way way)
{
	return block_is(b, kit_calls(way, 0)->mremap(b->handle, b->len / 2, b->len,
						     MREMAP_MAYMOVE, NULL));
}

static int grow_libc(struct kit_block *b)
{
	return grow(b, WAY_LIBC);
}

static int grow_raw(struct kit_block *b)
{
	return grow(b, WAY_RAW);
}

static int move_there(struct kit_block *b, enum kit_way way)
{
	return block_is(b,
			kit_calls(way, 0)->mremap(b->handle, b->len, b->len,
						  MREMAP_MAYMOVE | MREMAP_FIXED, b->want));
}

static int move_there_libc(struct kit_block *b)
{
	return move_there(b, WAY_LIBC);
}

static int move_there_raw(struct kit_block *b)
{
	return move_there(b, WAY_RAW);
}

/* Without moving: what it has more lies in the vacated place. */
static int grow_here(struct kit_block *b, enum kit_way way)
{
	void *p = kit_calls(way, 0)->mremap(b->handle, b->len / 2, b->len, 0, NULL);

	if (p == MAP_FAILED)
		return -ENOMEM;
	b->inside = b->want;
	b->inside_len = b->len / 2;
	return block_is(b, p);
}

static int grow_here_libc(struct kit_block *b)
{
	return grow_here(b, WAY_LIBC);
}

static int grow_here_raw(struct kit_block *b)
{
	return grow_here(b, WAY_RAW);
}

/* ---- SysV ---------------------------------------------------------------------------- */

static int attach(struct kit_block *b, const void *at, int flags, enum kit_way way)
{
	void *p = kit_calls(way, 0)->shmat((int)(intptr_t)b->handle, at, flags);

	return block_is(b, p);
}

static int prepare_segment(struct kit_block *b)
{
	int id = shmget(IPC_PRIVATE, b->len, IPC_CREAT | 0600);

	b->handle = (void *)(intptr_t)id;
	return id < 0 ? -errno : 0;
}

static void undo_segment(struct kit_block *b)
{
	shmctl((int)(intptr_t)b->handle, IPC_RMID, NULL);
}

static int attach_libc(struct kit_block *b)
{
	return attach(b, NULL, 0, WAY_LIBC);
}

static int attach_raw(struct kit_block *b)
{
	return attach(b, NULL, 0, WAY_RAW);
}

static int attach_there_libc(struct kit_block *b)
{
	return attach(b, b->want, 0, WAY_LIBC);
}

static int attach_there_raw(struct kit_block *b)
{
	return attach(b, b->want, 0, WAY_RAW);
}

static int attach_over_libc(struct kit_block *b)
{
	return attach(b, b->want, SHM_REMAP, WAY_LIBC);
}

static int attach_over_raw(struct kit_block *b)
{
	return attach(b, b->want, SHM_REMAP, WAY_RAW);
}

static void detach(struct kit_block *b)
{
	shmdt(b->at);
	undo_segment(b);
}

/* ---- the heap's end ------------------------------------------------------------------ */

static int break_to(struct kit_block *b, enum kit_way way)
{
	return kit_calls(way, 0)->brk(b->want + b->len) ? -ENOMEM : block_is(b, b->want);
}

static int break_libc(struct kit_block *b)
{
	return break_to(b, WAY_LIBC);
}

static int break_raw(struct kit_block *b)
{
	return break_to(b, WAY_RAW);
}

/* Whoever vacated puts it back to where it was. */
static void nothing(struct kit_block *b)
{
}

/* ---- as it is ------------------------------------------------------------------------ */

static int touch(struct kit_block *b)
{
	b->len = b->want_len;
	return block_is(b, b->want);
}

/* ---- the table ----------------------------------------------------------------------- */

#define THERE    O_AT
#define OVER     O_OVER
#define RECORDED (O_UNSEEN | O_RECORD)
#define SEGMENT  prepare_segment, undo_segment

const struct kit_occupy kit_occupies[] = {
	{"mmap", W(LIBC), map_libc, unmap, 0, NULL, NULL},
	{"mmap", W(RAW), map_raw, unmap, RECORDED, NULL, NULL},
	{"mmap by hint", W(LIBC), map_hint_libc, unmap, THERE, NULL, NULL},
	{"mmap by hint", W(RAW), map_hint_raw, unmap, THERE | RECORDED, NULL, NULL},
	{"mmap there", W(LIBC), map_there_libc, unmap, THERE, NULL, NULL},
	{"mmap there", W(RAW), map_there_raw, unmap, THERE | RECORDED, NULL, NULL},
	{"mmap over", W(LIBC), map_over_libc, unmap, OVER, NULL, NULL},
	{"mmap over", W(RAW), map_over_raw, unmap, OVER | RECORDED, NULL, NULL},
	{"mremap", W(LIBC), grow_libc, unmap, 0, prepare_half, undo_half},
	{"mremap", W(RAW), grow_raw, unmap, O_UNSEEN, prepare_half, undo_half},
	{"mremap there", W(LIBC), move_there_libc, unmap, OVER, prepare_whole, undo_whole},
	{"mremap there", W(RAW), move_there_raw, unmap, OVER | O_UNSEEN, prepare_whole,
	 undo_whole},
	{"mremap grows", W(LIBC), grow_here_libc, unmap, THERE | O_BELOW, prepare_below,
	 undo_half},
	{"mremap grows", W(RAW), grow_here_raw, unmap, THERE | O_BELOW | O_UNSEEN,
	 prepare_below, undo_half},
	{"shmat", W(LIBC), attach_libc, detach, 0, SEGMENT},
	{"shmat", W(RAW), attach_raw, detach, RECORDED, SEGMENT},
	{"shmat there", W(LIBC), attach_there_libc, detach, THERE, SEGMENT},
	{"shmat there", W(RAW), attach_there_raw, detach, THERE | RECORDED, SEGMENT},
	{"SHM_REMAP", W(LIBC), attach_over_libc, detach, OVER, SEGMENT},
	{"SHM_REMAP", W(RAW), attach_over_raw, detach, OVER | RECORDED, SEGMENT},
	{"brk", W(LIBC), break_libc, nothing, O_BRK, NULL, NULL},
	{"brk", W(RAW), break_raw, nothing, O_BRK | RECORDED, NULL, NULL},
	{"malloc", W(INNER), by_malloc, by_free, 0, NULL, NULL},
	{"calloc", W(INNER), by_calloc, by_free, 0, NULL, NULL},
	{"realloc", W(INNER), by_realloc, by_free, 0, half_prepare, half_undo},
	{"reallocarray", W(INNER), by_reallocarray, by_free, 0, half_prepare, half_undo},
	{"aligned_alloc", W(INNER), by_aligned_alloc, by_free, 0, NULL, NULL},
	{"posix_memalign", W(INNER), by_posix_memalign, by_free, 0, NULL, NULL},
	{"memalign", W(INNER), by_memalign, by_free, 0, NULL, NULL},
	{"valloc", W(INNER), by_valloc, by_free, 0, NULL, NULL},
	{"pvalloc", W(INNER), by_pvalloc, by_free, 0, NULL, NULL},
	{"an arena's heap", W(INNER), by_arena, arena_leave, O_ARENA, arena_prepare,
	 arena_leave},
	{"a stream's buffer", W(INNER), by_stream, stream_end, 0, NULL, NULL},
	{"thread", W(INNER), thread_take, thread_vacate, RECORDED, NULL, NULL},
	{"dlopen", W(INNER), dl_take, dl_vacate, RECORDED, NULL, NULL},
	{"touch", W(RAW), touch, nothing, O_TOUCH, NULL, NULL},
};
const unsigned int kit_nr_occupies = sizeof(kit_occupies) / sizeof(kit_occupies[0]);
