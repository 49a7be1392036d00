// SPDX-License-Identifier: LGPL-2.1-or-later
/* Is who looks at a range told when it changed? (Y6) And what does a look find? */
#include "fake.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define PAGES 16u

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;
static uint64_t pfns[PAGES];
static struct hmm_translation dma[PAGES];
static uint64_t dma_len[sizeof(dma) / sizeof(dma[0])];
static struct hmm_range range;

static void up(void)
{
	fake_start(&fake, 100, 200);
	fake_device_open(&fake, &dev, pin_first);
	mirror = fake_mirror(&dev, NULL);
	fake_map(&fake, 0, 8, HMM_READ | HMM_WRITE, true);
	fake_map(&fake, 8, 4, HMM_READ, true);
	memset(pfns, 0, sizeof(pfns));
	range = (struct hmm_range){
		.size = sizeof(struct hmm_range),
		.mirror = mirror,
		.start = fake_addr(0),
		.end = fake_addr(PAGES),
		.pfns = pfns,
		.dma = dma,
		.dma_len = dma_len,
		.dma_max = PAGES,
	};
}

static void down(void)
{
	CHECK(!hmm_mirror_destroy(mirror));
	fake_device_close(&dev);
	fake_stop(&fake);
}

static void snapshot_changes_nothing(void)
{
	up();
	pthread_mutex_lock(&fake.lock);
	fake.pages[1].frame = fake.pages[9].frame = ++fake.next_frame;
	pthread_mutex_unlock(&fake.lock);
	CHECK(!hmm_range_begin(&range) && !hmm_range_snapshot(&range));
	CHECK(pfns[0] == 0 && pfns[1] == (HMM_PFN_VALID | HMM_PFN_WRITE));
	CHECK(pfns[9] == HMM_PFN_VALID && pfns[12] == HMM_PFN_ERROR);
	CHECK(!hmm_range_retry(&range) && fake_frame(&fake, 0) == 0);
	CHECK(fake.pages[0].armed && fake.pages[11].armed);
	down();
}

static void fault_by_flags_and_mask(void)
{
	up();
	range.end = fake_addr(8);
	pfns[2] = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
	pfns[5] = HMM_PFN_REQ_FAULT;
	range.pfn_flags_mask = 0; /* what the entries ask does not count */
	CHECK(!hmm_range_begin(&range) && !hmm_range_fault(&range));
	CHECK(!fake.populates && !pfns[2]);
	pfns[2] = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
	pfns[5] = HMM_PFN_REQ_FAULT;
	range.pfn_flags_mask = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
	CHECK(!hmm_range_fault(&range));
	CHECK(fake_frame(&fake, 2) && fake_frame(&fake, 5) && !fake_frame(&fake, 3));
	CHECK(pfns[2] & HMM_PFN_VALID && !(pfns[3] & HMM_PFN_VALID));
	range.default_flags = HMM_PFN_REQ_FAULT;
	CHECK(!hmm_range_fault(&range));
	for (unsigned int i = 0; i < 8; i++)
		CHECK(fake_frame(&fake, i) && pfns[i] & HMM_PFN_VALID);
	down();
}

static void fault_says_why_not(void)
{
	up();
	range.default_flags = HMM_PFN_REQ_FAULT;
	CHECK(!hmm_range_begin(&range));
	CHECK(hmm_range_fault(&range) == -EFAULT && *hmm_error());
	range.end = fake_addr(12);
	CHECK(!hmm_range_fault(&range));
	range.default_flags |= HMM_PFN_REQ_WRITE;
	CHECK(hmm_range_fault(&range) == -EACCES && *hmm_error());
	fake.populate_error = -EHWPOISON;
	CHECK(hmm_range_fault(&range) == -EHWPOISON);
	fake.populate_error = 0;
	/* Why it failed is not told when the range changed meanwhile: begin again. */
	fake_tell(&fake, CHANGE_GONE, 0, 1);
	CHECK(hmm_range_fault(&range) == -EBUSY);
	down();
}

/* As the address-space side does, which waits for events on their way before it answers. */
static void tell_of_the_hole(struct fake *f)
{
	fake_tell(f, CHANGE_GONE, 0, 1);
}

/* A hole for a moment looks like a lack of memory, and the news of it may be on its way. */
static void failure_waits_for_the_news(void)
{
	up();
	range.end = fake_addr(8);
	range.default_flags = HMM_PFN_REQ_FAULT;
	CHECK(!hmm_range_begin(&range));
	fake.populate_error = -ENOMEM;
	fake.on_look = tell_of_the_hole;
	CHECK(hmm_range_fault(&range) == -EBUSY);
	CHECK(!hmm_range_begin(&range) && hmm_range_fault(&range) == -ENOMEM);
	down();
}

/* What is unmapped behind our back, and mapped anew: nobody watches it. */
static void replace_what_was_armed(struct fake *f)
{
	CHECK(f->pages[1].armed);
	f->pages[1].armed = false;
	fake_tell(f, CHANGE_GONE, 1, 1);
}

static void at_the_next_look(struct fake *f)
{
	f->on_look = replace_what_was_armed;
}

/* Begun, and not all of it watched: then it has changed, or nobody would ever tell. */
static void changed_while_it_began(void)
{
	up();
	fake.on_look = at_the_next_look; /* the second mapping's: the first is armed then */
	CHECK(!hmm_range_begin(&range));
	CHECK(!fake.on_look && !fake.pages[1].armed && hmm_range_retry(&range));
	CHECK(!hmm_range_begin(&range));
	CHECK(fake.pages[1].armed && !hmm_range_retry(&range));
	down();
}

static void told_of_its_own_changes_only(void)
{
	up();
	range.end = fake_addr(4);
	CHECK(!hmm_range_begin(&range));
	fake_tell(&fake, CHANGE_GONE, 4, 4);
	fake_tell(&fake, CHANGE_REMOVING, 100, 4);
	CHECK(!hmm_range_retry(&range) && !hmm_range_snapshot(&range));
	fake_tell(&fake, CHANGE_REMOVING, 3, 2);
	CHECK(hmm_range_retry(&range) && hmm_range_snapshot(&range) == -EBUSY);
	CHECK(hmm_range_retry(&range)); /* it stays so until begun again */
	CHECK(!hmm_range_begin(&range) && !hmm_range_retry(&range));
	fake_mprotect(&fake, 0, 1, HMM_READ); /* one without event */
	CHECK(hmm_range_retry(&range));
	down();
}

/* More changes than are remembered: it says that it changed, right or wrong. */
static void overrun(void)
{
	up();
	range.end = fake_addr(4);
	CHECK(!hmm_range_begin(&range));
	for (int i = 0; i < 4000; i++)
		fake_tell(&fake, CHANGE_GONE, 100, 1);
	CHECK(!hmm_range_retry(&range));
	for (int i = 0; i < 200; i++)
		fake_tell(&fake, CHANGE_GONE, 100, 1);
	CHECK(hmm_range_retry(&range));
	CHECK(!hmm_range_begin(&range) && !hmm_range_retry(&range));
	down();
}

static uint64_t ms_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void *end_the_change(void *arg)
{
	struct timespec soon = {.tv_nsec = 50000000};

	nanosleep(&soon, NULL);
	change_end(fake.hmm, arg);
	return NULL;
}

static void waits_with_an_end(void)
{
	struct change change, other;
	uint64_t began;
	pthread_t thread;

	up();
	range.end = fake_addr(4);
	CHECK(!hmm_range_wait(&range, 0));
	change_begin(fake.hmm, &other, fake_addr(100), fake_addr(101));
	CHECK(!hmm_range_wait(&range, 0) && !hmm_range_begin(&range));
	change_begin(fake.hmm, &change, fake_addr(3), fake_addr(5));
	began = ms_now();
	CHECK(hmm_range_wait(&range, 30) == -ETIMEDOUT && *hmm_error());
	CHECK(ms_now() - began >= 30);
	CHECK(hmm_range_begin(&range) == -ETIMEDOUT);
	CHECK(hmm_range_retry(&range));
	CHECK(!pthread_create(&thread, NULL, end_the_change, &change));
	CHECK(!hmm_range_wait(&range, 10000) && !hmm_range_begin(&range));
	pthread_join(thread, NULL);
	change_end(fake.hmm, &other);
	down();
}

static void dma_map_and_unmap(void)
{
	struct hmm_stats stats;

	up();
	range.end = fake_addr(12);
	CHECK(!hmm_range_begin(&range) && !hmm_range_dma_map(&range, HMM_READ));
	CHECK(range.dma_count == 2); /* one a mapping */
	CHECK(dma_len[0] + dma_len[1] == range.end - range.start);
	for (uint32_t i = 0; i < range.dma_count; i++)
		CHECK(hmm_translation_valid(&dma[i]));
	CHECK(!hmm_range_retry(&range));
	CHECK(!hmm_range_dma_unmap(&range) && range.dma_count == 0);
	CHECK(hmm_range_dma_map(&range, HMM_WRITE) == -EACCES && range.dma_count == 0);
	range.dma_max = 1;
	CHECK(hmm_range_dma_map(&range, HMM_READ) == -ENOSPC && range.dma_count == 0);
	range.dma_max = PAGES;
	range.end = fake_addr(13);
	CHECK(hmm_range_dma_map(&range, HMM_READ) == -EFAULT);
	range.end = fake_addr(12);
	fake_tell(&fake, CHANGE_GONE, 0, 1);
	CHECK(hmm_range_dma_map(&range, HMM_READ) == -EBUSY && range.dma_count == 0);
	CHECK(!hmm_quiesce(fake.hmm, 1000)); /* so nothing is held */
	CHECK(!hmm_stats_read(fake.hmm, mirror, &stats, sizeof(stats)) &&
	      stats.revoking == 0);
	down();
}

static void begin_is(uint64_t start, uint64_t end, int err)
{
	struct hmm_range r = {.size = sizeof(struct hmm_range),
			      .mirror = mirror,
			      .start = start,
			      .end = end};

	CHECK(hmm_range_begin(&r) == err && *hmm_error());
	CHECK(hmm_range_wait(&r, 0) == err);
	CHECK(hmm_range_retry(&r));
}

static void errors(void)
{
	struct hmm_mirror_attr attr = {
		.size = sizeof(attr),
		.start = fake_addr(1),
		.end = fake_addr(8),
	};

	up();
	CHECK(!hmm_mirror_destroy(mirror));
	range.mirror = mirror = fake_mirror(&dev, &attr);
	begin_is(fake_addr(2) + 1, fake_addr(3), -EINVAL);
	begin_is(fake_addr(3), fake_addr(3), -EINVAL);
	begin_is(fake_addr(0), fake_addr(3), -ERANGE);
	begin_is(fake_addr(7), fake_addr(9), -ERANGE);
	CHECK(hmm_range_begin(NULL) == -EINVAL);
	range.start = fake_addr(1);
	range.end = fake_addr(3);
	range.pfns = NULL;
	CHECK(hmm_range_snapshot(&range) == -EINVAL && hmm_range_fault(&range) == -EINVAL);
	range.dma = NULL;
	CHECK(hmm_range_dma_map(&range, HMM_READ) == -EINVAL);
	fake.pages[1].foreign = true;
	CHECK(hmm_range_begin(&range) == -EBUSY);
	fake.pages[1].foreign = false;
	fake.pages[1].unwatchable = true;
	CHECK(hmm_range_begin(&range) == -EOPNOTSUPP); /* nobody would tell */
	down();
}

int main(void)
{
	RUN(snapshot_changes_nothing);
	RUN(fault_by_flags_and_mask);
	RUN(fault_says_why_not);
	RUN(failure_waits_for_the_news);
	RUN(changed_while_it_began);
	RUN(told_of_its_own_changes_only);
	RUN(overrun);
	RUN(waits_with_an_end);
	RUN(dma_map_and_unmap);
	RUN(errors);
	return 0;
}
