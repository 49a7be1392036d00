// SPDX-License-Identifier: LGPL-2.1-or-later
/* Does a bounce buffer bring the bytes there and back, and keep to its limits? */
#include "fake.h"

#include <errno.h>
#include <string.h>

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;

static void up(const struct hmm_mirror_attr *attr)
{
	fake_start(&fake, 100, 300);
	fake_device_open(&fake, &dev, only_stage);
	mirror = fake_mirror(&dev, attr);
	fake_map(&fake, 0, 8, HMM_READ | HMM_WRITE, false);
	fake_map(&fake, 8, 8, HMM_READ, false);
	fake_map(&fake, 16, 8, HMM_WRITE, false);
}

static void down(void)
{
	CHECK(!hmm_mirror_destroy(mirror));
	fake_device_close(&dev);
	fake_stop(&fake);
}

static unsigned char *memory(unsigned int page)
{
	return fake.memory + page * FAKE_PAGE;
}

/* Where the device reaches the bytes; its addresses are that far from the library's. */
static unsigned char *window(const struct hmm_translation *t)
{
	CHECK(t->mode == HMM_MODE_STAGE);
	CHECK(t->addr >= dev.entries[t->key].mapping.addr);
	return (unsigned char *)(uintptr_t)(t->addr - 0x1000000000000);
}

static int get(void *ptr, size_t len, unsigned int access, struct hmm_translation *t)
{
	return hmm_translate(mirror, ptr, len, access, t);
}

static void there_and_back(void)
{
	struct hmm_translation t;
	char *at = (char *)fake_ptr(1) + 100;

	up(NULL);
	memset(memory(0), 0x11, 4 * FAKE_PAGE);
	CHECK(!get(at, 2 * FAKE_PAGE, HMM_READ, &t));
	for (size_t i = 0; i < 2 * FAKE_PAGE; i++)
		CHECK(window(&t)[i] == 0x11);
	window(&t)[0] = 0x22; /* a device that must not write: nothing comes back */
	CHECK(!hmm_translation_put(&t));
	CHECK(memory(1)[100] == 0x11);
	CHECK(!get(at, 2 * FAKE_PAGE, HMM_WRITE, &t));
	window(&t)[0] = 0x33;
	window(&t)[2 * FAKE_PAGE - 1] = 0x44;
	CHECK(memory(1)[100] == 0x11); /* not before it is put */
	CHECK(!hmm_translation_put(&t));
	CHECK(memory(1)[100] == 0x33 && memory(3)[99] == 0x44);
	CHECK(memory(1)[99] == 0x11 && memory(1)[101] == 0x11 && memory(3)[100] == 0x11);
	down();
}

/* Every translation has a buffer of its own; those that are free are used again. */
static void buffers(void)
{
	struct hmm_translation a, b;

	up(NULL);
	CHECK(!get(fake_ptr(0), 1, HMM_READ, &a) && !get(fake_ptr(0), 1, HMM_READ, &b));
	CHECK(a.key != b.key && a.addr != b.addr && dev.maps == 2);
	CHECK(!hmm_translation_put(&a) && !hmm_translation_put(&b));
	for (int i = 0; i < 20; i++) {
		CHECK(!get(fake_ptr(i % 8), 1, HMM_WRITE, &a));
		CHECK(!hmm_translation_put(&a));
	}
	CHECK(dev.maps == 2);
	down();
	CHECK(dev.releases == 2);
}

static void permissions(void)
{
	struct hmm_translation t;

	up(NULL);
	CHECK(get(fake_ptr(8), 1, HMM_WRITE, &t) == -EACCES);
	CHECK(get(fake_ptr(16), 1, HMM_READ, &t) == -EACCES);
	CHECK(get(fake_ptr(30), 1, HMM_READ, &t) == -EFAULT);
	CHECK(!get(fake_ptr(16), 1, HMM_WRITE, &t)); /* there are no old bytes to keep */
	window(&t)[0] = 9;
	CHECK(!hmm_translation_put(&t) && memory(16)[0] == 9);
	down();
}

/* The memory went while the device wrote: told at the put, nobody else's bytes change. */
static void gone_meanwhile(void)
{
	struct hmm_translation t;

	up(NULL);
	CHECK(!get(fake_ptr(0), 2 * FAKE_PAGE, HMM_WRITE, &t));
	fake_unmap(&fake, 0, 8);
	fake_tell(&fake, CHANGE_GONE, 0, 8);
	window(&t)[0] = 1;
	CHECK(!hmm_translation_valid(&t));
	CHECK(hmm_translation_put(&t) == -EFAULT && *hmm_error());
	CHECK(!get(fake_ptr(8), 1, HMM_READ, &t));
	fake_unmap(&fake, 8, 8);
	CHECK(!hmm_translation_put(&t)); /* it only read */
	down();
}

/* The device has room for two buffers: idle ones go, and held ones stay. */
static void limit(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_pinned = FAKE_PAGE};
	struct hmm_translation a, b, c;
	struct hmm_stats stats;

	up(&attr);
	dev.max_entries = 2;
	CHECK(!get(fake_ptr(0), 4 * FAKE_PAGE, HMM_READ, &a));
	CHECK(!get(fake_ptr(0), 1, HMM_READ, &b));
	CHECK(get(fake_ptr(0), 1, HMM_READ, &c) == -ENOSPC);
	CHECK(strstr(hmm_error(), "the fake table is full"));
	CHECK(!hmm_translation_put(&a));
	CHECK(!get(fake_ptr(0), 1, HMM_READ, &c)); /* the large one had to go */
	CHECK(!hmm_stats_read(fake.hmm, mirror, &stats, sizeof(stats)));
	CHECK(stats.pinned == 0 && stats.staged == 2 * FAKE_PAGE);
	CHECK(!hmm_translation_put(&b) && !hmm_translation_put(&c));
	down();
}

/* Other operations' bytes: not for memory that cannot be read, nor where there is none. */
static void old_contents(void)
{
	struct hmm_translation t;

	up(NULL);
	memset(memory(0), 'S', FAKE_PAGE);
	CHECK(!get(fake_ptr(0), FAKE_PAGE, HMM_READ, &t));
	CHECK(!hmm_translation_put(&t));
	CHECK(!get(fake_ptr(16), FAKE_PAGE, HMM_WRITE, &t));
	CHECK(window(&t)[0] == 0 && window(&t)[FAKE_PAGE - 1] == 0);
	CHECK(!hmm_translation_put(&t));
	down();
}

static void broken_map(void)
{
	struct hmm_translation t;

	up(NULL);
	dev.fail_map = 5;
	CHECK(get(fake_ptr(0), 1, HMM_READ, &t) == -EIO &&
	      strstr(hmm_error(), "returned 5"));
	down();
}

static void device_refuses(void)
{
	struct hmm_translation t;
	struct hmm_stats stats;

	up(NULL);
	dev.fail_map = -EIO;
	CHECK(get(fake_ptr(0), 1, HMM_READ, &t) == -EIO && *hmm_error());
	CHECK(!get(fake_ptr(0), 1, HMM_READ, &t));
	CHECK(!hmm_translation_put(&t));
	CHECK(!hmm_quiesce(fake.hmm, 1000));
	CHECK(!hmm_stats_read(fake.hmm, mirror, &stats, sizeof(stats)));
	CHECK(stats.translations == 0 && stats.revoking == 0);
	down();
}

/* What the device did not write stays as the CPU has it by now. */
static void short_writes(void)
{
	struct hmm_translation t;

	up(NULL);
	memory(0)[0] = memory(0)[1] = 1;
	CHECK(!get(fake_ptr(0), 100, HMM_WRITE, &t));
	window(&t)[0] = 9;
	memory(0)[1] = 2; /* by the CPU, meanwhile */
	CHECK(!hmm_translation_put_moved(&t, 1));
	CHECK(memory(0)[0] == 9 && memory(0)[1] == 2);
	CHECK(!get(fake_ptr(0), 100, HMM_WRITE, &t));
	memset(window(&t), 7, 100);
	CHECK(!hmm_translation_put_moved(&t, 0)); /* it failed */
	CHECK(memory(0)[0] == 9 && memory(0)[1] == 2);
	down();
}

int main(void)
{
	RUN(there_and_back);
	RUN(buffers);
	RUN(permissions);
	RUN(gone_meanwhile);
	RUN(limit);
	RUN(device_refuses);
	RUN(short_writes);
	RUN(old_contents);
	RUN(broken_map);
	return 0;
}
