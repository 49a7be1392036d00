// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: are limits kept by many threads at once, and is nothing refused for them
 * while something idle could go (Y8)?
 *
 * 64 threads use two mirrors of the device. All of the limits are smaller than what the
 * threads use in turn, and larger than what they use at a time: so what a limit is in the
 * way of can always take the room of something that nobody uses. One more thread looks at
 * the statistics all the time.
 */
#include "cases.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS    64u
#define MIRRORS    2u
#define PIECE      (4 * KIT_PAGE)
#define PIECES     16u /* of a thread: it uses one at a time */
#define ALL        (THREADS * PIECES * PIECE)
#define OF_MIRROR  (THREADS / MIRRORS * 5 / 4) /* translations and pins */
#define OF_ALL     (THREADS * 9 / 8)
#define PINNED     (OF_MIRROR * PIECE)
#define OPERATIONS 300u

struct busy {
	struct check_run *run;
	struct hmm *hmm;
	struct hmm_device *device[MIRRORS];
	struct hmm_mirror *mirror[MIRRORS];
	void *context[MIRRORS];
	uint8_t *at;
	_Atomic bool stop;
	_Atomic unsigned int wrong, refused, samples;
	_Atomic int error;
	uint64_t most_pinned, most, most_of_all; /* as sampled */
};

struct user {
	struct busy *busy;
	unsigned int nr;
	pthread_t thread;
};

static void use_one(struct user *user, unsigned int i)
{
	struct busy *busy = user->busy;
	const struct hmm_check_device *table = busy->run->env->dev->table;
	void *context = busy->context[user->nr % MIRRORS];
	uint8_t *at = busy->at + (user->nr * PIECES + i * 7 % PIECES) * PIECE;
	uint64_t word = (uint64_t)user->nr << 32 | i, seen = 0;
	int err = table->write(context, at + 64, &word, sizeof(word));

	++*check_beat;
	if (!err && memcmp(at + 64, &word, sizeof(word)))
		atomic_fetch_add(&busy->wrong, 1);
	word = ~word;
	memcpy(at + 128, &word, sizeof(word));
	if (!err)
		err = table->read(context, at + 128, &seen, sizeof(seen));
	if (err) {
		atomic_fetch_add(&busy->refused, 1);
		atomic_store(&busy->error, err);
	} else if (seen != word) {
		atomic_fetch_add(&busy->wrong, 1);
	}
}

static void *use(void *arg)
{
	struct user *user = arg;

	for (unsigned int i = 0; i < OPERATIONS; i++)
		use_one(user, i);
	return NULL;
}

static void most_of(uint64_t *most, uint64_t now)
{
	if (now > *most)
		*most = now;
}

static void *sample(void *arg)
{
	const struct timespec pause = {.tv_nsec = 20000};
	struct busy *busy = arg;
	struct hmm_stats stats = {0};

	while (!atomic_load(&busy->stop)) {
		for (unsigned int i = 0; i < MIRRORS; i++) {
			hmm_stats_read(busy->hmm, busy->mirror[i], &stats, sizeof(stats));
			most_of(&busy->most_pinned, stats.pinned);
			most_of(&busy->most, stats.translations);
		}
		hmm_stats_read(busy->hmm, NULL, &stats, sizeof(stats));
		most_of(&busy->most_of_all, stats.translations);
		atomic_fetch_add(&busy->samples, 1);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int run_threads(struct busy *busy)
{
	static struct user users[THREADS];
	pthread_t sampler;
	unsigned int nr = 0;

	if (pthread_create(&sampler, NULL, sample, busy))
		return check_fail(busy->run, "no thread");
	for (; nr < THREADS; nr++) {
		users[nr] = (struct user){.busy = busy, .nr = nr};
		if (pthread_create(&users[nr].thread, NULL, use, &users[nr]))
			break;
	}
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(users[i].thread, NULL);
	atomic_store(&busy->stop, true);
	pthread_join(sampler, NULL);
	return nr < THREADS ? check_fail(busy->run, "only %u threads", nr) : 0;
}

static int give_verdict(struct check_run *run, const struct busy *busy)
{
	if (busy->wrong)
		return check_stale(run, "%u accesses of %u reached other memory",
				   busy->wrong, THREADS * OPERATIONS);
	if (busy->refused)
		return check_fail(run, "%u accesses of %u were refused (%d), idle or not",
				  busy->refused, THREADS * OPERATIONS, busy->error);
	if (busy->most_pinned > PINNED || busy->most > OF_MIRROR ||
	    busy->most_of_all > OF_ALL)
		return check_fail(
			run,
			"%llu bytes pinned of %llu, %llu translations of %u, %llu of "
			"%u in all",
			(unsigned long long)busy->most_pinned, (unsigned long long)PINNED,
			(unsigned long long)busy->most, OF_MIRROR,
			(unsigned long long)busy->most_of_all, OF_ALL);
	snprintf(
		run->result->detail, sizeof(run->result->detail),
		"%u accesses by %u threads, %u samples: at most %llu of %llu bytes pinned, "
		"%llu of %u translations, %llu of %u in all; none refused",
		2 * THREADS * OPERATIONS, THREADS, busy->samples,
		(unsigned long long)busy->most_pinned, (unsigned long long)PINNED,
		(unsigned long long)busy->most, OF_MIRROR,
		(unsigned long long)busy->most_of_all, OF_ALL);
	return 0;
}

static int open_mirrors(struct busy *busy, const struct kit_device *dev)
{
	struct hmm_attr attr = {.size = sizeof(attr), .max_translations = OF_ALL};
	struct hmm_mirror_attr mattr = {.size = sizeof(mattr),
					.modes = dev->modes,
					.granule = PIECE,
					.max_pinned = PINNED,
					.max_translations = OF_MIRROR};
	int err = hmm_open(&attr, &busy->hmm);

	for (unsigned int i = 0; !err && i < MIRRORS; i++) {
		err = dev->table->open(busy->hmm, &busy->device[i], &busy->context[i]);
		if (!err)
			err = hmm_mirror_create(busy->device[i], &mattr, &busy->mirror[i]);
	}
	return err;
}

static int close_mirrors(struct busy *busy, const struct kit_device *dev)
{
	int err = 0, err2;

	for (unsigned int i = 0; i < MIRRORS; i++) {
		if (busy->mirror[i])
			err = hmm_mirror_destroy(busy->mirror[i]);
		err2 = busy->context[i] ? dev->table->close(busy->context[i]) : 0;
		err = err ? err : err2;
	}
	if (busy->hmm)
		hmm_close(busy->hmm);
	return err;
}

void case_limits_busy(struct check_run *run)
{
	const struct kit_device *dev = run->env->dev;
	struct busy busy = {.run = run, .at = case_map(ALL)};
	int err = busy.at ? open_mirrors(&busy, dev) : -ENOMEM;

	if (err)
		check_fail(run, "open: %d, %s", err, hmm_error());
	else if (!run_threads(&busy))
		give_verdict(run, &busy);
	if (close_mirrors(&busy, dev) && !run->failed)
		check_fail(run, "close: %s", hmm_error());
	munmap(busy.at, ALL);
}
