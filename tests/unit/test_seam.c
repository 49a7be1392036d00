// SPDX-License-Identifier: LGPL-2.1-or-later
/* What does a driver leave to the library: limits, memory, and the wait for many revokes?
 */
#include "fake.h"

#include <errno.h>
#include <unistd.h>

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;

static void up(const int *modes)
{
	fake_start(&fake, 0, 2000);
	fake_device_open_whole(&fake, &dev, modes);
	mirror = hmm_device_mirror(dev.device);
	fake_map(&fake, 0, FAKE_PAGES, HMM_READ | HMM_WRITE, true);
}

static void down(void)
{
	fake_device_close(&dev);
	fake_stop(&fake);
	free(dev.own);
}

static void touch(unsigned int page)
{
	struct hmm_translation t;

	CHECK(!hmm_translate(mirror, fake_ptr(page), 1, HMM_READ, &t));
	CHECK(!hmm_translation_put(&t));
}

/* ---- revoke in two halves ---------------------------------------------------------- */

static void hit_meanwhile(struct fake_device *device)
{
	CHECK(!core_busy());
	touch(100); /* takes no lock; nor is there one to be had */
}

static void one_wait_a_change(void)
{
	up(only_direct);
	for (unsigned int i = 0; i < 64; i++)
		touch(i);
	touch(100);
	dev.on_wait = hit_meanwhile;
	fake_munmap_interposed(&fake, 0, 32);
	CHECK(dev.revokes == 32 && dev.waits == 1 && !fake_device_reaches(&dev, 31));
	dev.on_wait = NULL;
	fake_tell(&fake, CHANGE_GONE, 32, 32);
	CHECK(dev.revokes == 64 && dev.waits == 2 && !fake_device_reaches(&dev, 63));
	CHECK(fake_device_reaches(&dev, 100));
	down();
}

static _Atomic bool stuck, go_on;

static void stay_once(struct fake_device *device)
{
	if (atomic_exchange(&stuck, true))
		return;
	while (!atomic_load(&go_on))
		usleep(100);
}

static void *invalidate(void *arg)
{
	CHECK(!hmm_invalidate(fake.hmm, fake_ptr(0), FAKE_PAGE));
	return NULL;
}

/* A thread that waits for its device has the range revoked already: who else changes it? */
static void others_wait_too(void)
{
	pthread_t thread;

	up(only_direct);
	touch(0);
	stuck = go_on = false;
	dev.on_wait = stay_once;
	CHECK(!pthread_create(&thread, NULL, invalidate, NULL));
	while (!atomic_load(&stuck))
		usleep(100);
	CHECK(fake_device_reaches(&dev, 0));
	invalidate(NULL);
	CHECK(!fake_device_reaches(&dev, 0));
	/* Nothing is released while anybody waits for it. */
	CHECK(hmm_quiesce(fake.hmm, 20) == -ETIMEDOUT && !dev.releases);
	go_on = true;
	pthread_join(thread, NULL);
	CHECK(!hmm_quiesce(fake.hmm, 2000) && dev.releases == 1);
	down();
}

static void *destroy(void *arg)
{
	CHECK(!hmm_mirror_destroy(mirror));
	return NULL;
}

static void end_waits_for_the_device(void)
{
	pthread_t first, second;

	up(only_direct);
	touch(0);
	stuck = go_on = false;
	dev.on_wait = stay_once;
	CHECK(!pthread_create(&first, NULL, invalidate, NULL));
	while (!atomic_load(&stuck))
		usleep(100);
	CHECK(!pthread_create(&second, NULL, destroy, NULL));
	usleep(20000);
	CHECK(hmm_device_mirror(dev.device) == mirror);
	go_on = true;
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	CHECK(!hmm_device_mirror(dev.device) && dev.releases == 1);
	down();
}

/* ---- limits ------------------------------------------------------------------------ */

static void within_entries(struct fake_device *device, const struct hmm_mapping *m)
{
	pthread_mutex_lock(&device->lock);
	CHECK(device->used <= device->driver.max_entries);
	pthread_mutex_unlock(&device->lock);
}

static void entries_are_counted(void)
{
	struct hmm_translation held[4], t;

	up(pin_or_stage);
	dev.own = aligned_alloc(FAKE_PAGE, 8 * FAKE_PAGE);
	dev.own_size = 8 * FAKE_PAGE;
	dev.driver.max_entries = 4;
	dev.on_map = within_entries;
	fake_map(&fake, 200, 8, HMM_READ, false); /* only staged */
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 50; i++)
			touch(i);
		touch(200);
	}
	for (unsigned int i = 0; i < 4; i++)
		CHECK(!hmm_translate(mirror, fake_ptr(i), 1, HMM_READ, &held[i]));
	CHECK(hmm_translate(mirror, fake_ptr(9), 1, HMM_READ, &t) == -ENOSPC);
	CHECK(strstr(hmm_error(), "4 entries"));
	for (unsigned int i = 0; i < 4; i++)
		CHECK(!hmm_translation_put(&held[i]));
	touch(9);
	down();
}

static void longest_mapping_in(const int *modes)
{
	struct hmm_translation t, dma[4];
	struct hmm_range range = {.size = sizeof(range), .dma = dma, .dma_max = 4};

	up(modes);
	dev.own = aligned_alloc(FAKE_PAGE, 8 * FAKE_PAGE);
	dev.own_size = 8 * FAKE_PAGE;
	dev.driver.max_map = 3 * FAKE_PAGE;
	CHECK(!hmm_translate(mirror, fake_ptr(0), 3 * FAKE_PAGE, HMM_READ, &t));
	CHECK(!hmm_translation_put(&t));
	CHECK(hmm_translate(mirror, fake_ptr(0), 3 * FAKE_PAGE + 1, HMM_READ, &t) ==
	      -E2BIG);
	CHECK(strstr(hmm_error(), "translate parts"));
	CHECK(hmm_translate(mirror, (char *)fake_ptr(0) + 1, 3 * FAKE_PAGE, HMM_READ, &t) ==
	      -E2BIG);
	range.mirror = mirror;
	range.start = fake_addr(10);
	range.end = fake_addr(18);
	CHECK(!hmm_range_begin(&range));
	CHECK(!hmm_range_dma_map(&range, HMM_READ) && range.dma_count == 3);
	CHECK(!hmm_range_dma_unmap(&range));
	down();
}

static void longest_mapping(void)
{
	longest_mapping_in(only_direct);
	longest_mapping_in(only_pin);
	longest_mapping_in(only_stage);
}

/* ---- memory for bounce buffers ------------------------------------------------------ */

static void memory_of_the_device(void)
{
	struct hmm_translation a, b;
	unsigned char *window;

	up(only_stage);
	dev.own = aligned_alloc(FAKE_PAGE, 4 * FAKE_PAGE);
	dev.own_size = 4 * FAKE_PAGE;
	fake.memory[0] = 0x55;
	CHECK(!hmm_translate(mirror, fake_ptr(0), 1, HMM_READ | HMM_WRITE, &a));
	window = (unsigned char *)(uintptr_t)(a.addr - 0x1000000000000);
	CHECK(window == dev.own && *window == 0x55);
	*window = 0x66;
	CHECK(!hmm_translation_put(&a) && fake.memory[0] == 0x66);
	/* What is idle goes where the memory is full. */
	CHECK(!hmm_translate(mirror, fake_ptr(0), 4 * FAKE_PAGE, HMM_READ, &a));
	CHECK(dev.own_used == 4 * FAKE_PAGE && dev.releases == 1);
	CHECK(hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &b) == -ENOMEM);
	CHECK(strstr(hmm_error(), "the fake card's memory is full"));
	CHECK(!hmm_translation_put(&a));
	CHECK(!hmm_mirror_destroy(mirror) && !dev.own_used);
	down();
}

/* ---- malformed tables -----------------------------------------------------------------
 */

static bool licence(const char *expression)
{
	struct hmm_driver driver = dev.driver;
	struct hmm_device *device;
	int err;

	driver.license = expression;
	err = hmm_device_register(fake.hmm, &driver, &dev, &device);
	CHECK(err ? err == -EPERM && *hmm_error() : !hmm_device_unregister(device));
	return !err;
}

static void licences(void)
{
	up(only_direct);
	CHECK(licence("GPL-2.0-or-later") && licence("gpl-2.0-only") && licence("ISC"));
	CHECK(licence("GPL-2.0-only OR MIT") && licence("Proprietary OR MIT"));
	CHECK(licence("GPL-2.0-only WITH Linux-syscall-note"));
	CHECK(licence("(GPL-2.0-only OR X) AND BSD-3-Clause") && licence("((MIT))"));
	CHECK(licence("Dual BSD/GPL") && licence("GPL v2"));
	CHECK(!licence(NULL) && !licence("") && !licence("Proprietary") &&
	      !licence("GPLv2"));
	CHECK(!licence("GPL-2.0-only AND Proprietary") && !licence("MIT MIT"));
	CHECK(!licence("MIT OR") && !licence("OR MIT") && !licence("(MIT") &&
	      !licence("MIT)"));
	CHECK(!licence("GPL-2.0-only or MIT") && !licence("MIT WITH") && !licence("()"));
	CHECK(!licence("Proprietary WITH GPL-exception"));
	down();
}

static void malformed(void)
{
	struct hmm_driver driver;
	struct hmm_device *device;

	up(only_direct);
	driver = dev.driver;
	driver.max_map = 100;
	CHECK(hmm_device_register(fake.hmm, &driver, &dev, &device) == -EINVAL);
	CHECK(strstr(hmm_error(), "max_map"));
	driver = dev.driver;
	driver.abi++;
	CHECK(hmm_device_register(fake.hmm, &driver, &dev, &device) == -EPROTO);
	down();
}

int main(void)
{
	RUN(one_wait_a_change);
	RUN(others_wait_too);
	RUN(end_waits_for_the_device);
	RUN(entries_are_counted);
	RUN(longest_mapping);
	RUN(memory_of_the_device);
	RUN(licences);
	RUN(malformed);
	return 0;
}
