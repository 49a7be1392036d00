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
		CHECK(!hmm_translation_put(mirror, &t));
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

int main(void)
{
	RUN(interval_within_a_page);
	RUN(pins_for_writing_are_marked);
	RUN(end_waits_for_a_map);
	RUN(late_calls_are_told);
	return 0;
}
