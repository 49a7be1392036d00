/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is the end of a removal believed only with proof?
 *
 * A thread is held inside madvise by an event that nobody reads: then the answer must be
 * no, whoever made the call, a thread or one of io_uring's workers.
 */
#include "linux/address_space.h"
#include "linux/kernel.h"
#include "../../kit/raw.h"

#include <errno.h>
#include <fcntl.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEN 65536

#define CHECK(what)                                                                    \
	do {                                                                           \
		if (!(what)) {                                                         \
			fprintf(stderr, "%s:%d: %s: failed: %m\n", __FILE__, __LINE__, \
				#what);                                                \
			exit(1);                                                       \
		}                                                                      \
	} while (0)

static struct tasks tasks;
static struct uffd uffd;
static _Atomic bool stop;
static bool perf = true; /* may be used */

static bool done_soon(void)
{
	for (int i = 0; i < 200; i++) {
		if (quiesce_changers_done(&tasks, perf))
			return true;
		usleep(5000);
	}
	return false;
}

static bool never_done(void)
{
	for (int i = 0; i < 30; i++) {
		if (quiesce_changers_done(&tasks, perf))
			return false;
		usleep(1000);
	}
	return true;
}

static char *make(void)
{
	char *p =
		mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	memset(p, 1, LEN);
	CHECK(uffd_register(&uffd, (uintptr_t)p, (uintptr_t)p + LEN) == 0);
	return p;
}

/* Wait until an event is there, then let it go. */
static void read_event(void)
{
	struct uffd_msg msg;

	while (read(uffd_fd(&uffd), &msg, sizeof(msg)) < 0)
		usleep(1000);
	CHECK(msg.event == UFFD_EVENT_REMOVE);
}

static void *sleeper(void *unused)
{
	pause();
	return NULL;
}

static void *spinner(void *unused)
{
	while (!stop)
		;
	return NULL;
}

static void *discard(void *p)
{
	CHECK(raw_call(SYS_madvise, p, LEN, MADV_DONTNEED) == 0);
	return NULL;
}

static void by_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, discard, make());
	usleep(50000);
	CHECK(never_done());
	read_event();
	pthread_join(thread, NULL);
	CHECK(done_soon());
}

#ifdef HAVE_LIBURING
static void by_worker(void)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	struct io_uring_sqe *sqe;

	if (io_uring_queue_init(4, &ring, 0) < 0) {
		printf("io_uring is not to be had: its workers are not tried\n");
		return;
	}
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_madvise(sqe, make(), LEN, MADV_DONTNEED);
	CHECK(io_uring_submit(&ring) == 1);
	usleep(50000);
	CHECK(never_done());
	read_event();
	CHECK(io_uring_wait_cqe(&ring, &cqe) == 0 && cqe->res == 0);
	io_uring_cqe_seen(&ring, cqe);
	CHECK(done_soon()); /* the worker idles */
	io_uring_queue_exit(&ring);
}
#endif

/* A thread that never sleeps is believed only where perf's clock can be put onto it. */
static void computing(void)
{
	struct perf_event_attr clock = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(clock),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 100000,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &clock, 0, -1, -1, 0);

	perf = false;
	CHECK(never_done());
	perf = true;
	if (fd < 0) {
		printf("perf is not to be had: threads that compute are not tried\n");
		CHECK(never_done());
		return;
	}
	close(fd);
	CHECK(done_soon());
	by_thread(); /* and the one that discards is found among them */
}

int main(void)
{
	const char *why;
	pthread_t thread;

	alarm(60);
	if (uffd_open(&uffd, &why)) {
		printf("skipped: %s\n", why);
		return 77;
	}
	if (uffd.none) {
		printf("skipped: nothing can be watched on this processor\n");
		return 77;
	}
	CHECK(tasks_init(&tasks) == 0);
	CHECK(quiesce_changers_done(&tasks, perf));
	pthread_create(&thread, NULL, sleeper, NULL);
	CHECK(done_soon());
	by_thread();
#ifdef HAVE_LIBURING
	by_worker();
#endif
	pthread_create(&thread, NULL, spinner, NULL);
	usleep(20000);
	computing();
	stop = true;
	pthread_join(thread, NULL);
	CHECK(done_soon());
	return 0;
}
