// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: is an address range that one thread has vacated another's as soon as that one's
 * call has returned?
 *
 * The kernel gives a range away before anybody is told that it was vacated. In each round
 * one thread takes a block and has the device use it, so that there is a translation, and
 * vacates it. The other one watches for the moment at which the pages are gone, which comes
 * before the first one's call returns, and occupies; its device writes and reads as soon as
 * its call has returned. A round has met the other thread when its block lies where one was
 * vacated. What is wrong is counted: the device reads other data than the CPU has (stale),
 * what the device wrote is not there (lost), or is in the other thread's memory
 * (elsewhere).
 */
#include "places.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LEAST    2   /* rounds, however short the time */
#define IN_PAGE  64  /* where in a page the device works */
#define SPINS    200 /* before others are let run */
#define GRANULE  (2 * KIT_BLOCK)
#define ROOM     ((size_t)128 << 20) /* for the largest block */
#define OLD_MARK 0xb0b0000000000000ull
#define NEW_MARK 0xa1a1000000000000ull

enum step { TAKEN = 1, READY, SKIPPED, OVER };

struct meeting {
	const struct kit_pair *pair;
	struct kit_pair_counts counts;
	_Atomic unsigned long step; /* 8 times the round, and what has come of it */
	_Atomic bool vacated;       /* the call has returned */
	_Atomic bool stop;
	unsigned long round;
	uint8_t *gone; /* of the block that is to be vacated */
	size_t gone_len;
	uint8_t *zone; /* where nobody else maps anything */
	uint64_t old;  /* what each of its pages holds */
};

bool kit_pair_applies(const struct kit_vacate *v, const struct kit_occupy *o)
{
	if (o->flags & O_ARENA)
		return v->flags & V_ARENA;
	if (o->flags & O_BRK)
		return v->flags & V_BRK;
	if (v->flags & V_IN_PLACE)
		return o->flags & O_TOUCH || (o->flags & O_OVER && !(v->flags & V_HEAP));
	if (o->flags & O_TOUCH || (o->flags & O_BELOW && v->flags & (V_KEEPS | V_BRK)))
		return false;
	return !(v->flags & V_APART) || o->flags & (O_AT | O_OVER);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int device_write(const struct meeting *m, void *to, uint64_t word)
{
	const struct kit_pair_device *device = &m->pair->device;

	++*device->beat;
	return kit_write(device->use, to, &word, sizeof(word));
}

static int device_read(const struct meeting *m, const void *from, uint64_t *word)
{
	const struct kit_pair_device *device = &m->pair->device;

	++*device->beat;
	return kit_read(device->use, from, word, sizeof(*word));
}

static void say(struct meeting *m, unsigned long round, enum step step)
{
	atomic_store(&m->step, 8 * round + step);
}

static void await(struct meeting *m, unsigned long round, enum step step)
{
	for (unsigned int i = 0; atomic_load(&m->step) < 8 * round + step; i++) {
		if (atomic_load(&m->stop))
			return;
		if (i > SPINS)
			sched_yield();
	}
}

/* ---- who vacates -----------------------------------------------------------------------
 */

static uint8_t *pages_of(const struct kit_block *b, size_t *len)
{
	uint8_t *at = b->inside ? b->inside : b->at, *end = b->at + b->len;

	if (b->inside)
		end = b->inside + b->inside_len;
	at = (uint8_t *)(((uintptr_t)at + KIT_PAGE - 1) & ~(KIT_PAGE - 1));
	*len = at + KIT_PAGE < end ? (size_t)(end - at) & ~(KIT_PAGE - 1) : 0;
	return at;
}

/* Each page holds the mark, and the device has used the last of those that will go. */
static bool use(struct meeting *m, const struct kit_block *b)
{
	m->gone = pages_of(b, &m->gone_len);
	if (b->gone) {
		m->gone = b->gone;
		m->gone_len = b->inside ? m->gone_len : KIT_BLOCK;
	}
	m->old = OLD_MARK + m->round;
	for (size_t at = IN_PAGE; at < m->gone_len; at += KIT_PAGE)
		memcpy(m->gone + at, &m->old, sizeof(m->old));
	return !device_write(m, m->gone + m->gone_len - KIT_PAGE + IN_PAGE, m->old);
}

/* The device of the other thread has no business where the old memory is now. */
static bool is_as_it_was(const struct meeting *m, const struct kit_block *b)
{
	const uint8_t *at = b->moved + (m->gone - b->at);
	uint64_t seen;

	for (size_t i = IN_PAGE; i < m->gone_len; i += KIT_PAGE) {
		memcpy(&seen, at + i, sizeof(seen));
		if (seen != m->old)
			return false;
	}
	return true;
}

static unsigned long wrong_so_far(const struct meeting *m)
{
	return m->counts.stale + m->counts.lost + m->counts.elsewhere + m->counts.errors;
}

static void vacate_one(struct meeting *m, unsigned long round)
{
	const struct kit_vacate *vacate = m->pair->vacate;
	struct kit_block b = {.len = KIT_BLOCK};
	unsigned long before = wrong_so_far(m);
	bool moved;

	if (m->pair->occupy->flags & (O_AT | O_OVER))
		b.want = m->zone + GRANULE;
	if (vacate->take(&b)) {
		atomic_store(&m->stop, true);
		return;
	}
	m->round = round;
	m->counts.errors += !use(m, &b);
	atomic_store(&m->vacated, false);
	say(m, round, TAKEN);
	await(m, round, READY);
	vacate->vacate(&b);
	atomic_store(&m->vacated, true);
	await(m, round, OVER);
	moved = b.moved && b.moved != b.at;
	m->counts.elsewhere += moved && !is_as_it_was(m, &b);
	m->counts.wrong += wrong_so_far(m) != before;
	if (vacate->end)
		vacate->end(&b);
}

/* ---- who occupies ----------------------------------------------------------------------
 */

/* By the kernel's account: is the place free, or of those that stay, are the pages gone? */
static bool is_gone(const struct meeting *m)
{
	bool stays = m->pair->vacate->flags & V_IN_PLACE;
	uint64_t seen;
	struct iovec to = {&seen, sizeof(seen)},
		     from = {m->gone + m->gone_len - KIT_PAGE + IN_PAGE, sizeof(seen)};

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) != sizeof(seen) ||
	       (stays && seen != m->old);
}

static void await_gone(const struct meeting *m)
{
	/* Who maps nothing has nobody's word but the first one's that the pages are gone.
	 */
	bool visible =
		!(m->pair->vacate->flags & V_LATER || m->pair->occupy->flags & O_TOUCH);

	for (unsigned int i = 0; !atomic_load(&m->vacated); i++) {
		if (visible && is_gone(m))
			return;
		if (i > SPINS)
			sched_yield();
	}
}

static void write_and_look(struct meeting *m, uint8_t *at)
{
	uint64_t written = NEW_MARK + m->round, seen = 0;
	int err = device_write(m, at, written);

	memcpy(&seen, at, sizeof(seen));
	m->counts.errors += err != 0;
	m->counts.lost += !err && seen != written;
	written = ~written;
	memcpy(at, &written, sizeof(written));
	err = device_read(m, at, &seen);
	m->counts.errors += err != 0;
	m->counts.stale += !err && seen != written;
}

static void read_first(struct meeting *m, const uint8_t *at)
{
	uint64_t there, seen = 0;
	int err = device_read(m, at, &seen);

	memcpy(&there, at, sizeof(there));
	m->counts.errors += err != 0;
	m->counts.stale += !err && seen != there;
}

static bool has_met(const struct meeting *m, const uint8_t *at, size_t len)
{
	return at < m->gone + m->gone_len && m->gone < at + len;
}

static void work_there(struct meeting *m, const struct kit_block *b)
{
	uint8_t *at, *first;
	size_t len, pages;

	first = pages_of(b, &len);
	/* Where both blocks are, if they meet. */
	if (has_met(m, first, len) && first < m->gone) {
		len -= (size_t)(m->gone - first);
		first = m->gone;
	}
	if (has_met(m, first, len) && first + len > m->gone + m->gone_len)
		len = (size_t)(m->gone + m->gone_len - first);
	m->counts.met += has_met(m, first, len);
	pages = len / KIT_PAGE;
	if (!pages)
		return;
	at = first + (m->round * 37 % pages) * KIT_PAGE + IN_PAGE;
	if (m->round % 2)
		read_first(m, at);
	write_and_look(m, at);
	/* And when the other one's call has returned, too. */
	while (!atomic_load(&m->vacated))
		sched_yield();
	write_and_look(m, at);
}

static void occupy_one(struct meeting *m, unsigned long round)
{
	const struct kit_occupy *occupy = m->pair->occupy;
	struct kit_block b = {.len = KIT_BLOCK, .want = m->gone, .want_len = m->gone_len};
	bool ready, there;

	/* No more than was vacated, of an even number of pages. */
	if (occupy->flags & (O_AT | O_OVER) && m->gone_len < b.len)
		b.len = m->gone_len & ~(2 * KIT_PAGE - 1);
	ready = !occupy->prepare || !occupy->prepare(&b);
	say(m, round, READY);
	await_gone(m);
	there = ready && !occupy->occupy(&b);
	if (there)
		work_there(m, &b);
	while (!atomic_load(&m->vacated))
		sched_yield();
	m->counts.rounds += there;
	if (there)
		occupy->leave(&b);
	else if (ready && occupy->undo)
		occupy->undo(&b);
	say(m, round, OVER);
}

static void *occupy_all(void *arg)
{
	struct meeting *m = arg;

	for (unsigned long round = 1;; round++) {
		await(m, round, TAKEN);
		if (atomic_load(&m->stop))
			return NULL;
		occupy_one(m, round);
	}
}

/*
 * Holes between the mappings that there are would be taken first by whatever fits into
 * them, and nobody would come to where a block was vacated.
 */
static void fill_holes(void)
{
	const struct kit_calls *raw = kit_calls(WAY_RAW, 0);
	const size_t len = KIT_PAGES * KIT_PAGE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint8_t *room = raw->mmap(NULL, ROOM, PROT_NONE, flags, -1, 0), *p;

	if (room == MAP_FAILED)
		return;
	do {
		p = raw->mmap(NULL, len, PROT_NONE, flags, -1, 0);
	} while (p != MAP_FAILED && p > room);
	raw->munmap(room, ROOM);
	if (p != MAP_FAILED)
		raw->munmap(p, len);
}

int kit_pair_run(const struct kit_pair *pair, struct kit_pair_counts *counts)
{
	static uint8_t *zone;
	struct meeting m = {.pair = pair};
	double end = now_s() + pair->seconds;
	pthread_t thread;
	int err;

	if (!zone)
		zone = kit_zone(4 * GRANULE);
	m.zone = zone;
	err = pthread_create(&thread, NULL, occupy_all, &m);
	if (err)
		return -err;
	fill_holes();
	for (unsigned long n = 1; !m.stop && (n <= LEAST || now_s() < end); n++)
		vacate_one(&m, n);
	atomic_store(&m.stop, true);
	pthread_join(thread, NULL);
	counts->rounds += m.counts.rounds;
	counts->met += m.counts.met;
	counts->stale += m.counts.stale;
	counts->lost += m.counts.lost;
	counts->elsewhere += m.counts.elsewhere;
	counts->errors += m.counts.errors;
	counts->wrong += m.counts.wrong;
	return 0;
}
