/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Has a thread that never sleeps run its own code since we began to ask?
 *
 * Then the system call that it may have been in at that time is over. A clock of perf is
 * put onto the thread, which ticks while the thread runs and writes a record only where it
 * finds it in user mode. A thread that another one keeps from the processor gives no record
 * in the time that there is: that is no proof, and whoever wants one asks again later.
 */
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <time.h>

#include "linux/address_space.h"
#include "sys/sys.h"
#include "util/arena.h"

#define PERIOD_NS 20000
#define PAUSE_NS  50000
#define PAUSES    40

struct clock {
	int fd;
	struct perf_event_mmap_page *page; /* and one of records after it */
};

static size_t ring_size(void)
{
	return 2 * page_size();
}

static bool clock_open(struct clock *clock, int tid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD_NS,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	void *page;

	clock->fd = sys_perf_event_open(&attr, tid, -1);
	if (clock->fd < 0)
		return false;
	if (sys_mmap(&page, ring_size(), PROT_READ | PROT_WRITE, MAP_SHARED, clock->fd)) {
		sys_close(clock->fd);
		return false;
	}
	clock->page = page;
	return true;
}

static void clock_close(struct clock *clock)
{
	sys_munmap(clock->page, ring_size());
	sys_close(clock->fd);
}

static bool ticked(const struct clock *clock)
{
	return __atomic_load_n(&clock->page->data_head, __ATOMIC_ACQUIRE) != 0;
}

static bool all_ticked(const struct clock *clocks, int nr)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	for (int i = 0; i < PAUSES; i++) {
		while (nr && ticked(&clocks[nr - 1]))
			nr--;
		if (!nr)
			return true;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return false;
}

bool usermode_seen(const int *tids, int nr)
{
	struct clock clocks[USERMODE_THREADS];
	bool seen = nr <= USERMODE_THREADS;
	int opened = 0;

	while (seen && opened < nr) {
		seen = clock_open(&clocks[opened], tids[opened]);
		opened += seen;
	}
	seen = seen && all_ticked(clocks, nr);
	while (opened)
		clock_close(&clocks[--opened]);
	return seen;
}
