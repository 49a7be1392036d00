/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What memory may hold.
 *
 * The question this file answers: given every change of the address space and every
 * write so far, with when each began and ended, what may an operation that ran from t0
 * to t1 have seen?
 *
 * Two layers. A region has windows of pages at fixed addresses; each page of a window
 * has a history of what was mapped there (a backing page, or nothing) and with which
 * access. Each backing page has a history of values: who wrote which bytes. Every entry
 * has a start (before the system call or operation) and an end (after it), taken from
 * one counter, so "after" is never a guess. The rules are those of a regular register:
 *
 *   - what was mapped by entry m may be met unless the entry after m ended before t0;
 *   - a value v may be seen unless some other value e of the same bytes began after v
 *     ended, and ended before t0.
 *
 * So an operation that overlaps a change may see either side, and one that began after
 * it returned sees only the new one. Histories are bounded; what was forgotten is not
 * checked, and counted.
 *
 * Locks: region.mutate: one thread changes a region at a time (held across the system
 * call). region.lock: the histories; held for moments, never across a system call or
 * an operation, so that it orders nothing that is under test. mutate, then lock.
 * region.hold: operations on memory that may not be reused under them (heap, stacks)
 * hold it for reading.
 */
#ifndef TORTURE_MODEL_H
#define TORTURE_MODEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "stamp.h"

#define NEVER        UINT64_MAX
#define MODEL_MAPS   12
#define MODEL_VALS   20
#define MODEL_WRITES 64
#define WINDOWS      2
/* A window of huge pages: one of 2 MiB, on machines that have such. */
#define HUGE_PAGES       ((2u << 20) / PAGE)
#define REGION_PAGES_MAX 512u

#define CAN_READ  1u
#define CAN_WRITE 2u

struct val {
	uint64_t start, end;
	uint32_t gen;
	uint32_t page, lo, hi; /* the page whose pattern it is; bytes [lo, hi) */
	bool certain;          /* it is there for sure, not only perhaps */
	bool pending;          /* a device's write that has not ended */
};

struct backing {
	uint32_t serial; /* changes when the entry is used for another page */
	unsigned int refs;
	bool unknown;        /* too many writes to remember */
	uint64_t known_from; /* what began before cannot be checked */
	uint64_t lost_until; /* the last end of a value that was dropped, not overwritten */
	unsigned int nr;
	struct val vals[MODEL_VALS];
};

struct mapev {
	uint64_t start, end;
	int backing; /* -1: a hole */
	uint32_t serial;
	unsigned int access;
};

struct mpage {
	uint64_t known_from;
	unsigned int nr;
	struct mapev evs[MODEL_MAPS];
};

struct inflight {
	uint64_t start;
	uint32_t gen; /* 0: free */
	unsigned int page;
	unsigned int off; /* first byte, counted from the start of page */
	size_t len;
	bool strays; /* a change that was announced meanwhile did not happen */
};

struct region {
	unsigned int id, pages; /* pages a window */
	char *window[WINDOWS];
	pthread_mutex_t mutate, lock;
	pthread_rwlock_t hold;
	_Atomic uint32_t gen; /* the last generation given out */
	/* how much of a window operations may use; 0: none. Of a region whose memory is
	 * not to be reused under an operation: under hold */
	_Atomic size_t usable[WINDOWS];
	bool exclusive; /* operations take hold */
	/* under lock */
	struct mpage *map;
	struct backing *back;
	unsigned int nr_back, next_back;
	struct inflight writes[MODEL_WRITES];
	/* under mutate */
	uint64_t now;
	unsigned int nr_open_maps, nr_open_backs;
	unsigned int *open_maps;
	int *open_backs;
	void *priv; /* the mutators' */
};

struct op {
	struct region *region;
	const char *who;
	unsigned int win;
	size_t off, len;
	bool write;
	char *data; /* the device's side: what to write, or what was read */
	void *ptr;
	/* filled in */
	uint32_t gen;
	uint64_t t0, t1;
	struct inflight *inflight;
	long result; /* bytes, or -errno */
	void *cookie;
};

struct model_stats {
	_Atomic uint64_t reads, writes, bytes, errors, overlaps, unchecked, changes,
		violations;
};
extern struct model_stats model_stats;

int region_init(struct region *r, unsigned int id, unsigned int pages, char *at);
void region_fini(struct region *r);
static inline unsigned int region_page(const struct region *r, unsigned int win, size_t off)
{
	return win * r->pages + (unsigned int)(off / PAGE);
}

/*
 * A change (mutate held): model_begin, model_map and model_value for all that is about
 * to change, model_started, the system call, then model_commit; or model_abort when it
 * failed and did nothing.
 */
void model_begin(struct region *r);
void model_map(struct region *r, unsigned int page, int backing, unsigned int access);
void model_value(struct region *r, int backing, uint32_t gen, unsigned int page,
		 bool certain);
void model_started(struct region *r);
void model_commit(struct region *r);
void model_abort(struct region *r);
/* It failed half way: forget what was announced, and say anew, as after model_begin. */
void model_undo(struct region *r);
/* Between begin and started: a backing page that nothing refers to, and references. */
int model_backing(struct region *r);
void model_hold(struct region *r, int backing, int by);
/* What is mapped there now (mutate held). */
const struct mapev *model_current(const struct region *r, unsigned int page);

uint32_t model_gen(struct region *r);

/* An operation: prepare (gives a write its data), begin, run it, end (which checks). */
void op_prepare(struct op *op);
void op_begin(struct op *op);
void op_end(struct op *op, long result);

/* Told once a violation was printed; set by main. */
extern void (*model_violated)(void);

#endif
