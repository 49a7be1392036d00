/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which calls of free() unmap memory?
 *
 * glibc gives a large block a mapping of its own, marks it in the word before the block,
 * and unmaps it in free() by its own inner munmap, which nobody can wrap. So free() itself
 * is wrapped: for a block with that mark, if the allocator is glibc's. Everything else that
 * an allocator does inside raises events.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

#include "linux/interpose.h"

#if INTERPOSE

#define CHUNK_MMAPPED 2u
#define CHUNK_FLAGS   7u

extern void __libc_free(void *) __attribute__((weak));
extern void *__libc_malloc(size_t) __attribute__((weak));

static void (*_Atomic next_free)(void *);
static _Atomic bool glibc; /* the allocator in use is glibc's */
/* volatile: dlsym() is declared a leaf, so the compiler sees nobody who would read it. */
static __thread volatile bool resolving __attribute__((tls_model("initial-exec")));

/* Found at the first call, which may come before any constructor. */
static void (*resolve(void))(void *)
{
	void (*next)(void *);
	void *allocate;

	resolving = true;
	next = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	allocate = dlsym(RTLD_DEFAULT, "malloc");
	resolving = false;
	if (!next)
		next = __libc_free; /* where there is no next, glibc's is there */
	glibc = next && next == __libc_free && allocate == (void *)__libc_malloc;
	next_free = next;
	return next;
}

/*
 * The word before the block is its size and flags; the one before that says how far the
 * mapping begins before the chunk.
 */
static void free_mapping(void (*next)(void *), void *block)
{
	const size_t *word = block;
	uint64_t chunk = (uintptr_t)block - 2 * sizeof(size_t);
	uint64_t start = chunk - word[-2];
	struct op op;

	interpose_begin(&op, start, chunk + (word[-1] & ~(size_t)CHUNK_FLAGS), UNMAPS);
	next(block); /* NOLINT(clang-analyzer-core.*): never NULL */
	interpose_end(&op);
}

INTERPOSED void free(void *block)
{
	void (*next)(void *) = atomic_load_explicit(&next_free, memory_order_relaxed);

	if (unlikely(!next)) {
		/* The linker freed something while it looked for free(): it is lost. */
		if (resolving)
			return;
		next = resolve();
	}
	if (block && interpose_open() && glibc && ((size_t *)block)[-1] & CHUNK_MMAPPED)
		free_mapping(next, block);
	else
		next(block); /* NOLINT(clang-analyzer-core.*): never NULL */
}

#endif
