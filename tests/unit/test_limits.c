// SPDX-License-Identifier: LGPL-2.1-or-later
/* Over a limit, does the least recently used translation go, and nothing else? (Y8) */
#include "fake.h"

#include <errno.h>
#include <unistd.h>
#include <string.h>

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;

static void up(const int *modes, uint32_t max, const struct hmm_mirror_attr *attr)
{
	fake_start(&fake, max, 300);
	fake_device_open(&fake, &dev, modes);
	mirror = fake_mirror(&dev, attr);
	fake_map(&fake, 0, FAKE_PAGES, HMM_READ | HMM_WRITE, true);
}

static void down(void)
{
	CHECK(!hmm_mirror_destroy(mirror));
	fake_device_close(&dev);
	fake_stop(&fake);
}

static struct hmm_stats stats(void)
{
	struct hmm_stats s;

	CHECK(!hmm_stats_read(fake.hmm, mirror, &s, sizeof(s)));
	return s;
}

static void touch(unsigned int page, unsigned int n)
{
	struct hmm_translation t;

	CHECK(!hmm_translate(mirror, fake_ptr(page), n * FAKE_PAGE, HMM_READ, &t));
	CHECK(!hmm_translation_put(&t));
}

static bool there(unsigned int page)
{
	return fake_device_reaches(&dev, page);
}

static void pinned_bytes(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_pinned = 32 * FAKE_PAGE};

	up(only_pin, 0, &attr);
	for (unsigned int i = 0; i + 4 <= FAKE_PAGES; i += 4) {
		touch(i, 4);
		CHECK(stats().pinned <= 32 * FAKE_PAGE);
	}
	CHECK(stats().evicted == FAKE_PAGES / 4 - 8);
	touch(0, 32);
	CHECK(stats().pinned == 32 * FAKE_PAGE);
	down();
}

static void translations_of_a_mirror(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_translations = 10};

	up(only_direct, 0, &attr);
	for (unsigned int i = 0; i < 100; i++) {
		touch(i, 1);
		CHECK(stats().translations + stats().revoking <= 10);
	}
	CHECK(stats().evicted >= 90);
	down();
}

static void translations_of_all(void)
{
	up(only_direct, 20, NULL);
	for (unsigned int i = 0; i < 200; i++)
		touch(i, 1);
	CHECK(stats().translations <= 20);
	down();
}

/* What is used all the time outlives what was used once. */
static void least_recently_used_goes(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_pinned = 16 * FAKE_PAGE};
	uint64_t maps;

	up(only_pin, 0, &attr);
	touch(0, 1);
	touch(1, 1);
	maps = dev.maps;
	for (unsigned int i = 2; i < 300; i++) {
		touch(0, 1);
		touch(1, 1);
		touch(i, 1);
	}
	CHECK(there(0) && there(1));
	CHECK(dev.maps - maps < 298 + 30); /* they were made again hardly ever */
	down();
}

/* What is held is not taken: it would free nothing. */
static void held_stays(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_pinned = 8 * FAKE_PAGE};
	struct hmm_translation held[8], t;

	up(only_pin, 0, &attr);
	for (unsigned int i = 0; i < 8; i++)
		CHECK(!hmm_translate(mirror, fake_ptr(i), 1, HMM_READ, &held[i]));
	int err = hmm_translate(mirror, fake_ptr(20), 1, HMM_READ, &t);

	CHECK(err == -ENOMEM || err == -ENOSPC || err == -EOPNOTSUPP);
	CHECK(strstr(hmm_error(), "limit"));
	for (unsigned int i = 0; i < 8; i++) {
		CHECK(hmm_translation_valid(&held[i]));
		CHECK(!hmm_translation_put(&held[i]));
	}
	touch(20, 1);
	down();
}

static void another_mode_before_an_error(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_pinned = 4 * FAKE_PAGE};
	struct hmm_translation t;

	up(pin_first, 0, &attr);
	CHECK(!hmm_translate(mirror, fake_ptr(0), 8 * FAKE_PAGE, HMM_READ, &t));
	CHECK(t.mode == HMM_MODE_DIRECT); /* more than the limit as a whole */
	CHECK(!hmm_translation_put(&t));
	down();
}

/* The device's own table is full: the core evicts and asks again. */
static void device_out_of_entries(void)
{
	up(only_pin, 0, NULL);
	dev.max_entries = 5;
	for (unsigned int i = 0; i < 100; i++)
		touch(i, 1);
	CHECK(dev.used <= 5 && stats().evicted >= 95);
	down();
}

static void device_full_of_held(void)
{
	struct hmm_translation held[5], t;

	up(only_pin, 0, NULL);
	dev.max_entries = 5;
	for (unsigned int i = 0; i < 5; i++)
		CHECK(!hmm_translate(mirror, fake_ptr(i), 1, HMM_READ, &held[i]));
	CHECK(hmm_translate(mirror, fake_ptr(9), 1, HMM_READ, &t) == -ENOSPC);
	CHECK(strstr(hmm_error(), "the fake table is full"));
	for (unsigned int i = 0; i < 5; i++)
		CHECK(!hmm_translation_put(&held[i]));
	touch(9, 1);
	down();
}

static void no_slot_left(void)
{
	struct hmm_translation held[10], t;
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_translations = 10};

	up(only_pin, 0, &attr);
	for (unsigned int i = 0; i < 10; i++)
		CHECK(!hmm_translate(mirror, fake_ptr(i), 1, HMM_READ, &held[i]));
	CHECK(hmm_translate(mirror, fake_ptr(20), 1, HMM_READ, &t) == -ENOSPC);
	CHECK(strstr(hmm_error(), "max_translations"));
	for (unsigned int i = 0; i < 10; i++)
		CHECK(!hmm_translation_put(&held[i]));
	touch(20, 1);
	down();
}

/* What is released goes on being pinned: the limit is kept by not pinning. */
static void late_driver(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_pinned = 64 * FAKE_PAGE};
	struct hmm_translation t;

	up(pin_first, 0, NULL);
	dev.driver.delayed_unpin = true;
	fake_map(&fake, 0, 16, HMM_READ | HMM_WRITE, true);
	CHECK(!hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &t) &&
	      t.mode == HMM_MODE_PIN); /* there is no limit to keep */
	CHECK(!hmm_translation_put(&t));
	CHECK(!hmm_mirror_destroy(mirror));
	mirror = fake_mirror(&dev, &attr);
	CHECK(!hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &t) &&
	      t.mode == HMM_MODE_DIRECT);
	CHECK(!hmm_translation_put(&t));
	down();
}

/* The limit of all mirrors together: what is idle in another one goes. */
static void idle_of_another_mirror(void)
{
	struct fake_device second;
	struct hmm_mirror *other;
	struct hmm_translation t;

	up(only_direct, 20, NULL);
	fake_device_open(&fake, &second, only_direct);
	other = fake_mirror(&second, NULL);
	for (unsigned int i = 0; i < 20; i++)
		touch(i, 1);
	CHECK(!hmm_translate(other, fake_ptr(0), 1, HMM_READ, &t));
	CHECK(stats().evicted > 0);
	CHECK(!hmm_translation_put(&t));
	fake_device_close(&second);
	down();
}

/* Many threads map at once: what each found free is its own. */
#define MAPPERS 64
#define ROOM    (8 * FAKE_PAGE)
static _Atomic bool mappers_done;
static _Atomic uint64_t now_pinned, most_pinned;

static void count_pin(struct fake_device *device, const struct hmm_mapping *m)
{
	uint64_t now = atomic_fetch_add(&now_pinned, m->end - m->start) + m->end - m->start;
	uint64_t most = atomic_load(&most_pinned);

	while (now > most && !atomic_compare_exchange_weak(&most_pinned, &most, now))
		;
	usleep(1000); /* it takes a while */
	atomic_fetch_sub(&now_pinned, m->end - m->start);
}

static void *map_some(void *arg)
{
	unsigned int page = (unsigned int)(uintptr_t)arg * 4;
	struct hmm_translation t;

	for (int i = 0; i < 20; i++) {
		int err = hmm_translate(mirror, fake_ptr(page), (1 + i % 4) * FAKE_PAGE,
					HMM_READ, &t);

		CHECK(!err || err == -ENOMEM || err == -ENOSPC || err == -EOPNOTSUPP);
		if (!err)
			CHECK(!hmm_translation_put(&t));
	}
	return NULL;
}

static void *sample(void *arg)
{
	while (!atomic_load(&mappers_done)) {
		struct hmm_stats s = stats();

		CHECK(s.pinned <= ROOM && s.translations <= 16);
		usleep(100);
	}
	return NULL;
}

static void many_threads_at_once(void)
{
	struct hmm_mirror_attr attr = {
		.size = sizeof(attr), .max_pinned = ROOM, .max_translations = 16};
	pthread_t mappers[MAPPERS], sampler;

	up(only_pin, 24, &attr);
	dev.on_map = count_pin;
	CHECK(!pthread_create(&sampler, NULL, sample, NULL));
	for (uintptr_t i = 0; i < MAPPERS; i++)
		CHECK(!pthread_create(&mappers[i], NULL, map_some, (void *)i));
	for (int i = 0; i < MAPPERS; i++)
		pthread_join(mappers[i], NULL);
	atomic_store(&mappers_done, true);
	pthread_join(sampler, NULL);
	CHECK(atomic_load(&most_pinned) && atomic_load(&most_pinned) <= ROOM);
	down();
}

/* A driver's -EAGAIN is an error as any other, and its words are kept. */
static void drivers_again(void)
{
	struct hmm_translation t;

	up(only_pin, 0, NULL);
	dev.fail_map = -EAGAIN;
	CHECK(hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &t) == -EAGAIN);
	dev.fail_map = 3;
	CHECK(hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &t) == -EIO);
	CHECK(strstr(hmm_error(), "returned 3"));
	touch(0, 1);
	down();
}

/* What is mapped around a miss stays within what the device takes. */
static uint64_t longest;

static void measure(struct fake_device *device, const struct hmm_mapping *m)
{
	if (m->end - m->start > longest)
		longest = m->end - m->start;
}

static void around_a_miss(void)
{
	up(only_direct, 0, NULL);
	dev.driver.max_direct = 8 * FAKE_PAGE;
	dev.on_map = measure;
	longest = 0;
	touch(100, 1);
	CHECK(longest == 8 * FAKE_PAGE);
	touch(200, 5);
	touch(0, 1);
	CHECK(longest == 8 * FAKE_PAGE);
	CHECK(there(0) && there(7) && !there(8));
	down();
}

int main(void)
{
	RUN(pinned_bytes);
	RUN(translations_of_a_mirror);
	RUN(translations_of_all);
	RUN(least_recently_used_goes);
	RUN(held_stays);
	RUN(another_mode_before_an_error);
	RUN(device_out_of_entries);
	RUN(device_full_of_held);
	RUN(no_slot_left);
	RUN(late_driver);
	RUN(idle_of_another_mirror);
	RUN(many_threads_at_once);
	RUN(drivers_again);
	RUN(around_a_miss);
	return 0;
}
