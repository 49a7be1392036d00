// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: is an address range that one thread has vacated another's as soon as that
 * one's call has returned (Y3)?
 *
 * The kernel gives a range away before anybody is told that it was vacated. One thread
 * makes blocks, has the device use them, and vacates them; another occupies, and its device
 * writes and reads as soon as the occupying call has returned. Every vacating call runs
 * against every occupying call (kit/places.c), each for a while. A round has met the other
 * thread when its block lies where one was vacated. What is wrong is counted: the device
 * reads other data than the CPU wrote (stale), what the device wrote is not there (lost),
 * or is in the other thread's memory (elsewhere).
 */
#include "cases.h"

#include "../../kit/places.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BLOCK    ((size_t)1 << 20)
#define OFFSET   ((size_t)65536 + 64) /* where in a block the device works */
#define RECENT   8
#define LOOKS    50 /* at moved memory: a late write of another's device */
#define CPU_MARK 0xb0b0b0b0b0b0b0b0ull

struct counts {
	unsigned long rounds, met, stale, lost, elsewhere, errors;
};

struct pair {
	struct check_run *run;
	const struct kit_vacate *vacate;
	const struct kit_occupy *occupy;
	atomic_uintptr_t vacated[RECENT]; /* where blocks were, lately */
	atomic_bool stop;
	atomic_ulong elsewhere;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint8_t *place_in(const struct kit_block *b)
{
	return b->inside ? b->inside + 64 : b->at + OFFSET;
}

/* The device of the thread that vacates uses the block, so that there is a translation. */
static void vacate_one(struct pair *pair, unsigned long nr)
{
	struct kit_block b = {.len = BLOCK};
	uint64_t mark = CPU_MARK + nr, seen;
	size_t offset;

	if (pair->vacate->take(&b))
		return;
	offset = (size_t)(place_in(&b) - b.at);
	if (case_write(pair->run, place_in(&b), &mark, sizeof(mark)))
		mark = 0;
	atomic_store(&pair->vacated[nr % RECENT], (uintptr_t)b.at);
	pair->vacate->vacate(&b);
	for (int i = 0; b.moved && mark && i < LOOKS; i++) {
		memcpy(&seen, b.moved + offset, sizeof(seen));
		if (seen != mark) {
			atomic_fetch_add(&pair->elsewhere, 1);
			break;
		}
	}
	if (pair->vacate->end)
		pair->vacate->end(&b);
}

static void *vacate_all(void *arg)
{
	struct pair *pair = arg;

	for (unsigned long nr = 0; !atomic_load(&pair->stop); nr++)
		vacate_one(pair, nr);
	return NULL;
}

static bool has_met(struct pair *pair, const uint8_t *at)
{
	for (int i = 0; i < RECENT; i++) {
		uintptr_t there = atomic_load(&pair->vacated[i]);

		if (there <= (uintptr_t)at && (uintptr_t)at < there + BLOCK)
			return true;
	}
	return false;
}

static int occupy_one(struct pair *pair, struct counts *counts)
{
	uint64_t written = 0xa1a1000000000000ull + counts->rounds, seen = 0;
	struct kit_block b = {.len = BLOCK};
	uint8_t *at;
	int err;

	if (pair->occupy->occupy(&b))
		return -ENOMEM;
	at = place_in(&b);
	err = case_write(pair->run, at, &written, sizeof(written));
	memcpy(&seen, at, sizeof(seen));
	counts->errors += err != 0;
	counts->lost += !err && seen != written;
	written = ~written;
	memcpy(at, &written, sizeof(written));
	err = case_read(pair->run, at, &seen, sizeof(seen));
	counts->errors += err != 0;
	counts->stale += !err && seen != written;
	counts->met += has_met(pair, at);
	counts->rounds++;
	pair->occupy->leave(&b);
	return 0;
}

static int run_pair(struct pair *pair, double seconds, struct counts *counts)
{
	double end = now_s() + seconds;
	pthread_t thread;
	int err = 0;

	if (pthread_create(&thread, NULL, vacate_all, pair))
		return check_fail(pair->run, "no thread: %s", strerror(errno));
	while (!err && (now_s() < end || counts->rounds < 20))
		err = occupy_one(pair, counts);
	atomic_store(&pair->stop, true);
	pthread_join(thread, NULL);
	counts->elsewhere += atomic_load(&pair->elsewhere);
	return 0;
}

static const char *way_name(unsigned int way)
{
	for (unsigned int i = 0; i < NR_WAYS; i++) {
		if (way == 1u << i)
			return kit_way_names[i];
	}
	return "?";
}

static void tell_pair(const struct pair *pair, const struct counts *counts)
{
	fprintf(stderr,
		"%s (%s), then %s (%s): %lu rounds, %lu met, %lu stale, %lu lost, %lu "
		"elsewhere\n",
		pair->vacate->name, way_name(pair->vacate->way), pair->occupy->name,
		way_name(pair->occupy->way), counts->rounds, counts->met, counts->stale,
		counts->lost, counts->elsewhere);
}

static void add(struct counts *all, const struct counts *one)
{
	all->rounds += one->rounds;
	all->met += one->met;
	all->stale += one->stale;
	all->lost += one->lost;
	all->elsewhere += one->elsewhere;
	all->errors += one->errors;
}

static bool is_wrong(const struct counts *counts)
{
	return counts->stale || counts->lost || counts->elsewhere || counts->errors;
}

/* Nothing of the library's is called by either of the two: a limit that the contract has.
 */
static bool both_unseen(const struct pair *pair)
{
	if (pair->run->env->dev->usual)
		return false;
	return !kit_interposed() || (pair->vacate->unseen && pair->occupy->unseen);
}

static void give_verdict(struct check_run *run, const struct counts *all,
			 const struct counts *unseen, const char *worst)
{
	if (is_wrong(all)) {
		check_stale(run,
			    "%s: %lu rounds, %lu met, %lu stale, %lu lost, %lu elsewhere, "
			    "%lu refused",
			    worst, all->rounds, all->met, all->stale, all->lost,
			    all->elsewhere, all->errors);
		return;
	}
	snprintf(run->result->detail, sizeof(run->result->detail),
		 "%lu rounds, %lu met, 0 stale, 0 lost, 0 elsewhere; both unseen: %lu "
		 "rounds, "
		 "%lu met, %lu stale, %lu lost, %lu elsewhere",
		 all->rounds, all->met, unseen->rounds, unseen->met, unseen->stale,
		 unseen->lost, unseen->elsewhere);
	if (is_wrong(unseen)) {
		run->failed = true;
		run->result->status = CHECK_LIMIT;
		run->result->limit = 4;
	}
}

static void run_pairs(struct check_run *run)
{
	unsigned int nr = kit_nr_vacates * kit_nr_occupies;
	struct counts all = {0}, unseen = {0};
	char worst[96] = "";

	kit_places_init();
	for (unsigned int i = 0; i < nr && !run->failed; i++) {
		struct pair pair = {.run = run,
				    .vacate = &kit_vacates[i / kit_nr_occupies],
				    .occupy = &kit_occupies[i % kit_nr_occupies]};
		struct counts counts = {0};

		run_pair(&pair, check_options.pairs_seconds / nr, &counts);
		add(both_unseen(&pair) ? &unseen : &all, &counts);
		if (check_options.verbose || (is_wrong(&counts) && !both_unseen(&pair)))
			tell_pair(&pair, &counts);
		if (is_wrong(&counts) && !both_unseen(&pair) && !worst[0])
			snprintf(worst, sizeof(worst), "%s (%s), then %s (%s)",
				 pair.vacate->name, way_name(pair.vacate->way),
				 pair.occupy->name, way_name(pair.occupy->way));
	}
	if (!run->failed)
		give_verdict(run, &all, &unseen, worst);
}

static void with_attr(struct check_run *run, const struct hmm_attr *attr)
{
	/* Translations of whole blocks: whatever part of one is given away meets one. */
	struct hmm_mirror_attr mattr = {.size = sizeof(mattr), .granule = 2 * BLOCK};
	struct check_env env, *before = run->env;
	int err = check_env_open(&env, before->dev, attr, &mattr);

	if (err) {
		check_skip(run, "the device does not open: %s", hmm_error());
		return;
	}
	run->env = &env;
	run_pairs(run);
	run->env = before;
	err = check_env_close(&env);
	if (err)
		check_fail(run, "closing: %d, %s", err, hmm_error());
}

void case_pairs(struct check_run *run)
{
	with_attr(run, NULL);
}

void case_pairs_no_perf(struct check_run *run)
{
	struct hmm_attr attr = {.size = sizeof(attr), .flags = HMM_NO_PERF};

	with_attr(run, &attr);
}
