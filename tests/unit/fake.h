/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fake address space and a fake device, for tests of the core alone.
 *
 * The question this file answers: what does the core believe in, when there is no kernel
 * and no device?
 *
 * The address space is FAKE_PAGES pages at addresses that the process does not have: a core
 * that touched application memory would crash. Behind each page that is present lies a
 * frame; frames are numbered in the order they come, and no number comes twice. So "which
 * memory is it" is a number, and "is it stale" a comparison: page.floor is the lowest frame
 * that anybody may see who began after the last change of the page had returned.
 *
 * The device keeps what it pinned by key, and checks what the driver API says: which call
 * comes under the lock and which does not, in which order, and that no key is given back
 * while an operation may name it.
 */
#ifndef TESTS_UNIT_FAKE_H
#define TESTS_UNIT_FAKE_H

#include <hmm/driver.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/source.h"

#define FAKE_BASE  0x7e0000000000ull
#define FAKE_PAGES 512u
#define FAKE_KEYS  4096u
#define FAKE_PAGE  fake_page_size()

size_t fake_page_size(void);

/* Fails the test from any thread; prints what and where. */
#define CHECK(condition)                                           \
	do {                                                       \
		if (!(condition))                                  \
			fake_fail(__FILE__, __LINE__, #condition); \
	} while (0)
_Noreturn void fake_fail(const char *file, int line, const char *what);

#define FAKE_PATIENCE_MS 60000 /* for a lock that nobody keeps */

static inline uint64_t fake_addr(unsigned int page)
{
	return FAKE_BASE + page * (uint64_t)FAKE_PAGE;
}

static inline void *fake_ptr(unsigned int page)
{
	return (void *)(uintptr_t)fake_addr(page);
}

struct fake_page {
	unsigned int id; /* of its mapping; 0: a hole */
	unsigned int access;
	bool pinnable, special, foreign, unwatchable; /* foreign: another userfaultfd's */
	bool armed;
	uint64_t frame; /* 0: not present */
	_Atomic uint64_t floor;
};

enum fake_event_kind { FAKE_UNMAP, FAKE_REMOVE };

struct fake;

/* What the device made of a mapping, by key. */
struct fake_entry {
	bool mapped, committed, revoked;
	bool off; /* the device is: revoked, and waited for where it is asked in two halves
		   */
	_Atomic uint32_t operations; /* that name the key; told by the test */
	struct hmm_mapping mapping;
	uint64_t frames[FAKE_PAGES]; /* HMM_MODE_PIN: what was pinned */
};

struct fake_device {
	struct fake *fake;
	struct hmm_driver driver;
	struct hmm_device *device;
	pthread_mutex_t lock;       /* leaf */
	struct fake_entry *entries; /* FAKE_KEYS */
	uint32_t max_entries, used; /* 0: FAKE_KEYS */
	uint64_t maps, commits, revokes, waits, releases;
	uint32_t table[FAKE_PAGES]; /* mappings by which the device reaches the page */
	unsigned char *own;         /* memory for bounce buffers; NULL: the library's */
	uint64_t own_size, own_used;
	int fail_map;          /* the next map fails with this */
	int refuse[HMM_MODES]; /* every map in this mode fails with this */
	/* Called inside map, unlocked, after the pages were pinned; a test changes things.
	 */
	void (*on_map)(struct fake_device *device, const struct hmm_mapping *mapping);
	void (*on_wait)(
		struct fake_device *device); /* inside revoke_wait, before it is off */
};

struct fake {
	struct hmm *hmm;
	pthread_t worker, reader;
	bool reading;

	pthread_mutex_t lock; /* leaf: pages, events, records */
	pthread_cond_t posted, read;
	struct fake_page pages[FAKE_PAGES];
	unsigned char *memory; /* of all pages, for copies */
	unsigned int next_id;
	_Atomic uint64_t next_frame;

	struct {
		enum fake_event_kind kind;
		uint64_t start, end;
	} events[64];
	unsigned int nr_events;
	uint64_t read_batches;
	bool stop;

	struct {
		uint64_t start, end;
	} records[64];
	unsigned int nr_records;
	volatile uint64_t poll_word;

	uint64_t removals[64]; /* since when; 0: none */
	bool racing;           /* mappings change under a fill: they may be unarmed then */
	bool proof_off;        /* changers_done() never has proof */
	int arm_error, populate_error, present_error;
	uint64_t finds, arms, populates, scans, presents, drains, barriers;
	void (*on_look)(struct fake *fake); /* in find(), unlocked; once */
};

/* max_translations and wait_ms as in core_attr; 0: 1,000 and 2,000. */
void fake_start(struct fake *fake, uint32_t max_translations, uint32_t wait_ms);
/* As above, without source_ops.barrier. */
void fake_start_fences(struct fake *fake, uint32_t max_translations, uint32_t wait_ms);
/* A thread that reads events, as src/linux has one. */
void fake_start_reader(struct fake *fake);
/* Checks that nothing is left. */
void fake_stop(struct fake *fake);

/* Changes that the core is not told of. */
void fake_map(struct fake *fake, unsigned int page, unsigned int n, unsigned int access,
	      bool pinnable);
void fake_unmap(struct fake *fake, unsigned int page, unsigned int n);
uint64_t fake_frame(struct fake *fake, unsigned int page);
uint64_t fake_floor(struct fake *fake, unsigned int page);

/* The same as raw system calls: by event; they return when the system call would. */
void fake_munmap(struct fake *fake, unsigned int page, unsigned int n);
void fake_mmap_over(struct fake *fake, unsigned int page, unsigned int n,
		    unsigned int access);
void fake_dontneed(struct fake *fake, unsigned int page, unsigned int n);
/* As interposed calls. */
void fake_munmap_interposed(struct fake *fake, unsigned int page, unsigned int n);
void fake_mmap_over_interposed(struct fake *fake, unsigned int page, unsigned int n,
			       unsigned int access);
/* By a record and a poll word. */
void fake_mprotect(struct fake *fake, unsigned int page, unsigned int n,
		   unsigned int access);

/* Tell an event by hand, with no reader: mark, event, unmark. */
void fake_tell(struct fake *fake, enum change_kind kind, unsigned int page, unsigned int n);

/* modes: a list that ends with -1. With FAKE_HALVES in the environment revoke has two
 * halves. */
void fake_device_open(struct fake *fake, struct fake_device *device, const int *modes);
/* The same, with every function that a driver may have. */
void fake_device_open_whole(struct fake *fake, struct fake_device *device,
			    const int *modes);
void fake_device_close(struct fake_device *device);
struct hmm_mirror *fake_mirror(struct fake_device *device,
			       const struct hmm_mirror_attr *attr);
/* An operation that names the key is under way, and over. */
void fake_operation_begin(struct fake_device *device, const struct hmm_translation *t);
void fake_operation_end(struct fake_device *device, const struct hmm_translation *t);
/* The frame that the device sees at a pointer by this translation (pin mode); 0: none. */
uint64_t fake_device_frame(struct fake_device *device, const struct hmm_translation *t,
			   const void *ptr);
/* Does the device reach the page by any mapping? */
bool fake_device_reaches(struct fake_device *device, unsigned int page);

/* ---- for the tests ------------------------------------------------------------------- */

/* A random number from a seed; the same sequence on every machine. */
static inline uint64_t fake_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Runs a test, and says so; HMM_UNIT_ONLY=name runs that one alone. */
#define RUN(test)                                           \
	do {                                                \
		const char *only = getenv("HMM_UNIT_ONLY"); \
                                                            \
		if (only && strcmp(only, #test))            \
			break;                              \
		fprintf(stderr, "%s\n", #test);             \
		test();                                     \
	} while (0)

static const int __attribute__((unused)) only_direct[] = {HMM_MODE_DIRECT, -1};
static const int __attribute__((unused)) only_pin[] = {HMM_MODE_PIN, -1};
static const int __attribute__((unused)) only_stage[] = {HMM_MODE_STAGE, -1};
static const int __attribute__((unused))
pin_first[] = {HMM_MODE_PIN, HMM_MODE_DIRECT, HMM_MODE_STAGE, -1};
static const int __attribute__((unused))
pin_or_stage[] = {HMM_MODE_PIN, HMM_MODE_STAGE, -1};

#endif
