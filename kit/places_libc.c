// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: which address ranges does libc vacate and occupy inside of other functions?
 *
 * The allocator in its forms (a mapping a block, the heap's top, an arena's heap,
 * trimming), a stream's buffer that grows, the stacks of threads, and the loader.
 */
#include "places.h"
#include "kinds.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define THRESHOLD ((size_t)128 << 10) /* from here on a block has a mapping of its own */
#define HEADER    KIT_PAGE            /* at most: what libc adds to a large block */
#define ALIGNED   (3 * KIT_PAGE)      /* the same for an aligned one */
#define SMALL     (THRESHOLD - 2 * KIT_PAGE) /* a block of a heap */
#define HEAP      ((size_t)64 << 20)         /* of an arena that is not the first */
#define HEAP_NR   2048                       /* more blocks than two heaps hold */

int kit_places_init(void)
{
	/* A large block has a mapping of its own, and goes with it. */
	mallopt(M_MMAP_THRESHOLD, THRESHOLD);
	mallopt(M_TRIM_THRESHOLD, THRESHOLD);
	return kit_inject_start();
}

int block_is(struct kit_block *b, void *p)
{
	if (!p || p == MAP_FAILED)
		return -ENOMEM;
	b->at = p;
	return 0;
}

static int heap_block(struct kit_block *b, void *p)
{
	if (p)
		b->len = malloc_usable_size(p);
	return block_is(b, p);
}

/* ---- a mapping a block --------------------------------------------------------------- */

int by_malloc(struct kit_block *b)
{
	return heap_block(b, malloc(b->len - HEADER));
}

int by_calloc(struct kit_block *b)
{
	return heap_block(b, calloc(1, b->len - HEADER));
}

/* Made beforehand, since it must not take the vacated place itself. */
int half_prepare(struct kit_block *b)
{
	b->handle = malloc(b->len / 2 - HEADER);
	return b->handle ? 0 : -ENOMEM;
}

void half_undo(struct kit_block *b)
{
	free(b->handle);
}

int by_realloc(struct kit_block *b)
{
	return heap_block(b, realloc(b->handle, b->len - HEADER));
}

int by_reallocarray(struct kit_block *b)
{
	return heap_block(b, reallocarray(b->handle, 8, (b->len - HEADER) / 8));
}

int by_aligned_alloc(struct kit_block *b)
{
	return heap_block(b, aligned_alloc(KIT_PAGE, b->len - ALIGNED));
}

int by_posix_memalign(struct kit_block *b)
{
	void *p = NULL;

	if (posix_memalign(&p, KIT_PAGE, b->len - ALIGNED))
		return -ENOMEM;
	return heap_block(b, p);
}

int by_memalign(struct kit_block *b)
{
	return heap_block(b, memalign(64, b->len - ALIGNED));
}

int by_valloc(struct kit_block *b)
{
	return heap_block(b, valloc(b->len - ALIGNED));
}

int by_pvalloc(struct kit_block *b)
{
	return heap_block(b, pvalloc(b->len - ALIGNED));
}

void by_free(struct kit_block *b)
{
	free(b->at);
}

int free_take(struct kit_block *b)
{
	return by_malloc(b);
}

void free_vacate(struct kit_block *b)
{
	free(b->at);
}

void free_end(struct kit_block *b)
{
	free(b->moved ? b->moved : b->at);
}

void grown_vacate(struct kit_block *b)
{
	b->moved = realloc(b->at, 2 * b->len);
}

void grown_end(struct kit_block *b)
{
	free_end(b);
}

int shrunk_take(struct kit_block *b)
{
	void *p = malloc(b->len / 2 + b->len - HEADER);

	if (p)
		b->gone = (uint8_t *)(((uintptr_t)p & ~(KIT_PAGE - 1)) + b->len / 2);
	return block_is(b, p);
}

/* What stays ends where the first part does, so that all of the second goes. */
void shrunk_vacate(struct kit_block *b)
{
	b->at = realloc(b->at, b->len / 2 - HEADER);
}

/* ---- blocks of a heap ---------------------------------------------------------------- */

static void inside_of(struct kit_block *b, uint8_t *at, size_t len)
{
	uint8_t *first = (uint8_t *)(((uintptr_t)at + 2 * KIT_PAGE) & ~(KIT_PAGE - 1));

	b->inside = first;
	b->inside_len = (size_t)(at + len - first) & ~(KIT_PAGE - 1);
	b->gone = first;
	b->len = b->inside_len;
}

#define AT_TOP (3 * THRESHOLD / 2) /* from the program break: nothing else is above */

/* Of the first arena, whose top is the program break: what is freed there is given back. */
int top_take(struct kit_block *b)
{
	void *lower[64];
	unsigned int nr = 0;
	uint8_t *p = malloc(SMALL);

	while (p && nr < 64 && (size_t)((uint8_t *)sbrk(0) - (p + SMALL)) > AT_TOP) {
		lower[nr++] = p;
		p = malloc(SMALL);
	}
	while (nr)
		free(lower[--nr]);
	if (!p)
		return -ENOMEM;
	b->handle = p;
	inside_of(b, p, SMALL);
	return block_is(b, p);
}

void top_vacate(struct kit_block *b)
{
	free(b->handle);
	malloc_trim(0);
}

/*
 * Not at the top: then its pages go, and its place stays the allocator's. What is above it
 * stays until nobody uses the place any more; what malloc gives may lie below.
 */
#define ABOVE 64

struct trimmed {
	void *block;
	unsigned int nr;
	void *others[ABOVE]; /* the last is above */
};

void trim_end(struct kit_block *b)
{
	struct trimmed *trimmed = b->handle;

	for (unsigned int i = 0; i < trimmed->nr; i++)
		free(trimmed->others[i]);
	free(trimmed);
}

static bool put_above(struct trimmed *trimmed)
{
	while (trimmed->nr < ABOVE) {
		void *p = malloc(SMALL);

		trimmed->others[trimmed->nr++] = p;
		if ((uintptr_t)p > (uintptr_t)trimmed->block)
			return true;
	}
	return false;
}

int trim_take(struct kit_block *b)
{
	struct trimmed *trimmed = calloc(1, sizeof(*trimmed));

	if (!trimmed)
		return -ENOMEM;
	b->handle = trimmed;
	trimmed->block = malloc(SMALL);
	if (!trimmed->block || !put_above(trimmed)) {
		free(trimmed->block);
		trim_end(b);
		return -ENOMEM;
	}
	inside_of(b, trimmed->block, SMALL);
	return block_is(b, trimmed->block);
}

void trim_vacate(struct kit_block *b)
{
	struct trimmed *trimmed = b->handle;

	free(trimmed->block);
	malloc_trim(0);
}

/* ---- an arena's heaps ---------------------------------------------------------------- */

struct arena {
	unsigned int nr;
	uint8_t *block[HEAP_NR];
};

static uintptr_t heap_of(const void *p)
{
	return (uintptr_t)p / HEAP;
}

/* Until the next block does not fit into the heap any more. */
static struct arena *fill(void)
{
	struct arena *arena = malloc(sizeof(*arena));

	if (!arena)
		return NULL;
	for (arena->nr = 0; arena->nr < HEAP_NR - 1; arena->nr++) {
		uint8_t *p = malloc(SMALL);

		arena->block[arena->nr] = p;
		if (!p || heap_of(p + 2 * SMALL + 64) != heap_of(p)) {
			arena->nr += p != NULL;
			break;
		}
	}
	return arena;
}

static void *fill_all(void *arg)
{
	struct arena **arena = arg;

	*arena = fill();
	/* The block that a new heap is made for. */
	if (*arena && (*arena)->nr && (*arena)->nr < HEAP_NR)
		(*arena)->block[(*arena)->nr++] = malloc(SMALL);
	return NULL;
}

/* A thread has an arena of its own; its blocks are anybody's to free. */
int arena_take(struct kit_block *b)
{
	struct arena *arena = NULL;
	pthread_t thread;
	uint8_t *last = NULL;

	if (pthread_create(&thread, NULL, fill_all, &arena))
		return -EAGAIN;
	pthread_join(thread, NULL);
	if (!arena)
		return -ENOMEM;
	if (arena->nr > 1 &&
	    heap_of(arena->block[arena->nr - 1]) != heap_of(arena->block[arena->nr - 2]))
		last = arena->block[--arena->nr];
	while (arena->nr)
		free(arena->block[--arena->nr]);
	free(arena);
	if (!last)
		return -ENOMEM;
	b->handle = last;
	inside_of(b, last, SMALL);
	return block_is(b, last);
}

void arena_vacate(struct kit_block *b)
{
	free(b->handle);
}

int arena_prepare(struct kit_block *b)
{
	b->handle = fill();
	return b->handle ? 0 : -ENOMEM;
}

int by_arena(struct kit_block *b)
{
	struct arena *arena = b->handle;
	uint8_t *p = malloc(SMALL);

	if (!p)
		return -ENOMEM;
	arena->block[arena->nr++] = p;
	inside_of(b, p, SMALL);
	b->gone = NULL;
	return block_is(b, p);
}

void arena_leave(struct kit_block *b)
{
	struct arena *arena = b->handle;

	for (unsigned int i = 0; i < arena->nr; i++)
		free(arena->block[i]);
	free(arena);
}

/* ---- a stream's buffer --------------------------------------------------------------- */

struct stream {
	FILE *file;
	char *buffer;
	size_t size;
};

static int write_much(struct stream *stream, size_t len)
{
	static const char some[1 << 16];

	for (size_t done = 0; done < len; done += sizeof(some)) {
		if (fwrite(some, 1, sizeof(some), stream->file) != sizeof(some))
			return -EIO;
	}
	return fflush(stream->file) ? -EIO : 0;
}

int by_stream(struct kit_block *b)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	b->handle = stream;
	if (!stream)
		return -ENOMEM;
	stream->file = open_memstream(&stream->buffer, &stream->size);
	if (stream->file && !write_much(stream, b->len / 2)) {
		inside_of(b, (uint8_t *)stream->buffer, b->len / 2);
		b->gone = NULL;
		return block_is(b, stream->buffer);
	}
	stream_end(b);
	return -ENOMEM;
}

int stream_take(struct kit_block *b)
{
	int err = by_stream(b);

	if (!err)
		b->gone = b->inside;
	return err;
}

/* It has to grow, and moves. */
void stream_vacate(struct kit_block *b)
{
	write_much(b->handle, 4 * b->len);
}

void stream_end(struct kit_block *b)
{
	struct stream *stream = b->handle;

	if (stream->file)
		fclose(stream->file);
	free(stream->buffer);
	free(stream);
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
	b->inside_len = r->len;
	b->len = r->len;
	return block_is(b, r->addr);
}

int thread_take(struct kit_block *b)
{
	return of_kind(b, make_thread_big, 0);
}

void thread_vacate(struct kit_block *b)
{
	thread_stack_end(b->handle);
	free(b->handle);
}

int dl_take(struct kit_block *b)
{
	return of_kind(b, make_library, KIT_PAGES * KIT_PAGE);
}

void dl_vacate(struct kit_block *b)
{
	unmake_library(b->handle);
	free(b->handle);
}
