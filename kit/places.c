// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: by which calls is an address range vacated, and by which is it occupied?
 *
 * A range that one thread has vacated may be given to another at once. Each row makes a
 * block, or takes one away, by one such call: libc's own, one that libc makes inside of
 * another function, or the raw system call. No row asks for an address: the kernel and libc
 * choose, and what was vacated last is what they give first.
 */
#include "places.h"
#include "kinds.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#define RW      (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define HEADER  KIT_PAGE       /* at most: what libc adds to a large block */
#define ALIGNED (3 * KIT_PAGE) /* the same for an aligned one */

void kit_places_init(void)
{
	/* A large block has a mapping of its own, and goes with it. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

static int block_is(struct kit_block *b, void *p)
{
	if (!p || p == MAP_FAILED)
		return -ENOMEM;
	b->at = p;
	return 0;
}

/* ---- mapped -------------------------------------------------------------------------- */

static int map(struct kit_block *b, enum kit_way way)
{
	return block_is(b, kit_calls(way, 0)->mmap(NULL, b->len, RW, PRIVATE, -1, 0));
}

static int map_libc(struct kit_block *b)
{
	return map(b, WAY_LIBC);
}

static int map_raw(struct kit_block *b)
{
	return map(b, WAY_RAW);
}

static void unmap_libc(struct kit_block *b)
{
	munmap(b->at, b->len);
}

static void unmap_raw(struct kit_block *b)
{
	kit_calls(WAY_RAW, 0)->munmap(b->at, b->len);
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

static void end_moved(struct kit_block *b)
{
	if (b->moved)
		munmap(b->moved, 2 * b->len);
	else
		munmap(b->at, b->len);
}

/* A mapping of half the size grows to where there is room. */
static int grow(struct kit_block *b, enum kit_way way)
{
	void *p = mmap(NULL, b->len / 2, RW, PRIVATE, -1, 0), *q;

	if (p == MAP_FAILED)
		return -ENOMEM;
	q = kit_calls(way, 0)->mremap(p, b->len / 2, b->len, MREMAP_MAYMOVE, NULL);
	if (q == MAP_FAILED)
		munmap(p, b->len / 2);
	return block_is(b, q);
}

static int grow_libc(struct kit_block *b)
{
	return grow(b, WAY_LIBC);
}

static int grow_raw(struct kit_block *b)
{
	return grow(b, WAY_RAW);
}

/* ---- SysV ---------------------------------------------------------------------------- */

static int attach(struct kit_block *b, enum kit_way way)
{
	int id = shmget(IPC_PRIVATE, b->len, IPC_CREAT | 0600);
	void *p;

	if (id < 0)
		return -errno;
	p = kit_calls(way, 0)->shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	return block_is(b, p);
}

static int attach_libc(struct kit_block *b)
{
	return attach(b, WAY_LIBC);
}

static int attach_raw(struct kit_block *b)
{
	return attach(b, WAY_RAW);
}

static void detach_libc(struct kit_block *b)
{
	shmdt(b->at);
}

/* ---- what libc gives ----------------------------------------------------------------- */

static int by_malloc(struct kit_block *b)
{
	return block_is(b, malloc(b->len - HEADER));
}

static int by_calloc(struct kit_block *b)
{
	return block_is(b, calloc(1, b->len - HEADER));
}

static int by_realloc(struct kit_block *b)
{
	void *p = malloc(b->len / 2 - HEADER), *q = p ? realloc(p, b->len - HEADER) : NULL;

	if (!q)
		free(p);
	return block_is(b, q);
}

static int by_reallocarray(struct kit_block *b)
{
	void *p = malloc(b->len / 2 - HEADER);
	void *q = p ? reallocarray(p, 8, (b->len - HEADER) / 8) : NULL;

	if (!q)
		free(p);
	return block_is(b, q);
}

static int by_aligned_alloc(struct kit_block *b)
{
	return block_is(b, aligned_alloc(KIT_PAGE, b->len - ALIGNED));
}

static int by_memalign(struct kit_block *b)
{
	void *p = NULL;

	if (posix_memalign(&p, KIT_PAGE, b->len - ALIGNED))
		return -ENOMEM;
	return block_is(b, p);
}

static void by_free(struct kit_block *b)
{
	free(b->at);
}

static void move_realloc(struct kit_block *b)
{
	void *p = realloc(b->at, 2 * b->len);

	if (p)
		b->moved = p;
}

static void end_realloc(struct kit_block *b)
{
	free(b->moved ? b->moved : b->at);
}

/* ---- threads and libraries: as the kinds of memory make them ------------------------- */

static int of_kind(struct kit_block *b, int (*make)(struct kit_region *), size_t base)
{
	struct kit_region *r = calloc(1, sizeof(*r) + base);
	int err;

	if (!r)
		return -ENOMEM;
	r->len = KIT_PAGES * KIT_PAGE;
	r->base = (uint8_t *)(r + 1);
	err = make(r);
	b->handle = r;
	if (err) {
		free(r);
		return err;
	}
	b->inside = r->addr;
	return block_is(b, r->addr);
}

static int by_thread(struct kit_block *b)
{
	return of_kind(b, make_thread_big, 0);
}

static void thread_ends(struct kit_block *b)
{
	thread_stack_end(b->handle);
	free(b->handle);
}

static int by_dlopen(struct kit_block *b)
{
	return of_kind(b, make_library, KIT_PAGES * KIT_PAGE);
}

static void by_dlclose(struct kit_block *b)
{
	unmake_library(b->handle);
	free(b->handle);
}

/* ---- the tables ---------------------------------------------------------------------- */

const struct kit_vacate kit_vacates[] = {
	{"munmap", W(LIBC), map_libc, unmap_libc, NULL, false},
	{"munmap", W(RAW), map_libc, unmap_raw, NULL, true},
	{"mremap", W(LIBC), map_libc, move_libc, end_moved, false},
	{"mremap", W(RAW), map_libc, move_raw, end_moved, true},
	{"shmdt", W(LIBC), attach_libc, detach_libc, NULL, false},
	{"free", W(INNER), by_malloc, by_free, NULL, false},
	{"realloc", W(INNER), by_malloc, move_realloc, end_realloc, false},
	{"thread exit", W(INNER), by_thread, thread_ends, NULL, true},
	{"dlclose", W(INNER), by_dlopen, by_dlclose, NULL, true},
};
const unsigned int kit_nr_vacates = sizeof(kit_vacates) / sizeof(kit_vacates[0]);

const struct kit_occupy kit_occupies[] = {
	{"mmap", W(LIBC), map_libc, unmap_libc, false},
	{"mmap", W(RAW), map_raw, unmap_libc, true},
	{"mremap", W(LIBC), grow_libc, unmap_libc, false},
	{"mremap", W(RAW), grow_raw, unmap_libc, true},
	{"shmat", W(LIBC), attach_libc, detach_libc, false},
	{"shmat", W(RAW), attach_raw, detach_libc, true},
	{"malloc", W(INNER), by_malloc, by_free, false},
	{"calloc", W(INNER), by_calloc, by_free, false},
	{"realloc", W(INNER), by_realloc, by_free, false},
	{"reallocarray", W(INNER), by_reallocarray, by_free, false},
	{"aligned_alloc", W(INNER), by_aligned_alloc, by_free, false},
	{"posix_memalign", W(INNER), by_memalign, by_free, false},
	{"thread", W(INNER), by_thread, thread_ends, true},
	{"dlopen", W(INNER), by_dlopen, by_dlclose, true},
};
const unsigned int kit_nr_occupies = sizeof(kit_occupies) / sizeof(kit_occupies[0]);
