/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is every system call over that was removing pages when we began to ask?
 *
 * /proc/self/task/TID/syscall says which system call a thread sleeps in. A thread makes
 * one call at a time: one that is seen outside of madvise is not in the madvise of before.
 * "running" proves nothing, since it may be running inside of madvise; only the caller is
 * known to be here. A thread that stays so is asked in another way (usermode.c). The
 * workers of io_uring make such calls for others without having a number to show: they must
 * be seen idle.
 *
 * It takes proof to answer yes. No is always right, and means: ask again later.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>

#include "linux/address_space.h"
#include "sys/sys.h"

#define THREADS  128 /* that may be undecided; with more the answer is no */
#define PASSES   4
#define PAUSE_NS 20000

/* Calls that remove pages with an event before it, or during which a child that shares
 * this memory may do so. */
static bool removing(long nr)
{
	switch (nr) {
	case SYS_madvise:
	case SYS_process_madvise:
	case SYS_clone:
#ifdef SYS_vfork
	case SYS_vfork:
#endif
	case SYS_clone3:
		return true;
	default:
		return false;
	}
}

/* io_uring's threads carry these names from birth; nobody else gains by taking one. */
static bool idle_worker(struct tasks *tasks, const char *tid, bool *worker)
{
	char text[64];

	*worker = tasks_read(tasks, tid, "comm", text, sizeof(text)) > 0 &&
		  strncmp(text, "iou-", 4) == 0;
	if (!*worker)
		return false;
	/* Before Linux 6.4 they slept in a function of another name. */
	return tasks_read(tasks, tid, "wchan", text, sizeof(text)) > 0 &&
	       (strcmp(text, "io_wq_worker") == 0 || strcmp(text, "io_wqe_worker") == 0 ||
		strcmp(text, "io_sq_thread") == 0);
}

static bool decided(struct tasks *tasks, const char *tid, int self)
{
	char text[160];
	bool worker, idle;
	long got;

	if (atoi(tid) == self)
		return true;
	got = tasks_read(tasks, tid, "syscall", text, sizeof(text));
	if (got <= 0)
		return got == 0;
	if (strncmp(text, "running", 7) == 0)
		return false;
	idle = idle_worker(tasks, tid, &worker);
	return worker ? idle : !removing(strtol(text, NULL, 10));
}

struct undecided {
	struct tasks *tasks;
	int self, nr;
	char tids[THREADS][12];
};

static int first_look(void *arg, const char *tid)
{
	struct undecided *undecided = arg;

	if (decided(undecided->tasks, tid, undecided->self))
		return 0;
	if (undecided->nr == THREADS || strlen(tid) >= sizeof(undecided->tids[0]))
		return -E2BIG;
	memcpy(undecided->tids[undecided->nr++], tid, strlen(tid) + 1);
	return 0;
}

static void look_again(struct undecided *undecided)
{
	int left = 0;

	for (int i = 0; i < undecided->nr; i++)
		if (!decided(undecided->tasks, undecided->tids[i], undecided->self))
			memmove(undecided->tids[left++], undecided->tids[i],
				sizeof(undecided->tids[i]));
	undecided->nr = left;
}

/* Ends of threads show as a thread that cannot be asked: the next time they are gone. */
static bool busy_ones_done(const struct undecided *undecided)
{
	int tids[USERMODE_THREADS];

	if (undecided->nr > USERMODE_THREADS)
		return false;
	for (int i = 0; i < undecided->nr; i++)
		tids[i] = atoi(undecided->tids[i]);
	return usermode_seen(tids, undecided->nr);
}

bool quiesce_changers_done(struct tasks *tasks, bool perf)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct undecided undecided = {.tasks = tasks, .self = sys_gettid()};

	if (tasks_each(tasks, first_look, &undecided) < 0)
		return false;
	for (int pass = 1; undecided.nr && pass < PASSES; pass++) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		look_again(&undecided);
	}
	return !undecided.nr || (perf && busy_ones_done(&undecided));
}
