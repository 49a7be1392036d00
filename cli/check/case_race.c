// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what if a translation is filled while its range is invalidated?
 *
 * Two threads in lock step. In each cycle one changes the memory, the other uses the
 * device on it, at about the same time; then both stand still, and the device is asked
 * again. There is no change under way by then, so whatever is not what the CPU sees is
 * stale: no timing decides. In the race itself, what the device may see is bounded by
 * two counters: a change that was over before the operation began must be seen, one that
 * had not begun when it was over cannot be.
 */
#include "cases.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PAGES 4u
#define LEN   (PAGES * KIT_PAGE)

struct race {
	uint8_t *at;
	bool raw;
	unsigned long cycles;
	atomic_ulong armed;        /* the cycle that the changer is about to run */
	atomic_ulong start;        /* the cycle that may run, */
	_Atomic uint64_t start_ns; /* and when */
	atomic_ulong ready;        /* the cycle that the changer has finished */
	atomic_ulong begun;        /* changes begun */
	atomic_ulong done;         /* changes over, stamp and all */
	atomic_bool stop;
	atomic_uint failed;
	uint64_t reach_ns; /* how far apart the two may start */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t random_next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Both begin at one time, each with a delay of its own: who comes first is chance. */
static void delay(struct race *race, uint32_t *state)
{
	uint64_t end =
		atomic_load(&race->start_ns) + random_next(state) % (race->reach_ns + 1);

	while (now_ns() < end)
		continue;
}

/* Wait until *at is @value; the other thread and the library's may need this processor. */
static bool wait_for(struct race *race, atomic_ulong *at, unsigned long value)
{
	for (unsigned int spins = 0; atomic_load(at) < value; spins++) {
		if (atomic_load(&race->stop))
			return false;
		if (spins > 300)
			sched_yield();
	}
	return true;
}

static uint64_t stamp_of(unsigned long cycle)
{
	return cycle * 4 + 1;
}

/* Where the stamp of a cycle lies: not always the same page, nor aligned. */
static uint64_t *spot(struct race *race, unsigned long cycle)
{
	return (uint64_t *)(race->at + (cycle * 1237) % (LEN - 8));
}

static int make_change(struct race *race, unsigned long cycle)
{
	const struct kit_calls *calls =
		kit_calls(race->raw ? WAY_RAW : WAY_LIBC, (unsigned int)cycle);
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;

	switch (cycle % 4) {
	case 0:
		if (calls->munmap(race->at, LEN))
			return -1;
		return calls->mmap(race->at, LEN, prot, flags | MAP_FIXED_NOREPLACE, -1,
				   0) == race->at
			       ? 0
			       : -1;
	case 1:
		return calls->madvise(race->at, LEN, MADV_DONTNEED);
	case 2:
		return calls->mmap(race->at, LEN, prot, flags | MAP_FIXED, -1, 0) ==
				       race->at
			       ? 0
			       : -1;
	default:
		return calls->madvise(race->at, LEN, MADV_DONTNEED);
	}
}

/* A processor for each of the two, where there are two: else they only take turns. */
static void take_processor(int which)
{
	cpu_set_t allowed, one;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) || CPU_COUNT(&allowed) < 2)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &allowed) && which-- == 0) {
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			return;
		}
	}
}

static void *changer(void *arg)
{
	struct race *race = arg;
	uint32_t state = 0x1234567;

	take_processor(0);
	for (unsigned long cycle = 1; cycle <= race->cycles; cycle++) {
		uint64_t stamp = stamp_of(cycle);

		atomic_store(&race->armed, cycle);
		if (!wait_for(race, &race->start, cycle))
			break;
		delay(race, &state);
		atomic_store(&race->begun, cycle);
		if (make_change(race, cycle)) {
			atomic_store(&race->failed, (unsigned int)errno);
			atomic_store(&race->stop, true);
			break;
		}
		memcpy(spot(race, cycle), &stamp, sizeof(stamp));
		atomic_store(&race->done, cycle);
		atomic_store(&race->ready, cycle);
	}
	return NULL;
}

/* In the race: the old stamp, the new one, zeroes between, or a hole, by what is known. */
static int racing_read(struct check_run *run, struct race *race, unsigned long cycle,
		       uint64_t old)
{
	unsigned long done = atomic_load(&race->done);
	uint64_t got = 0;
	int rc = case_read(run, spot(race, cycle), &got, sizeof(got));
	unsigned long begun = atomic_load(&race->begun);

	if (rc && rc != -EFAULT && rc != -EBUSY)
		return check_fail(run, "cycle %lu: device read: %d, %s", cycle, rc,
				  run->env->hmm ? hmm_error() : "");
	if (done == cycle && (rc || got != stamp_of(cycle)))
		return check_stale(run, "cycle %lu: %llx (%d) after the change was over",
				   cycle, (unsigned long long)got, rc);
	if (begun < cycle && (rc || got != old))
		return check_stale(run, "cycle %lu: %llx (%d) before the change began",
				   cycle, (unsigned long long)got, rc);
	/* The stamp is written in several steps where it is not aligned. */
	if (!rc && got != old && got & ~(stamp_of(cycle) | old))
		return check_stale(run, "cycle %lu: %llx, which nobody wrote", cycle,
				   (unsigned long long)got);
	return 0;
}

static int racing_write(struct check_run *run, struct race *race, unsigned long cycle)
{
	uint64_t *at = (uint64_t *)(race->at + (cycle * 1237 + 2048) % (LEN - 8));
	uint64_t value = cycle * 4 + 2, seen;
	unsigned long done = atomic_load(&race->done);
	int rc = case_write(run, at, &value, sizeof(value));

	if (rc && rc != -EFAULT && rc != -EBUSY)
		return check_fail(run, "cycle %lu: device write: %d", cycle, rc);
	if (done < cycle)
		return 0;
	memcpy(&seen, at, sizeof(seen));
	if (rc || seen != value)
		return check_stale(
			run, "cycle %lu: a device write after the change is lost", cycle);
	return 0;
}

/* Nothing moves now. The device sees what the CPU sees, and the other way round. */
static int still(struct check_run *run, struct race *race, unsigned long cycle)
{
	uint64_t cpu, got = 0, value = cycle * 4 + 3;
	uint64_t *at = spot(race, cycle), *next = spot(race, cycle + 1);
	int rc;

	memcpy(&cpu, at, sizeof(cpu));
	if (cpu != stamp_of(cycle))
		return check_stale(run, "cycle %lu: the stamp was overwritten: %llx", cycle,
				   (unsigned long long)cpu);
	rc = case_read(run, at, &got, sizeof(got));
	if (rc || got != cpu)
		return check_stale(run,
				   "cycle %lu: the device reads %llx (%d), the CPU %llx",
				   cycle, (unsigned long long)got, rc,
				   (unsigned long long)cpu);
	rc = case_write(run, next, &value, sizeof(value));
	memcpy(&cpu, next, sizeof(cpu));
	if (rc || cpu != value)
		return check_stale(run, "cycle %lu: a device write is lost (%d)", cycle,
				   rc);
	return 0;
}

static void use_device(struct check_run *run, struct race *race)
{
	uint32_t state = 0x7654321;
	uint64_t old = 0;

	for (unsigned long cycle = 1; cycle <= race->cycles && !run->failed; cycle++) {
		if (!wait_for(race, &race->armed, cycle))
			break;
		atomic_store(&race->start_ns, now_ns() + 1000);
		atomic_store(&race->start, cycle);
		delay(race, &state);
		if (cycle & 4)
			racing_write(run, race, cycle);
		else
			racing_read(run, race, cycle, old);
		if (!wait_for(race, &race->ready, cycle))
			break;
		if (!run->failed)
			still(run, race, cycle);
		memcpy(&old, spot(race, cycle + 1), sizeof(old));
	}
}

static void report(struct check_run *run, const struct race *race)
{
	struct hmm_stats stats = {0};

	if (run->env->hmm)
		hmm_stats_read(run->env->hmm, NULL, &stats, sizeof(stats));
	snprintf(run->result->detail, sizeof(run->result->detail),
		 "%lu cycles, 0 stale; %llu fills, %llu of them met a change, %llu events, "
		 "%llu interposed",
		 race->cycles, (unsigned long long)stats.misses,
		 (unsigned long long)stats.collisions, (unsigned long long)stats.events,
		 (unsigned long long)stats.interposed);
}

static void run_race(struct check_run *run, bool raw)
{
	struct race race = {.at = case_map(LEN),
			    .raw = raw,
			    .cycles = check_options.race_cycles,
			    .reach_ns = raw ? 30000 : 8000};
	pthread_t thread;

	if (!race.at || pthread_create(&thread, NULL, changer, &race)) {
		check_fail(run, "no memory or no thread");
		return;
	}
	take_processor(1);
	use_device(run, &race);
	atomic_store(&race.stop, true);
	pthread_join(thread, NULL);
	if (atomic_load(&race.failed))
		check_fail(run, "the change failed: %s", strerror((int)race.failed));
	if (!run->failed)
		report(run, &race);
	munmap(race.at, LEN);
}

void case_race_libc(struct check_run *run)
{
	run_race(run, false);
}

void case_race_raw(struct check_run *run)
{
	run_race(run, true);
}
