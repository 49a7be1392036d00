/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which parts of the address space are watched?
 *
 * A tree of disjoint intervals, and a bit for each 2 MiB of address space that holds some
 * of them, which interposed calls read without a lock. Both are changed under as.lock,
 * together with what the kernel has registered.
 *
 * The set may lack what the kernel has registered (a mapping that grew, or moved): such
 * memory raises an event, which is slower and just as right. It must not hold what the
 * kernel does not have: that would never be heard of.
 */
#include <bsd/sys/tree.h>
#include <errno.h>

#include "linux/address_space.h"
#include "util/arena.h"

#define NODES     131072u /* a process has at most 65,530 mappings by default */
#define LIVE_SIZE (sizeof(struct watch_live) + GRANULE_WORDS * 8)

struct watched {
	RB_ENTRY(watched) node;
	uint64_t start, end;
	uint64_t ino; /* 0: no file */
};
RB_HEAD(watched_tree, watched);

HIDDEN struct watch_live *watch_live;

static int compare(const struct watched *a, const struct watched *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE_INTERNAL(watched_tree, watched, node, compare,
		     static __attribute__((unused))) /* of the functions some are */

static struct watched_tree *tree(struct watch *watch)
{
	return (struct watched_tree *)&watch->root;
}

/* The first interval that ends after addr. */
static struct watched *first_after(struct watch *watch, uint64_t addr)
{
	struct watched *at = watch->root, *found = NULL;

	while (at) {
		if (at->end > addr) {
			found = at;
			at = RB_LEFT(at, node);
		} else {
			at = RB_RIGHT(at, node);
		}
	}
	return found;
}

/* ---- the bits ------------------------------------------------------------------------ */

/* A word holds 64 granules: an interval of many is as cheap as there are words. */
static uint64_t bits_in_word(uint64_t word, uint64_t first, uint64_t last)
{
	uint64_t bits = ~0ull;

	if (word == first >> 6)
		bits &= ~0ull << (first & 63);
	if (word == last >> 6)
		bits &= ~0ull >> (63 - (last & 63));
	return bits;
}

static void change_bits(struct watch *watch, uint64_t first, uint64_t last, bool set)
{
	_Atomic uint64_t *words = watch->live->granules;

	for (uint64_t i = first >> 6; i <= last >> 6 && i < GRANULE_WORDS; i++) {
		uint64_t word = words[i], bits = bits_in_word(i, first, last);

		if (set && (word & bits) != bits)
			words[i] |= bits;
		else if (!set && word & bits)
			words[i] &= ~bits;
	}
}

static void set_bits(struct watch *watch, uint64_t start, uint64_t end)
{
	change_bits(watch, start >> GRANULE_SHIFT, (end - 1) >> GRANULE_SHIFT, true);
}

static bool touched(struct watch *watch, uint64_t granule)
{
	struct watched *next = first_after(watch, granule << GRANULE_SHIFT);

	return next && next->start >> GRANULE_SHIFT <= granule;
}

/* The bits of granules that no interval touches any more: all but those at the ends. */
static void clear_bits(struct watch *watch, uint64_t start, uint64_t end)
{
	uint64_t first = start >> GRANULE_SHIFT, last = (end - 1) >> GRANULE_SHIFT;

	if (touched(watch, first))
		first++;
	if (last >= first && touched(watch, last)) {
		if (last == first)
			return;
		last--;
	}
	if (first <= last)
		change_bits(watch, first, last, false);
}

/* ---- nodes ----------------------------------------------------------------------------
 */

static struct watched *node_alloc(struct watch *watch)
{
	struct watched *node = watch->free;

	if (node) {
		watch->free = RB_RIGHT(node, node);
		return node;
	}
	return watch->used < NODES ? &watch->nodes[watch->used++] : NULL;
}

static void count_file(struct watch *watch, const struct watched *node, int by)
{
	if (!node->ino)
		return;
	watch->files += (uint32_t)by;
	watch->live->files = watch->files != 0;
	if (by > 0)
		watch->live->inodes |= 1ull << node->ino % 64;
	else if (!watch->files)
		watch->live->inodes = 0;
}

static void insert(struct watch *watch, struct watched *node)
{
	RB_INSERT(watched_tree, tree(watch), node);
	count_file(watch, node, 1);
}

static void drop(struct watch *watch, struct watched *node)
{
	RB_REMOVE(watched_tree, tree(watch), node);
	count_file(watch, node, -1);
	RB_RIGHT(node, node) = watch->free;
	watch->free = node;
}

/* ---- the set
 * ----------------------------------------------------------------------------- */

bool watch_covers_locked(struct watch *watch, uint64_t start, uint64_t end)
{
	struct watched *at = first_after(watch, start);

	for (; at && at->start <= start; at = RB_NEXT(watched_tree, tree(watch), at)) {
		start = at->end;
		if (start >= end)
			return true;
	}
	return false;
}

/* Cut [start, end) out of the interval; what no node is left for is forgotten. */
static void cut(struct watch *watch, struct watched *node, uint64_t start, uint64_t end)
{
	uint64_t tail = node->end;
	struct watched *rest;

	if (node->start >= start) {
		drop(watch, node);
	} else {
		node->end = start;
	}
	if (tail <= end)
		return;
	rest = node_alloc(watch);
	if (!rest)
		return;
	*rest = (struct watched){.start = end, .end = tail, .ino = node->ino};
	insert(watch, rest);
}

void watch_del_locked(struct watch *watch, uint64_t start, uint64_t end)
{
	struct watched *at;
	bool any = false;

	if (start >= end)
		return;
	while ((at = first_after(watch, start)) && at->start < end) {
		cut(watch, at, start, end);
		any = true;
	}
	if (any)
		clear_bits(watch, start, end);
}

int watch_add_locked(struct watch *watch, uint64_t start, uint64_t end, uint64_t ino)
{
	struct watched *before, *after, *node;

	watch_del_locked(watch, start, end);
	/* Neighbours of the same file, or of none, are one. */
	before = start ? first_after(watch, start - 1) : NULL;
	if (before && before->end == start && before->ino == ino)
		start = before->start;
	after = first_after(watch, end);
	if (after && after->start == end && after->ino == ino) {
		end = after->end;
		drop(watch, after);
	}
	if (before && before->start == start) {
		before->end = end;
	} else {
		node = node_alloc(watch);
		if (!node)
			return -ENOSPC;
		*node = (struct watched){.start = start, .end = end, .ino = ino};
		insert(watch, node);
	}
	set_bits(watch, start, end);
	return 0;
}

bool watch_piece_locked(struct watch *watch, uint64_t *start, uint64_t *end, uint64_t *ino)
{
	struct watched *at = first_after(watch, *start);

	if (!at || at->start >= *end)
		return false;
	if (at->start > *start)
		*start = at->start;
	if (at->end < *end)
		*end = at->end;
	*ino = at->ino;
	return true;
}

bool watch_cuts_locked(struct watch *watch, uint64_t start, uint64_t end)
{
	struct watched *first = first_after(watch, start), *last = first_after(watch, end);

	return (first && first->start < start) || (last && last->start < end);
}

bool watch_file_locked(struct watch *watch, uint64_t ino, uint64_t *start, uint64_t *end)
{
	struct watched *at;
	bool found = false;

	if (!watch->files || !ino)
		return false;
	RB_FOREACH(at, watched_tree, tree(watch))
	{
		if (at->ino != ino)
			continue;
		if (!found)
			*start = at->start;
		*end = at->end;
		found = true;
	}
	return found;
}

/* ---- open and close
 * ------------------------------------------------------------------------- */

/*
 * The words that interposed calls read without a lock are never unmapped: a call may be
 * about to read them. They are made once, and emptied.
 */
int watch_init(struct watch *watch)
{
	int err;

	*watch = (struct watch){0};
	if (!watch_live) {
		struct watch_live *live = arena_reserve_wiped(LIVE_SIZE, &err);

		if (!live)
			return err;
		__atomic_store_n(&watch_live, live, __ATOMIC_RELEASE);
	}
	watch->live = watch_live;
	watch->nodes = arena_reserve(NODES * sizeof(struct watched), &err);
	return watch->nodes ? 0 : err;
}

void watch_fini(struct watch *watch)
{
	if (watch->nodes)
		arena_free(watch->nodes, NODES * sizeof(struct watched));
	if (watch->live)
		arena_discard(watch->live, LIVE_SIZE);
	*watch = (struct watch){0};
}
