/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which calls of an allocator unmap memory, and which hand out memory that was somebody
 * else's a moment ago?
 *
 * glibc gives a large block a mapping of its own, marks it in the word before the block,
 * and unmaps and moves it by its own inner munmap and mremap, which nobody can wrap. So
 * free() and realloc() are wrapped themselves, for blocks with that mark.
 *
 * A block may lie where another thread's memory was unmapped by an inner or raw call whose
 * event is not read yet, and a device may still have that. So what is new from the kernel
 * is not handed out before nobody has it: a mapping of the block's own, the heap's end that
 * moved, or another arena's heap. All that only where the allocator is glibc's; another's
 * calls pass through our mmap, or are raw.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "linux/interpose.h"
#include "linux/interpose_next.h"

#if INTERPOSE

#define CHUNK_MMAPPED 2u
#define CHUNK_ARENA   4u /* of an arena that is not the first */
#define CHUNK_FLAGS   7u
#define HEADER        (2 * sizeof(size_t))
#define HEAP_SHIFT    26 /* an arena's heaps are 64 MiB, aligned, and begin with the arena */
#define HEAPS         1024u

extern void *__curbrk; /* glibc's own: where it believes the heap to end */

static _Atomic uint64_t heaps[HEAPS]; /* arena and heap, whose owner is known to be new */
static void *_Atomic known_brk;

static size_t flags_of(const void *block)
{
	return ((const size_t *)block)[-1] & CHUNK_FLAGS;
}

static uint64_t chunk_end(const void *block)
{
	return (uintptr_t)block - HEADER +
	       (((const size_t *)block)[-1] & ~(size_t)CHUNK_FLAGS);
}

/* The word before the size says how far the mapping begins before the chunk. */
static uint64_t mapping_start(const void *block)
{
	return (uintptr_t)block - HEADER - ((const size_t *)block)[-2];
}

/* Larger pages give heaps of another size: then nothing is known of them. */
static bool usual_heaps(void)
{
	static _Atomic int usual; /* 1: yes, 2: no */
	const char *tunables;

	if (!usual) {
		tunables = getenv("GLIBC_TUNABLES");
		usual = tunables && strstr(tunables, "hugetlb") ? 2 : 1;
	}
	return usual == 1;
}

/*
 * A heap goes and comes back within one arena under that arena's lock, and glibc's inner
 * munmap returns when its event was read: so the owner tells what is new.
 */
static void new_in_heap(uint64_t start, uint64_t end)
{
	uint64_t heap = start >> HEAP_SHIFT, owner = 0;
	_Atomic uint64_t *known = &heaps[heap % HEAPS];

	if (usual_heaps())
		owner = *(const uint64_t *)(heap << HEAP_SHIFT) >> HEAP_SHIFT << 32 | heap;
	if (owner && *known == owner)
		return;
	interpose_settle(start, end);
	*known = owner;
}

/* Above the heap's end lies what the first arena maps when the heap cannot grow. */
static void new_in_main(uint64_t start, uint64_t end)
{
	void *brk = __curbrk;

	if (start < (uintptr_t)brk && known_brk == brk)
		return;
	interpose_settle(start, end);
	known_brk = brk;
}

static void *fresh(const struct next *next, void *block)
{
	uint64_t start = (uintptr_t)block;

	if (likely(!interpose_open()) || !block || !next->glibc)
		return block;
	if (!interpose_mirrored(start, chunk_end(block), DISCARDS))
		return block;
	if (flags_of(block) & CHUNK_MMAPPED)
		interpose_placed(mapping_start(block), chunk_end(block));
	else if (flags_of(block) & CHUNK_ARENA)
		new_in_heap(start, chunk_end(block));
	else
		new_in_main(start, chunk_end(block));
	return block;
}

/* Has the block a mapping of its own that may be watched? Then it is about to go. */
static void begin_block(struct op *op, const struct next *next, void *block, enum how how)
{
	op->hmm = NULL;
	if (block && interpose_open() && next->glibc && flags_of(block) & CHUNK_MMAPPED)
		interpose_begin(op, mapping_start(block), chunk_end(block), how);
}

/* ---- what gives back ------------------------------------------------------------------
 */

INTERPOSED void free(void *block)
{
	const struct next *next = next_in_line();
	struct op op;

	if (unlikely(!next->free || next_early_block(block)))
		return; /* the linker's, while it looked for the next in line: lost */
	begin_block(&op, next, block, UNMAPS);
	next->free(block);
	interpose_end(&op);
}

static void *early_again(void *block, size_t size)
{
	void *copy = malloc(size);
	size_t had = block ? ((size_t *)block)[-2] : 0;

	if (copy && block)
		memcpy(copy, block, had < size ? had : size);
	return copy;
}

INTERPOSED void *realloc(void *block, size_t size)
{
	const struct next *next = next_in_line();
	struct op op;
	void *ret;

	if (unlikely(!next->realloc || next_early_block(block)))
		return early_again(block, size);
	begin_block(&op, next, block, DISCARDS);
	ret = next->realloc(block, size);
	interpose_end(&op);
	return fresh(next, ret);
}

INTERPOSED void *reallocarray(void *block, size_t nr, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(nr, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(block, bytes);
}

/* ---- what hands out -------------------------------------------------------------------
 */

INTERPOSED void *malloc(size_t size)
{
	const struct next *next = next_in_line();

	if (unlikely(!next->malloc))
		return next_early_alloc(size);
	return fresh(next, next->malloc(size));
}

HIDDEN void *interpose_malloc(size_t size)
	__attribute__((alias("malloc"), nothrow, leaf, malloc, alloc_size(1)));

INTERPOSED void *calloc(size_t nr, size_t size)
{
	const struct next *next = next_in_line();
	size_t bytes;

	if (unlikely(!next->calloc)) /* nobody had that memory before: it is zero */
		return __builtin_mul_overflow(nr, size, &bytes) ? NULL
								: next_early_alloc(bytes);
	return fresh(next, next->calloc(nr, size));
}

INTERPOSED void *memalign(size_t alignment, size_t size)
{
	const struct next *next = next_in_line();

	return next->memalign ? fresh(next, next->memalign(alignment, size)) : NULL;
}

INTERPOSED void *aligned_alloc(size_t alignment, size_t size)
{
	const struct next *next = next_in_line();

	return next->aligned_alloc ? fresh(next, next->aligned_alloc(alignment, size))
				   : NULL;
}

INTERPOSED int posix_memalign(void **block, size_t alignment, size_t size)
{
	const struct next *next = next_in_line();
	int err = next->posix_memalign ? next->posix_memalign(block, alignment, size)
				       : ENOMEM;

	if (!err)
		fresh(next, *block);
	return err;
}

INTERPOSED void *valloc(size_t size)
{
	const struct next *next = next_in_line();

	return next->valloc ? fresh(next, next->valloc(size)) : NULL;
}

INTERPOSED void *pvalloc(size_t size)
{
	const struct next *next = next_in_line();

	return next->pvalloc ? fresh(next, next->pvalloc(size)) : NULL;
}

#endif
