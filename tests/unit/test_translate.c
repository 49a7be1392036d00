// SPDX-License-Identifier: LGPL-2.1-or-later
/* What does a translation go through, from the miss to the release? */
#include "fake.h"

#include <errno.h>
#include <string.h>

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;

static void up(const int *modes, const struct hmm_mirror_attr *attr)
{
	fake_start(&fake, 100, 300);
	fake_device_open(&fake, &dev, modes);
	mirror = fake_mirror(&dev, attr);
}

static void down(void)
{
	CHECK(!hmm_mirror_destroy(mirror));
	fake_device_close(&dev);
	fake_stop(&fake);
}

static struct hmm_translation get(unsigned int page, unsigned int n, unsigned int access)
{
	struct hmm_translation t;

	CHECK(!hmm_translate(mirror, fake_ptr(page), n * FAKE_PAGE, access, &t));
	return t;
}

static void put(struct hmm_translation *t)
{
	CHECK(!hmm_translation_put(t));
}

static struct hmm_stats stats(void)
{
	struct hmm_stats s;

	CHECK(!hmm_stats_read(fake.hmm, mirror, &s, sizeof(s)));
	return s;
}

static void miss_then_hit(void)
{
	struct hmm_translation a, b, inner;

	up(only_pin, NULL);
	fake_map(&fake, 10, 8, HMM_READ | HMM_WRITE, true);
	a = get(10, 4, HMM_READ);
	CHECK(dev.maps == 1 && dev.commits == 0 && a.mode == HMM_MODE_PIN);
	b = get(10, 4, HMM_READ);
	CHECK(dev.maps == 1 && b.addr == a.addr && b.key == a.key);
	/* The mapping allows writing, so one translation serves both. */
	CHECK(!hmm_translate(mirror, (char *)fake_ptr(11) + 7, 9, HMM_WRITE, &inner));
	CHECK(dev.maps == 1 && inner.addr == a.addr + FAKE_PAGE + 7);
	CHECK(fake_device_frame(&dev, &a, fake_ptr(12)) == fake_frame(&fake, 12));
	CHECK(stats().misses == 1 && stats().translations == 1);
	CHECK(stats().by_mode[HMM_MODE_PIN] == 1 && stats().pinned == 4 * FAKE_PAGE);
	put(&a);
	put(&b);
	put(&inner);
	CHECK(dev.releases == 0 && stats().translations == 1); /* kept for the next */
	down();
}

static void two_phases(void)
{
	struct hmm_translation t;

	up(only_pin, NULL);
	fake_map(&fake, 10, 8, HMM_READ | HMM_WRITE, true);
	t = get(10, 8, HMM_READ);
	fake_operation_begin(&dev, &t);
	CHECK(hmm_translation_valid(&t));
	fake_tell(&fake, CHANGE_GONE, 12, 1);
	/* Revoked when the change is told, not released while it is held. */
	CHECK(dev.revokes == 1 && !hmm_translation_valid(&t));
	CHECK(hmm_quiesce(fake.hmm, 50) == -ETIMEDOUT && strlen(hmm_error()));
	CHECK(dev.releases == 0 && stats().revoking == 1 &&
	      stats().pinned == 8 * FAKE_PAGE);
	fake_operation_end(&dev, &t);
	put(&t);
	CHECK(!hmm_quiesce(fake.hmm, 1000));
	CHECK(dev.releases == 1 && stats().pinned == 0 && stats().released == 1);
	down();
}

/* The fake device gives out the lowest free key, and checks that nobody names it. */
static void key_not_reused_while_held(void)
{
	struct hmm_translation held, other;

	up(only_pin, NULL);
	fake_map(&fake, 0, 64, HMM_READ | HMM_WRITE, true);
	held = get(0, 1, HMM_READ);
	fake_operation_begin(&dev, &held);
	fake_tell(&fake, CHANGE_GONE, 0, 1);
	for (unsigned int i = 0; i < 60; i++) {
		other = get(i, 1, HMM_READ);
		CHECK(other.key != held.key || !i);
		CHECK(other.key != held.key);
		put(&other);
	}
	/* The same address again is another translation. */
	other = get(0, 1, HMM_READ);
	CHECK(other.key != held.key && !hmm_translation_valid(&held));
	CHECK(hmm_translation_valid(&other));
	put(&other);
	fake_operation_end(&dev, &held);
	put(&held);
	CHECK(!hmm_quiesce(fake.hmm, 1000));
	other = get(63, 1, HMM_READ);
	CHECK(other.key == held.key); /* now it may be */
	put(&other);
	down();
}

static void held_twice_put_by_two(void)
{
	struct hmm_translation a, b;

	up(only_pin, NULL);
	fake_map(&fake, 0, 1, HMM_READ, true);
	a = get(0, 1, HMM_READ);
	b = get(0, 1, HMM_READ);
	fake_tell(&fake, CHANGE_GONE, 0, 1);
	put(&a);
	CHECK(hmm_quiesce(fake.hmm, 50) == -ETIMEDOUT && dev.releases == 0);
	put(&b);
	CHECK(!hmm_quiesce(fake.hmm, 1000) && dev.releases == 1);
	down();
}

static void only_what_overlaps_goes(void)
{
	struct hmm_translation t[4];

	up(only_pin, NULL);
	fake_map(&fake, 0, 40, HMM_READ, true);
	for (unsigned int i = 0; i < 4; i++)
		t[i] = get(10 * i, 10, HMM_READ);
	fake_tell(&fake, CHANGE_GONE, 19, 2); /* the end of one, the start of the next */
	CHECK(hmm_translation_valid(&t[0]) && !hmm_translation_valid(&t[1]));
	CHECK(!hmm_translation_valid(&t[2]) && hmm_translation_valid(&t[3]));
	CHECK(stats().revoked == 2);
	for (unsigned int i = 0; i < 4; i++)
		put(&t[i]);
	down();
}

static void fails(const void *ptr, size_t len, unsigned int access, int err)
{
	struct hmm_translation t;

	memset(&t, 0x55, sizeof(t));
	CHECK(hmm_translate(mirror, ptr, len, access, &t) == err);
	CHECK(*hmm_error());
	for (size_t i = 0; i < sizeof(t); i++)
		CHECK(((unsigned char *)&t)[i] == 0x55); /* outputs on success only */
}

static void errors(void)
{
	struct hmm_mirror_attr attr = {
		.size = sizeof(attr),
		.start = fake_addr(0),
		.end = fake_addr(100),
	};

	up(only_pin, &attr);
	fake_map(&fake, 0, 8, HMM_READ, true);
	fake_map(&fake, 8, 8, HMM_READ | HMM_WRITE, true);
	fake_map(&fake, 96, 8, HMM_READ, true);
	fails(fake_ptr(0), 0, HMM_READ, -EINVAL);
	fails(fake_ptr(0), 1, 0, -EINVAL);
	fails(fake_ptr(0), 1, 4, -EINVAL);
	fails(fake_ptr(0), SIZE_MAX, HMM_READ, -EINVAL);
	fails(fake_ptr(99), 2 * FAKE_PAGE, HMM_READ, -ERANGE);
	fails((char *)fake_ptr(0) - 1, 2, HMM_READ, -ERANGE);
	fails(fake_ptr(20), 1, HMM_READ, -EFAULT);
	fails(fake_ptr(8), 9 * FAKE_PAGE, HMM_READ, -EFAULT);
	fails(fake_ptr(0), 1, HMM_WRITE, -EACCES);
	fails(fake_ptr(7), 2 * FAKE_PAGE, HMM_WRITE, -EACCES);
	fake.pages[9].foreign = true;
	fails(fake_ptr(8), 2 * FAKE_PAGE, HMM_READ, -EOPNOTSUPP);
	CHECK(strstr(hmm_error(), "another userfaultfd"));
	fake.arm_error = -ENOMEM;
	fails(fake_ptr(0), 1, HMM_READ, -ENOMEM);
	fake.arm_error = 0;
	dev.fail_map = -EIO;
	fails(fake_ptr(0), 1, HMM_READ, -EIO);
	CHECK(dev.maps == 0);
	down();
}

/* A read-only mapping gives a read-only translation, and one that writes is refused. */
static void protection(void)
{
	struct hmm_translation t;

	up(only_pin, NULL);
	fake_map(&fake, 0, 4, HMM_READ, true);
	t = get(0, 4, HMM_READ);
	CHECK(dev.entries[t.key].mapping.access == HMM_READ);
	fails(fake_ptr(0), 1, HMM_WRITE, -EACCES);
	put(&t);
	down();
}

static void mode_is(unsigned int page, enum hmm_mode mode)
{
	struct hmm_translation t = get(page, 1, HMM_READ);

	CHECK(t.mode == mode);
	put(&t);
}

static void mode_choice(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr),
				       .modes = 1u << HMM_MODE_DIRECT};

	up(pin_first, NULL);
	fake_map(&fake, 0, 1, HMM_READ | HMM_WRITE, true);
	fake_map(&fake, 2, 1, HMM_READ | HMM_WRITE, false);
	fake_map(&fake, 4, 1, HMM_READ | HMM_WRITE, true);
	fake_map(&fake, 6, 1, HMM_READ | HMM_WRITE, true);
	fake.pages[6].unwatchable = true;
	mode_is(0, HMM_MODE_PIN);
	mode_is(2, HMM_MODE_DIRECT); /* not pinnable */
	mode_is(6, HMM_MODE_DIRECT); /* nobody would tell of a change */
	dev.refuse[HMM_MODE_PIN] = -EOPNOTSUPP;
	mode_is(4, HMM_MODE_DIRECT); /* the driver does not take it */
	dev.refuse[HMM_MODE_DIRECT] = -EOPNOTSUPP;
	fake_tell(&fake, CHANGE_GONE, 4, 1);
	mode_is(4, HMM_MODE_STAGE);
	dev.refuse[HMM_MODE_PIN] = dev.refuse[HMM_MODE_DIRECT] = 0;
	CHECK(!hmm_mirror_destroy(mirror));
	mirror = fake_mirror(&dev, &attr);
	mode_is(0, HMM_MODE_DIRECT); /* the mirror may use nothing else */
	down();
}

/* A device that faults by itself holds no page, so nothing has to be pinnable for it. */
static void fault_takes_what_cannot_be_pinned(void)
{
	static const int modes[] = {HMM_MODE_FAULT, HMM_MODE_PIN, HMM_MODE_STAGE, -1};

	up(modes, NULL);
	fake_map(&fake, 0, 1, HMM_READ | HMM_WRITE, false);
	fake_map(&fake, 2, 1, HMM_READ | HMM_WRITE, true);
	fake_map(&fake, 4, 1, HMM_READ | HMM_WRITE, false);
	fake.pages[4].special = true;
	mode_is(0, HMM_MODE_FAULT);
	mode_is(2, HMM_MODE_FAULT);
	mode_is(4, HMM_MODE_STAGE); /* I/O memory has no pages to fault in */
	dev.refuse[HMM_MODE_FAULT] = -EOPNOTSUPP;
	fake_tell(&fake, CHANGE_GONE, 0, 1);
	mode_is(0, HMM_MODE_STAGE); /* never by pinning it */
	down();
}

static void no_mode_left(void)
{
	up(only_pin, NULL);
	fake_map(&fake, 0, 1, HMM_READ, false);
	fails(fake_ptr(0), 1, HMM_READ, -EOPNOTSUPP);
	CHECK(strstr(hmm_error(), "[fake]") && strstr(hmm_error(), "a fake reason"));
	down();
}

/* Unwatched memory is never remembered: each translation is of its own. */
static void unwatched_is_not_cached(void)
{
	struct hmm_translation t;

	up(only_direct, NULL);
	fake_map(&fake, 0, 1, HMM_READ, true);
	fake.pages[0].unwatchable = true;
	for (unsigned int i = 1; i <= 3; i++) {
		t = get(0, 1, HMM_READ);
		CHECK(dev.maps == i);
		put(&t);
	}
	down();
}

static void granule(void)
{
	struct hmm_mirror_attr attr = {
		.size = sizeof(attr),
		.start = fake_addr(0),
		.end = fake_addr(300),
		.granule = 16 * FAKE_PAGE,
	};
	struct hmm_translation t;
	const struct hmm_mapping *m;
	uint64_t align = fake_addr(0) & ~(16 * FAKE_PAGE - 1);

	CHECK(align == fake_addr(0));
	up(only_pin, &attr);
	fake_map(&fake, 20, 100, HMM_READ, true);
	t = get(40, 1, HMM_READ);
	m = &dev.entries[t.key].mapping;
	CHECK(m->start == fake_addr(32) && m->end == fake_addr(48));
	put(&t);
	t = get(21, 1, HMM_READ); /* cut at the mapping's start */
	m = &dev.entries[t.key].mapping;
	CHECK(m->start == fake_addr(20) && m->end == fake_addr(32));
	put(&t);
	down();
}

/* The range changes while the driver maps it: the mapping is undone, the next one counts.
 */
static unsigned int changes_left;

static void change_inside_map(struct fake_device *d, const struct hmm_mapping *m)
{
	if (!changes_left)
		return;
	changes_left--;
	fake_unmap(d->fake, 0, 4);
	fake_map(d->fake, 0, 4, HMM_READ, true);
	fake_tell(d->fake, CHANGE_GONE, 0, 4);
}

static void collision(void)
{
	struct hmm_translation t;

	up(only_pin, NULL);
	fake_map(&fake, 0, 4, HMM_READ, true);
	dev.on_map = change_inside_map;
	changes_left = 5;
	t = get(0, 4, HMM_READ);
	CHECK(!changes_left && dev.maps == 6 && dev.releases == 5);
	CHECK(stats().collisions == 5 && hmm_translation_valid(&t));
	CHECK(fake_device_frame(&dev, &t, fake_ptr(3)) == fake_frame(&fake, 3));
	put(&t);
	/* A change of other memory is no collision. */
	changes_left = 0;
	down();
}

/* Hard rule 3: from the mark on, nobody gets a translation; wait_ms ends it. */
static void marked(void)
{
	struct hmm_translation t;

	up(only_pin, NULL);
	fake_map(&fake, 0, 4, HMM_READ, true);
	t = get(0, 4, HMM_READ);
	put(&t);
	change_mark(fake.hmm);
	fails(fake_ptr(0), 1, HMM_READ, -ETIMEDOUT);
	CHECK(change_unmark(fake.hmm, FAKE_PATIENCE_MS));
	t = get(0, 4, HMM_READ);
	put(&t);
	CHECK(dev.maps == 1);
	down();
}

static void interposed_change_holds_off(void)
{
	struct hmm_translation t, elsewhere;
	struct change change;

	up(only_pin, NULL);
	fake_map(&fake, 0, 20, HMM_READ, true);
	t = get(0, 4, HMM_READ);
	put(&t);
	change_begin(fake.hmm, &change, fake_addr(2), fake_addr(3));
	CHECK(dev.revokes == 1);
	fails(fake_ptr(0), 4 * FAKE_PAGE, HMM_READ, -ETIMEDOUT);
	elsewhere = get(10, 4, HMM_READ); /* others need not wait */
	put(&elsewhere);
	change_end(fake.hmm, &change);
	t = get(0, 4, HMM_READ);
	put(&t);
	CHECK(!hmm_invalidate(fake.hmm, fake_ptr(0), 1));
	CHECK(!hmm_translation_valid(&t));
	CHECK(hmm_invalidate(fake.hmm, fake_ptr(0), 0) == -EINVAL);
	down();
}

/* A change that raises no event: the poll word moves, a hit must notice. */
static void records(void)
{
	struct hmm_translation t;

	up(only_pin, NULL);
	fake_map(&fake, 0, 4, HMM_READ | HMM_WRITE, true);
	t = get(0, 4, HMM_WRITE);
	put(&t);
	fake_mprotect(&fake, 0, 4, HMM_READ);
	fails(fake_ptr(0), 1, HMM_WRITE, -EACCES);
	CHECK(dev.revokes == 1 && fake.drains == 1);
	t = get(0, 1, HMM_READ);
	CHECK(hmm_translation_valid(&t));
	fake_mprotect(&fake, 0, 4, HMM_READ | HMM_WRITE);
	CHECK(!hmm_translation_valid(&t)); /* asking for it drains, too */
	put(&t);
	down();
}

static void destroy_waits_for_holders(void)
{
	struct hmm_translation t;

	up(only_pin, NULL);
	fake_map(&fake, 0, 4, HMM_READ, true);
	t = get(0, 4, HMM_READ);
	CHECK(hmm_mirror_destroy(mirror) == -EBUSY && strlen(hmm_error()));
	CHECK(hmm_device_unregister(dev.device) == -EBUSY);
	fails(fake_ptr(0), 1, HMM_READ, -ESHUTDOWN);
	CHECK(!hmm_translation_valid(&t) && dev.releases == 0);
	put(&t);
	down();
}

static void one_mirror_a_device(void)
{
	struct hmm_mirror_attr bad = {.size = 3};
	struct hmm_mirror *second;

	up(only_pin, NULL);
	CHECK(hmm_mirror_create(dev.device, NULL, &second) == -EBUSY);
	CHECK(hmm_device_mirror(dev.device) == mirror);
	CHECK(!hmm_mirror_destroy(mirror));
	CHECK(!hmm_device_mirror(dev.device));
	CHECK(hmm_mirror_create(dev.device, &bad, &second) == -EINVAL);
	bad = (struct hmm_mirror_attr){.size = sizeof(bad), .granule = FAKE_PAGE * 3};
	CHECK(hmm_mirror_create(dev.device, &bad, &second) == -EINVAL);
	bad = (struct hmm_mirror_attr){.size = sizeof(bad), .start = 2, .end = 1};
	CHECK(hmm_mirror_create(dev.device, &bad, &second) == -EINVAL);
	mirror = fake_mirror(&dev, NULL);
	CHECK(!hmm_mirror_destroy(NULL));
	down();
}

static void two_mirrors(void)
{
	struct fake_device other;
	struct hmm_mirror *second;
	struct hmm_translation a, b;

	up(only_pin, NULL);
	fake_device_open(&fake, &other, only_direct);
	second = fake_mirror(&other, NULL);
	fake_map(&fake, 0, 4, HMM_READ, true);
	a = get(0, 4, HMM_READ);
	CHECK(!hmm_translate(second, fake_ptr(0), 1, HMM_READ, &b));
	CHECK(other.maps == 1 && dev.maps == 1 && b.mode == HMM_MODE_DIRECT);
	CHECK(fake_device_reaches(&dev, 0) && fake_device_reaches(&other, 0));
	fake_tell(&fake, CHANGE_GONE, 0, 1);
	CHECK(!fake_device_reaches(&dev, 0) && !fake_device_reaches(&other, 0));
	put(&a);
	CHECK(!hmm_translation_put(&b));
	fake_device_close(&other); /* its mirror goes with it */
	down();
}

static int driver_is(struct hmm_driver *driver)
{
	struct hmm_device *device;
	int err = hmm_device_register(fake.hmm, driver, NULL, &device);

	if (!err)
		CHECK(!hmm_device_unregister(device));
	else
		CHECK(*hmm_error());
	return err;
}

static void drivers_refused(void)
{
	struct hmm_driver driver;

	up(only_pin, NULL);
	driver = dev.driver;
	CHECK(driver_is(&driver) == 0);
	driver.abi++;
	CHECK(driver_is(&driver) == -EPROTO);
	driver = dev.driver;
	driver.license = "Proprietary";
	CHECK(driver_is(&driver) == -EPERM);
	driver.license = NULL;
	CHECK(driver_is(&driver) == -EPERM);
	driver = dev.driver;
	driver.size--;
	CHECK(driver_is(&driver) == -EINVAL);
	driver = dev.driver;
	driver.nr_modes = 0;
	CHECK(driver_is(&driver) == -EINVAL);
	driver = dev.driver;
	driver.modes[0] = (enum hmm_mode)9;
	CHECK(driver_is(&driver) == -EINVAL);
	CHECK(hmm_device_error(-EIO, "the %s burns", "device") == -EIO);
	CHECK(!strcmp(hmm_error(), "the device burns"));
	down();
}

int main(void)
{
	RUN(miss_then_hit);
	RUN(two_phases);
	RUN(key_not_reused_while_held);
	RUN(held_twice_put_by_two);
	RUN(only_what_overlaps_goes);
	RUN(errors);
	RUN(protection);
	RUN(mode_choice);
	RUN(fault_takes_what_cannot_be_pinned);
	RUN(no_mode_left);
	RUN(unwatched_is_not_cached);
	RUN(granule);
	RUN(collision);
	RUN(marked);
	RUN(interposed_change_holds_off);
	RUN(records);
	RUN(destroy_waits_for_holders);
	RUN(one_mirror_a_device);
	RUN(two_mirrors);
	RUN(drivers_refused);
	return 0;
}
