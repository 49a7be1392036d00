/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kit: calls that vacate an address range, and calls that occupy one.
 *
 *	vacates.c      what vacates: mapping calls, advice, the heap's end
 *	occupies.c     what occupies
 *	places_libc.c  what libc vacates and occupies by itself, inside of other functions
 *	inject.c       a system call that another process makes this thread do
 *	pair.c         one thread vacates, another occupies, and its device works there at
 *once
 */
#ifndef KIT_PLACES_H
#define KIT_PLACES_H

#include "kit.h"

#define KIT_BLOCK ((size_t)1 << 20)

struct kit_block {
	uint8_t *want; /* where it should lie; NULL: wherever there is room */
	size_t want_len;
	uint8_t *at;
	size_t len;      /* at least: what is asked for */
	uint8_t *gone;   /* what is vacated of it; NULL: all */
	uint8_t *moved;  /* where the old memory is now; NULL: it is gone */
	uint8_t *inside; /* where it can be written, if not in all of it */
	size_t inside_len;
	void *handle; /* the row's own */
};

/* Of a row that vacates. */
#define V_IN_PLACE \
	1u          /* the place stays mapped, its pages go: who occupies names the place */
#define V_LATER  2u /* nobody can see when the pages go (MADV_FREE) */
#define V_HEAP   4u /* an allocator's: nobody may map anything over it */
#define V_BRK    8u /* the heap's end */
#define V_APART  16u  /* nobody comes there who does not name the place */
#define V_ARENA  32u  /* but the next heap of an arena */
#define V_KEEPS  64u  /* what is right below it */
#define V_UNSEEN 128u /* passes by whoever interposes libc's functions */
#define V_RECORD 256u /* the kernel sends no event of it: perf has a record (L3) */

/* Of a row that occupies. */
#define O_AT     1u  /* at a place that it names: where one was vacated */
#define O_OVER   2u  /* the same, and what is there goes */
#define O_TOUCH  4u  /* maps nothing: uses the place as it is */
#define O_BRK    8u  /* the heap's end */
#define O_ARENA  16u /* comes to no other place than an arena's heap */
#define O_BELOW  32u /* needs what is right below the place */
#define O_UNSEEN 64u
#define O_RECORD 128u /* unseen, but perf has a record of it */

struct kit_vacate {
	const char *name;
	unsigned int way;                 /* W(x): how the vacating call is made */
	int (*take)(struct kit_block *b); /* 0, or there is no such block here */
	void (*vacate)(struct kit_block *b);
	void (*end)(struct kit_block *b); /* of what is left; NULL: nothing */
	unsigned int flags;
};

struct kit_occupy {
	const char *name;
	unsigned int way;
	int (*occupy)(struct kit_block *b);
	void (*leave)(struct kit_block *b);
	unsigned int flags;
	int (*prepare)(
		struct kit_block *b); /* before the place is vacated; NULL: nothing */
	void (*undo)(
		struct kit_block *b); /* of prepare, when occupy did not come or failed */
};

extern const struct kit_vacate kit_vacates[];
extern const struct kit_occupy kit_occupies[];
extern const unsigned int kit_nr_vacates, kit_nr_occupies;
int kit_places_init(void); /* before the library is opened */

/* Can the second get what the first gives away? */
bool kit_pair_applies(const struct kit_vacate *v, const struct kit_occupy *o);

struct kit_pair_counts {
	unsigned long rounds, met, stale, lost, elsewhere, errors;
	unsigned long wrong; /* rounds in which any of these four was seen */
};

/* A device of the two threads, and what counts up at each access. */
struct kit_pair_device {
	const struct kit_use *use;
	volatile uint32_t *beat;
};

struct kit_pair {
	const struct kit_vacate *vacate;
	const struct kit_occupy *occupy;
	struct kit_pair_device device;
	double seconds; /* and at least 2 rounds */
};

/* 0, or -errno: no thread. What it counted is added to @counts. */
int kit_pair_run(const struct kit_pair *pair, struct kit_pair_counts *counts);

/* inject.c */
int kit_inject_start(void);
long kit_inject(long nr, long a, long b, long c, long d, long e);

/* places_libc.c: rows' functions; what they do is in the tables. */
#define V_ROW(name)                           \
	int name##_take(struct kit_block *b); \
	void name##_vacate(struct kit_block *b)
V_ROW(free);
V_ROW(grown);
V_ROW(shrunk);
V_ROW(trim);
V_ROW(top);
V_ROW(arena);
V_ROW(stream);
V_ROW(thread);
V_ROW(dl);
void free_end(struct kit_block *b);
void trim_end(struct kit_block *b);
void grown_end(struct kit_block *b);
void stream_end(struct kit_block *b);

int half_prepare(struct kit_block *b);
void half_undo(struct kit_block *b);
int by_malloc(struct kit_block *b);
int by_calloc(struct kit_block *b);
int by_realloc(struct kit_block *b);
int by_reallocarray(struct kit_block *b);
int by_aligned_alloc(struct kit_block *b);
int by_posix_memalign(struct kit_block *b);
int by_memalign(struct kit_block *b);
int by_valloc(struct kit_block *b);
int by_pvalloc(struct kit_block *b);
void by_free(struct kit_block *b);
int arena_prepare(struct kit_block *b);
int by_arena(struct kit_block *b);
void arena_leave(struct kit_block *b);
int by_stream(struct kit_block *b);

/* The block is at @p, if that is any. */
int block_is(struct kit_block *b, void *p);

#endif
