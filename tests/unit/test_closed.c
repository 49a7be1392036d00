// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * After the news of a removal: is nothing pinned before there is proof that it is over?
 * (hard rule 4)
 */
#include "fake.h"

#include <errno.h>
#include <time.h>

#include "core/core.h"

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;

static void up(const int *modes)
{
	fake_start(&fake, 0, 300);
	fake_device_open(&fake, &dev, modes);
	mirror = fake_mirror(&dev, NULL);
	fake_map(&fake, 0, FAKE_PAGES, HMM_READ | HMM_WRITE, true);
	fake.proof_off = true;
}

static void down(void)
{
	CHECK(!hmm_mirror_destroy(mirror));
	fake_device_close(&dev);
	fake_stop(&fake);
}

static enum hmm_mode mode(unsigned int page, unsigned int n)
{
	struct hmm_translation t;

	CHECK(!hmm_translate(mirror, fake_ptr(page), n * FAKE_PAGE, HMM_READ, &t));
	CHECK(!hmm_translation_put(&t));
	return t.mode;
}

static void drop_pages(unsigned int page, unsigned int n)
{
	pthread_mutex_lock(&fake.lock);
	for (unsigned int i = page; i < page + n; i++)
		fake.pages[i].frame = 0;
	pthread_mutex_unlock(&fake.lock);
}

static bool closed(unsigned int page, unsigned int n)
{
	bool yes;

	core_lock(fake.hmm);
	yes = closed_overlaps_locked(fake.hmm, fake_addr(page), fake_addr(page + n));
	core_unlock(fake.hmm);
	return yes;
}

/* proof by the thread that removed: it has left its system call */
static void until_the_changer_is_done(void)
{
	struct timespec while_ = {.tv_nsec = 30000000};

	up(pin_first);
	CHECK(mode(0, 4) == HMM_MODE_PIN);
	fake_tell(&fake, CHANGE_REMOVING, 0, 4);
	CHECK(!fake_device_reaches(&dev, 0));
	for (int i = 0; i < 3; i++) {
		CHECK(mode(0, 4) == HMM_MODE_DIRECT);
		nanosleep(&while_, NULL);
	}
	CHECK(mode(4, 4) == HMM_MODE_PIN); /* next to it */
	fake.proof_off = false;
	nanosleep(&while_, NULL);
	CHECK(mode(0, 4) == HMM_MODE_PIN);
	down();
}

/* proof by a page: it was there, it is gone, so the removal has passed it */
static void until_the_last_page_is_gone(void)
{
	up(pin_first);
	CHECK(mode(0, 8) == HMM_MODE_PIN);
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	CHECK(mode(0, 8) == HMM_MODE_DIRECT);
	drop_pages(0, 7);
	CHECK(closed(0, 8) && closed(0, 1)); /* the last one is still there */
	CHECK(mode(0, 8) == HMM_MODE_DIRECT);
	drop_pages(7, 1);
	CHECK(!closed(0, 8) && mode(0, 8) == HMM_MODE_PIN);
	CHECK(fake.presents);
	down();
}

/* A page that nobody had seen proves nothing by being absent. */
static void never_pinned_proves_nothing(void)
{
	up(pin_first);
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	CHECK(closed(0, 8) && mode(0, 8) == HMM_MODE_DIRECT);
	down();
}

/* Nor one that was absent when the removal was told, though a pin had covered it. */
static void gone_before_proves_nothing(void)
{
	up(pin_first);
	CHECK(mode(0, 8) == HMM_MODE_PIN);
	drop_pages(7, 1);
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	CHECK(closed(0, 8) && mode(0, 8) == HMM_MODE_DIRECT);
	down();
}

/* Nor one of a mapping that is just beginning to be watched: it may be another's place. */
static void just_armed_proves_nothing(void)
{
	up(pin_first);
	CHECK(mode(0, 8) == HMM_MODE_PIN);
	change_arm_begin(fake.hmm, fake_addr(7), fake_addr(8));
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	change_arm_end(fake.hmm);
	drop_pages(0, 8);
	CHECK(closed(0, 8));
	down();
}

/* Nor does one that lies below what the removal has yet to reach. */
static void opens_up_to_the_page_only(void)
{
	up(pin_first);
	CHECK(mode(0, 4) == HMM_MODE_PIN);
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	drop_pages(0, 4);
	CHECK(!closed(0, 4) && closed(4, 4) && closed(3, 2));
	CHECK(mode(0, 4) == HMM_MODE_PIN && mode(4, 4) == HMM_MODE_DIRECT);
	down();
}

/* Another change may have taken the page away: its absence is no proof any more. */
static void other_change_voids_the_proof(void)
{
	up(pin_first);
	CHECK(mode(0, 8) == HMM_MODE_PIN);
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	fake_unmap(&fake, 7, 1);
	fake_map(&fake, 7, 1, HMM_READ | HMM_WRITE, true);
	fake_tell(&fake, CHANGE_GONE, 7, 1);
	CHECK(closed(0, 7) && mode(0, 7) == HMM_MODE_DIRECT);
	down();
}

/* Its absence is no proof where it was unmapped, and the news of that is still unread. */
static void unread_change_is_no_proof(void)
{
	up(pin_first);
	CHECK(mode(0, 8) == HMM_MODE_PIN);
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	fake_unmap(&fake, 7, 1);
	CHECK(closed(0, 7));
	fake_map(&fake, 7, 1, HMM_READ | HMM_WRITE, true);
	CHECK(closed(0, 7));
	mode(7, 1); /* now it is watched, too */
	CHECK(fake.pages[7].armed && closed(0, 7) && mode(0, 7) == HMM_MODE_DIRECT);
	down();
}

static void cannot_tell_is_not_absent(void)
{
	up(pin_first);
	CHECK(mode(0, 8) == HMM_MODE_PIN);
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	drop_pages(0, 8);
	fake.present_error = -EIO;
	CHECK(closed(0, 8));
	fake.present_error = 0;
	CHECK(!closed(0, 8));
	down();
}

/* With nothing but pins to offer, the call waits, and says so when it gives up. */
static void nothing_but_pins(void)
{
	struct hmm_translation t;
	struct hmm_stats stats;

	up(only_pin);
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	CHECK(hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &t) == -ETIMEDOUT);
	CHECK(*hmm_error() && dev.maps == 0);
	fake.proof_off = false;
	CHECK(mode(0, 8) == HMM_MODE_PIN);
	CHECK(!hmm_stats_read(fake.hmm, mirror, &stats, sizeof(stats)) &&
	      stats.closed_fills == 0);
	down();
}

static void stage_while_closed(void)
{
	struct hmm_stats stats;

	up(pin_or_stage);
	fake_tell(&fake, CHANGE_REMOVING, 0, 8);
	CHECK(mode(0, 8) == HMM_MODE_STAGE);
	CHECK(!hmm_stats_read(fake.hmm, mirror, &stats, sizeof(stats)) &&
	      stats.closed_fills == 1);
	down();
}

/* More removals than can be remembered one by one: all is closed, none is forgotten. */
static void too_many(void)
{
	struct timespec while_ = {.tv_nsec = 30000000};

	up(pin_first);
	for (unsigned int i = 0; i < CLOSED_MAX + 10; i++)
		fake_tell(&fake, CHANGE_REMOVING, 2 * (i % 200), 1);
	for (unsigned int i = 0; i < 200; i++)
		CHECK(closed(2 * i, 1));
	CHECK(mode(0, 1) == HMM_MODE_DIRECT);
	fake.proof_off = false;
	nanosleep(&while_, NULL);
	CHECK(mode(0, 1) == HMM_MODE_PIN && !closed(0, FAKE_PAGES));
	down();
}

int main(void)
{
	RUN(until_the_changer_is_done);
	RUN(until_the_last_page_is_gone);
	RUN(never_pinned_proves_nothing);
	RUN(gone_before_proves_nothing);
	RUN(just_armed_proves_nothing);
	RUN(opens_up_to_the_page_only);
	RUN(other_change_voids_the_proof);
	RUN(unread_change_is_no_proof);
	RUN(cannot_tell_is_not_absent);
	RUN(nothing_but_pins);
	RUN(stage_while_closed);
	RUN(too_many);
	return 0;
}
