// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Many threads: is a translation ever of memory that had gone before it was asked for? Is
 * anything lost, released too early (the fake device looks), or never?
 */
#include "fake.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "core/core.h"

#define AREA 64u /* pages */

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;
static _Atomic bool over;
static _Atomic uint64_t looked, stale, asked;

static unsigned int scale(void)
{
	const char *text = getenv("HMM_UNIT_SCALE");

	return text ? (unsigned int)atoi(text) : 1;
}

static void up(bool fences, const int *modes, const struct hmm_mirror_attr *attr)
{
	if (fences)
		fake_start_fences(&fake, 0, 20000);
	else
		fake_start(&fake, 0, 20000);
	fake_start_reader(&fake);
	fake.racing = true;
	fake_device_open(&fake, &dev, modes);
	mirror = fake_mirror(&dev, attr);
	fake_map(&fake, 0, AREA, HMM_READ | HMM_WRITE, true);
	over = false;
	looked = stale = asked = 0;
}

static void down(void)
{
	CHECK(!hmm_quiesce(fake.hmm, 5000));
	CHECK(!hmm_mirror_destroy(mirror));
	fake_device_close(&dev);
	fake_stop(&fake);
}

/* ---- fills against changes ------------------------------------------------------------
 */

static void look(struct hmm_translation *t, unsigned int page, unsigned int n,
		 const uint64_t *floor)
{
	fake_operation_begin(&dev, t);
	for (unsigned int i = 0; i < n && t->mode == HMM_MODE_PIN; i++) {
		looked++;
		if (fake_device_frame(&dev, t, fake_ptr(page + i)) < floor[i])
			stale++;
	}
	/* Valid: nothing changed, up to this very moment. */
	for (unsigned int i = 0; i < n; i++)
		((uint64_t *)floor)[i] = fake_floor(&fake, page + i);
	if (t->mode == HMM_MODE_PIN && hmm_translation_valid(t))
		for (unsigned int i = 0; i < n; i++)
			if (fake_device_frame(&dev, t, fake_ptr(page + i)) < floor[i])
				stale++;
	fake_operation_end(&dev, t);
}

static void *mapper(void *arg)
{
	uint64_t seed = (uintptr_t)arg * 77777 + 1, floor[4];

	while (!over) {
		unsigned int n = 1 + (unsigned int)(fake_random(&seed) % 4);
		unsigned int page = (unsigned int)(fake_random(&seed) % (AREA - n));
		struct hmm_translation t;

		for (unsigned int i = 0; i < n; i++)
			floor[i] = fake_floor(&fake, page + i);
		asked++;
		int err =
			hmm_translate(mirror, fake_ptr(page), n * FAKE_PAGE, HMM_READ, &t);

		CHECK(!err || err == -EFAULT || err == -ENOSPC || err == -ENOMEM);
		if (err)
			continue;
		look(&t, page, n, floor);
		CHECK(!hmm_translation_put(&t));
	}
	return NULL;
}

enum way { BY_EVENT, BY_CALL, REMOVALS };

static void change(enum way way, unsigned int page, unsigned int n, uint64_t r)
{
	if (way == REMOVALS && r % 4) {
		fake_dontneed(&fake, page, n);
	} else if (way == BY_CALL) {
		fake_munmap_interposed(&fake, page, n);
		fake_mmap_over_interposed(&fake, page, n, HMM_READ | HMM_WRITE);
	} else {
		if (r % 8 < 4)
			fake_munmap(&fake, page, n);
		fake_mmap_over(&fake, page, n, HMM_READ | HMM_WRITE);
	}
}

struct changer {
	enum way way;
	unsigned int rounds;
	uint64_t seed;
};

static void *changer(void *arg)
{
	struct changer *c = arg;

	for (unsigned int i = 0; i < c->rounds; i++) {
		unsigned int n = 1 + (unsigned int)(fake_random(&c->seed) % 6);
		unsigned int page = (unsigned int)(fake_random(&c->seed) % (AREA - n));

		change(c->way, page, n, fake_random(&c->seed));
	}
	return NULL;
}

static void race(enum way way, unsigned int rounds, bool fences, const int *modes,
		 const struct hmm_mirror_attr *attr)
{
	struct changer c[2] = {{way, rounds * scale(), 11}, {way, rounds * scale(), 12}};
	pthread_t mappers[3], changers[2];

	up(fences, modes, attr);
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(!pthread_create(&mappers[i], NULL, mapper, (void *)i));
	/* The changers may end before a busy machine runs a mapper for the first time. */
	while (!looked)
		sched_yield();
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&changers[i], NULL, changer, &c[i]));
	for (int i = 0; i < 2; i++)
		pthread_join(changers[i], NULL);
	over = true;
	for (int i = 0; i < 3; i++)
		pthread_join(mappers[i], NULL);
	fprintf(stderr, "  %lu asked, %lu looked at, %lu stale\n", asked, looked, stale);
	CHECK(looked && !stale);
	down();
}

static void fills_against_unmapping_by_event(void)
{
	race(BY_EVENT, 3000, false, only_pin, NULL);
}

static void fills_against_unmapping_by_call(void)
{
	race(BY_CALL, 6000, false, only_pin, NULL);
}

static void fills_against_removal(void)
{
	race(REMOVALS, 1500, false, pin_first, NULL);
}

static void fills_against_removal_with_nothing_but_pins(void)
{
	race(REMOVALS, 500, false, only_pin, NULL);
}

static void without_a_barrier(void)
{
	race(BY_CALL, 3000, true, only_pin, NULL);
	race(REMOVALS, 500, true, pin_first, NULL);
}

static void under_limits(void)
{
	struct hmm_mirror_attr attr = {
		.size = sizeof(attr),
		.max_pinned = 24 * FAKE_PAGE,
		.max_translations = 20,
	};

	race(BY_CALL, 3000, false, pin_first, &attr);
}

/* ---- hits against the same slot's end --------------------------------------------------
 */

static void *hitter(void *arg)
{
	struct hmm_translation t;

	while (!over) {
		if (!hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &t))
			CHECK(!hmm_translation_put(&t));
		asked++;
	}
	return NULL;
}

/* A reference that was counted in vain must not keep the slot for ever. */
static void hits_against_revocation(void)
{
	pthread_t threads[2];
	struct hmm_stats stats;

	up(false, only_pin, NULL);
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, hitter, NULL));
	for (unsigned int i = 0; i < 30000 * scale(); i++) {
		CHECK(!hmm_invalidate(fake.hmm, fake_ptr(0), 1));
		if (i % 64 == 0)
			sched_yield();
	}
	over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK(!hmm_quiesce(fake.hmm, 5000));
	CHECK(!hmm_stats_read(fake.hmm, mirror, &stats, sizeof(stats)));
	fprintf(stderr, "  %lu asked, %lu misses\n", asked, stats.misses);
	CHECK(stats.revoking == 0 && stats.translations <= 2); /* one a hitter at most */
	down();
}

/* ---- many threads, many references ---------------------------------------------
 */

#define CROWD 100

static struct hmm_translation passed_on[CROWD];
static pthread_barrier_t all_hold;

static void *one_of_many(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	for (unsigned int i = 0; i < 50; i++) {
		struct hmm_translation t;

		CHECK(!hmm_translate(mirror, fake_ptr(i % 8), 1, HMM_READ, &t));
		CHECK(!hmm_translation_put(&t));
	}
	CHECK(!hmm_translate(mirror, fake_ptr(me % 8), 1, HMM_READ, &passed_on[me]));
	fake_operation_begin(&dev, &passed_on[me]);
	pthread_barrier_wait(&all_hold);
	/* Another thread's: what one got any may put. */
	struct hmm_translation *other = &passed_on[(me + 1) % CROWD];

	fake_operation_end(&dev, other);
	CHECK(!hmm_translation_put(other));
	return NULL;
}

static void a_crowd(void)
{
	pthread_t threads[CROWD];

	up(false, only_pin, NULL);
	pthread_barrier_init(&all_hold, NULL, CROWD);
	for (uintptr_t i = 0; i < CROWD; i++)
		CHECK(!pthread_create(&threads[i], NULL, one_of_many, (void *)i));
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_hold);
	CHECK(!hmm_invalidate(fake.hmm, fake_ptr(0), AREA * FAKE_PAGE));
	CHECK(!hmm_quiesce(fake.hmm, 5000)); /* nobody's count is left over */
	CHECK(dev.releases == dev.maps);
	down();
}

/* One thread holds more than its list has places for, and another puts them all. */
#define MANY 200

static struct hmm_translation many[MANY];

static void *put_all(void *arg)
{
	for (unsigned int i = 0; i < MANY; i++) {
		fake_operation_end(&dev, &many[i]);
		CHECK(!hmm_translation_put(&many[i]));
	}
	return NULL;
}

static void hold(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		CHECK(!hmm_translate(mirror, fake_ptr(i % 8), 1, HMM_READ, &many[i]));
		fake_operation_begin(&dev, &many[i]);
	}
}

static void more_than_a_list(void)
{
	struct hmm_translation copy;
	pthread_t thread;

	up(false, only_pin, NULL);
	hold(MANY);
	CHECK(fake.hmm->any_more);
	CHECK(!hmm_invalidate(fake.hmm, fake_ptr(0), AREA * FAKE_PAGE));
	CHECK(hmm_quiesce(fake.hmm, 0) == -ETIMEDOUT && dev.releases == 0);
	CHECK(!pthread_create(&thread, NULL, put_all, NULL));
	pthread_join(thread, NULL);
	CHECK(!hmm_quiesce(fake.hmm, 5000));
	CHECK(dev.releases == dev.maps);
	/* The places that the other thread emptied are used again. */
	fake.hmm->any_more = false;
	hold(HOLDS);
	CHECK(!fake.hmm->any_more);
	copy = many[0];
	fake_operation_end(&dev, &many[0]);
	CHECK(!hmm_translation_put(&many[0]));
	CHECK(hmm_translation_put(&copy) == -EINVAL); /* put twice */
	for (unsigned int i = 1; i < HOLDS; i++) {
		fake_operation_end(&dev, &many[i]);
		CHECK(!hmm_translation_put(&many[i]));
	}
	down();
}

/* Threads that come and go use the lists of those that went. */
static void *comer(void *arg)
{
	struct hmm_translation t;

	CHECK(!hmm_translate(mirror, fake_ptr(1), 1, HMM_READ, &t));
	CHECK(!hmm_translation_put(&t));
	return NULL;
}

static void come_and_go(void)
{
	pthread_t thread;

	up(false, only_pin, NULL);
	for (int i = 0; i < 300; i++) {
		CHECK(!pthread_create(&thread, NULL, comer, NULL));
		pthread_join(thread, NULL);
	}
	CHECK(fake.hmm->nr_holds <= 4);
	down();
}

int main(void)
{
	RUN(fills_against_unmapping_by_event);
	RUN(fills_against_unmapping_by_call);
	RUN(fills_against_removal);
	RUN(fills_against_removal_with_nothing_but_pins);
	RUN(without_a_barrier);
	RUN(under_limits);
	RUN(hits_against_revocation);
	RUN(a_crowd);
	RUN(more_than_a_list);
	RUN(come_and_go);
	return 0;
}
