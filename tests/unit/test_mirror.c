// SPDX-License-Identifier: LGPL-2.1-or-later
/* What does a mirror promise about its interval, its writes, and its end? */
#include "fake.h"

#include <errno.h>
#include <time.h>

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;

static void up(const int *modes, const struct hmm_mirror_attr *attr)
{
	fake_start(&fake, 0, 2000);
	fake_device_open(&fake, &dev, modes);
	mirror = fake_mirror(&dev, attr);
	fake_map(&fake, 0, FAKE_PAGES, HMM_READ | HMM_WRITE, true);
}

static void down(void)
{
	fake_device_close(&dev);
	fake_stop(&fake);
}

static int touch(uint64_t at, size_t len)
{
	struct hmm_translation t;
	int err = hmm_translate(mirror, (void *)(uintptr_t)at, len, HMM_READ, &t);

	if (!err)
		CHECK(!hmm_translation_put(&t));
	return err;
}

/* A translation is of whole pages: what the interval has not of a page is not reached. */
static void interval_within_a_page(void)
{
	uint64_t start = fake_addr(3) + 1024, end = fake_addr(5) + 1024;
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .start = start, .end = end};

	up(only_direct, &attr);
	for (int i = 0; i < 2; i++) {
		CHECK(touch(start - 8, 8) == -ERANGE);
		CHECK(touch(start, 8) == 0);
		CHECK(touch(start - 8, 8) == -ERANGE);
		CHECK(touch(end - 8, 8) == 0);
		CHECK(touch(end, 8) == -ERANGE);
		CHECK(touch(start, end - start) == 0);
		CHECK(touch(start - 1, end - start) == -ERANGE);
	}
	CHECK(!hmm_mirror_destroy(mirror));
	down();
}

/* The kernel takes a page for clean that only a device has written, and drops it. */
static void pins_for_writing_are_marked(void)
{
	uint64_t before;

	up(only_pin, NULL);
	before = fake.populates;
	CHECK(touch(fake_addr(1), 8) == 0);
	CHECK(fake.populates == before + 1);
	fake_map(&fake, 2, 1, HMM_READ, true);
	CHECK(touch(fake_addr(2), 8) == 0);
	CHECK(fake.populates == before + 1);
	/* What cannot be marked is not pinned, and nothing is left of the attempt. */
	fake.populate_error = -EHWPOISON;
	CHECK(touch(fake_addr(4), 8) == -EOPNOTSUPP);
	CHECK(strstr(hmm_error(), "marked as written"));
	fake.populate_error = 0;
	CHECK(dev.maps == dev.releases + 2);
	CHECK(!hmm_mirror_destroy(mirror));
	down();
}

/* ---- the end
 * ----------------------------------------------------------------------------- */

static _Atomic bool inside, left;

static void stay(struct fake_device *device, const struct hmm_mapping *mapping)
{
	const struct timespec while_ = {.tv_nsec = 300000000};

	inside = true;
	nanosleep(&while_, NULL);
	left = true;
}

static void *translate_once(void *err)
{
	struct hmm_translation t;

	*(int *)err = hmm_translate(mirror, fake_ptr(0), 8, HMM_READ, &t);
	return NULL;
}

static void end_waits_for_a_map(void)
{
	pthread_t thread;
	int err = 0;

	up(only_pin, NULL);
	inside = left = false;
	dev.on_map = stay;
	pthread_create(&thread, NULL, translate_once, &err);
	while (!inside)
		;
	CHECK(!hmm_mirror_destroy(mirror));
	CHECK(left && dev.maps == dev.releases);
	pthread_join(thread, NULL);
	CHECK(err == -ESHUTDOWN);
	down();
}

/* A call may begin just before the end, and look at the mirror just after it. */
static void late_calls_are_told(void)
{
	struct hmm_translation t;

	up(only_pin, NULL);
	CHECK(touch(fake_addr(0), 8) == 0);
	CHECK(!hmm_mirror_destroy(mirror));
	CHECK(hmm_translate(mirror, fake_ptr(0), 8, HMM_READ, &t) == -ESHUTDOWN);
	down();
}

/* A device comes with a mirror; one of other attributes takes its place. */
static void default_mirror(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_translations = 1};
	struct hmm_mirror *first;
	struct hmm_translation t;

	fake_start(&fake, 0, 200);
	fake_device_open(&fake, &dev, only_pin);
	fake_map(&fake, 0, FAKE_PAGES, HMM_READ | HMM_WRITE, true);
	first = hmm_device_mirror(dev.device);
	CHECK(first);
	CHECK(!hmm_translate(first, fake_ptr(0), 1, HMM_READ, &t) && t.mirror == first);
	CHECK(hmm_mirror_create(dev.device, &attr, &mirror) == -EBUSY);
	CHECK(!hmm_translation_put(&t) && !t.mirror);
	CHECK(!hmm_mirror_create(dev.device, &attr, &mirror));
	CHECK(hmm_device_mirror(dev.device) == mirror);
	CHECK(hmm_mirror_create(dev.device, &attr, &first) == -EBUSY);
	down();
}

/* Put twice, or never had. */
static void put_what_is_not_held(void)
{
	struct hmm_translation t, none = {0};

	up(only_pin, NULL);
	CHECK(!hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &t));
	CHECK(hmm_translation_valid(&t));
	CHECK(!hmm_translation_put(&t));
	CHECK(hmm_translation_put(&t) == -EINVAL && !hmm_translation_valid(&t));
	CHECK(hmm_translation_put(&none) == -EINVAL && !hmm_translation_valid(&none));
	CHECK(hmm_translation_put(NULL) == -EINVAL && !hmm_translation_valid(NULL));
	down();
}

/* An older program knows less of a structure, a newer one more. */
static void structures_grow(void)
{
	struct {
		struct hmm_mirror_attr attr;
		uint64_t more;
	} newer = {.attr = {.size = sizeof(newer), .granule = FAKE_PAGE * 3}};
	struct {
		struct hmm_stats stats;
		uint64_t more;
	} big = {.more = 5};
	struct hmm_stats stats = {.misses = 7};

	up(only_pin, NULL);
	CHECK(!hmm_mirror_destroy(mirror));
	/* Ends before the granule, which then is not read. */
	newer.attr.size = offsetof(struct hmm_mirror_attr, granule);
	CHECK(!hmm_mirror_create(dev.device, &newer.attr, &mirror));
	CHECK(!hmm_mirror_destroy(mirror));
	newer.attr.size = sizeof(newer);
	newer.attr.granule = 0;
	CHECK(!hmm_mirror_create(dev.device, &newer.attr, &mirror));
	CHECK(!hmm_mirror_destroy(mirror));
	newer.more = 1;
	CHECK(hmm_mirror_create(dev.device, &newer.attr, &mirror) == -E2BIG);
	CHECK(strstr(hmm_error(), "newer"));
	newer.attr.size = 1u << 20;
	CHECK(hmm_mirror_create(dev.device, &newer.attr, &mirror) == -EINVAL);
	newer.attr.size = 0;
	CHECK(hmm_mirror_create(dev.device, &newer.attr, &mirror) == -EINVAL);

	CHECK(!hmm_stats_read(fake.hmm, NULL, &big.stats, sizeof(big)) && !big.more);
	CHECK(!hmm_stats_read(fake.hmm, NULL, &stats, offsetof(struct hmm_stats, misses)));
	CHECK(stats.misses == 7);
	down();
}

/* The version of the headers is the library's. */
static void version(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%d.%d", HMM_VERSION_MAJOR, HMM_VERSION_MINOR,
		 HMM_VERSION_PATCH);
	CHECK(!strcmp(text, hmm_version()));
}

int main(void)
{
	RUN(interval_within_a_page);
	RUN(pins_for_writing_are_marked);
	RUN(end_waits_for_a_map);
	RUN(late_calls_are_told);
	RUN(default_mirror);
	RUN(put_what_is_not_held);
	RUN(structures_grow);
	RUN(version);
	return 0;
}
