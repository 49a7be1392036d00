// SPDX-License-Identifier: LGPL-2.1-or-later
/* Does a driver's access come to its end, whatever changes under it? */
#include "fake.h"

#include <errno.h>

static struct fake fake;
static struct fake_device dev;
static unsigned int calls, refusals;
static size_t limit; /* of bytes moved at a time */
static int refuse_with;
static bool change; /* the memory, at each refusal */

static void up(const int *modes)
{
	fake_start(&fake, 0, 2000);
	fake_device_open(&fake, &dev, modes);
	fake_map(&fake, 0, 64, HMM_READ | HMM_WRITE, true);
	calls = refusals = 0;
	limit = SIZE_MAX;
	refuse_with = 0;
	change = false;
}

static void down(void)
{
	fake_device_close(&dev);
	fake_stop(&fake);
}

static ssize_t move(struct hmm_device *device, const struct hmm_translation *t,
		    size_t offset, size_t len, void *arg)
{
	size_t *moved = arg;

	CHECK(device == dev.device && !core_busy() && len);
	calls++;
	if (refusals) {
		refusals--;
		if (change)
			fake_tell(&fake, CHANGE_GONE, 0, 64);
		return refuse_with;
	}
	len = len < limit ? len : limit;
	if (t->mode == HMM_MODE_STAGE)
		memset((void *)(uintptr_t)(t->addr - 0x1000000000000 + offset), 'd', len);
	*moved += len;
	return (ssize_t)len;
}

static int reach(unsigned int page, size_t offset, size_t len, unsigned int access,
		 size_t *moved)
{
	*moved = 0;
	return hmm_device_access(dev.device, (char *)fake_ptr(page) + offset, len, access,
				 move, moved);
}

static void in_pieces(void)
{
	size_t moved;

	up(only_direct);
	CHECK(!reach(0, 0, 64 * FAKE_PAGE, HMM_READ, &moved));
	CHECK(moved == 64 * FAKE_PAGE && calls == 1);
	dev.driver.max_map = 4 * FAKE_PAGE;
	calls = 0;
	CHECK(!reach(0, 100, 8 * FAKE_PAGE, HMM_WRITE, &moved));
	CHECK(moved == 8 * FAKE_PAGE && calls == 3);
	limit = 1000;
	CHECK(!reach(0, 1, FAKE_PAGE, HMM_READ, &moved) && moved == FAKE_PAGE);
	CHECK(!reach(0, 0, 0, HMM_READ, &moved) && !moved);
	down();
}

static void again_after_a_change(void)
{
	size_t moved;

	up(only_pin);
	for (int i = 0; i < 2; i++) {
		refuse_with = i ? -EAGAIN : -EFAULT;
		change = true;
		refusals = 5;
		CHECK(!reach(0, 0, 100, HMM_READ, &moved) && moved == 100 && !refusals);
	}
	refusals = 1000000;
	CHECK(reach(0, 0, 100, HMM_READ, &moved) == -EBUSY && *hmm_error());
	down();
}

static void final_refusals(void)
{
	size_t moved;

	up(only_direct);
	refusals = 1000000;
	refuse_with = -EFAULT; /* nothing has changed: the memory is not there */
	CHECK(reach(0, 0, 100, HMM_READ, &moved) == -EFAULT && calls == 1);
	CHECK(strstr(hmm_error(), "its memory is not"));
	refuse_with = -EIO;
	CHECK(reach(0, 0, 100, HMM_READ, &moved) == -EIO && calls == 2);
	refuse_with = 0; /* which is neither bytes nor an error */
	CHECK(reach(0, 0, 100, HMM_READ, &moved) == -EIO);
	refusals = 0;
	CHECK(reach(70, 0, 100, HMM_READ, &moved) == -EFAULT);
	CHECK(!hmm_mirror_destroy(hmm_device_mirror(dev.device)));
	CHECK(reach(0, 0, 100, HMM_READ, &moved) == -ENODEV && *hmm_error());
	down();
}

/* What was not moved is not copied: a CPU may have written it meanwhile. */
static void staged_in_part(void)
{
	size_t moved;

	up(only_stage);
	memset(fake.memory, 'c', FAKE_PAGE);
	CHECK(!reach(0, 10, 100, HMM_WRITE, &moved));
	CHECK(fake.memory[9] == 'c' && fake.memory[10] == 'd' && fake.memory[109] == 'd' &&
	      fake.memory[110] == 'c');
	refusals = 1;
	refuse_with = -EIO;
	memset(fake.memory, 'c', FAKE_PAGE);
	CHECK(reach(0, 10, 100, HMM_WRITE, &moved) == -EIO && fake.memory[10] == 'c');
	down();
}

int main(void)
{
	RUN(in_pieces);
	RUN(again_after_a_change);
	RUN(final_refusals);
	RUN(staged_in_part);
	return 0;
}
