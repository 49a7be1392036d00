/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does it cost to unmap memory: mirrored or not, seen by an interposed call or by an
 * event?
 *
 * 64 KiB are mapped, written, perhaps translated; the unmapping alone is timed. Limits:
 * the raw system call on memory that is not mirrored; for events, a bare userfaultfd with
 * a thread that polls and reads and does nothing else.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <math.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "../kit/raw.h"

#define REGION (64ull << 10)
#define BLOCK  (1ull << 20) /* of malloc: above its mmap threshold */

enum how { RAW, LIBC };

static char *map_region(void)
{
	char *p = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	if (p == MAP_FAILED)
		die("cannot map 64 KiB");
	memset(p, 1, REGION);
	return p;
}

static void touch_by_device(struct hmm_mirror *mirror, void *p, size_t len)
{
	struct hmm_translation t;

	check_hmm(hmm_translate(mirror, p, len, HMM_READ | HMM_WRITE, &t), "translate");
	hmm_translation_put(&t);
}

static double unmap_us(struct hmm_mirror *mirror, enum how how, unsigned int count)
{
	double ns = 0;

	for (unsigned int i = 0; i < count; i++) {
		char *p = map_region();

		if (mirror)
			touch_by_device(mirror, p, REGION);
		double start = now_ns();

		if (how == RAW)
			raw_call(SYS_munmap, p, REGION);
		else
			munmap(p, REGION);
		ns += now_ns() - start;
	}
	return ns / count / 1000;
}

static double free_us(struct hmm_mirror *mirror, unsigned int count)
{
	double ns = 0;

	for (unsigned int i = 0; i < count; i++) {
		char *p = malloc(BLOCK);

		if (!p)
			die("out of memory");
		memset(p, 1, REGION);
		if (mirror)
			touch_by_device(mirror, p, REGION);
		double start = now_ns();

		free(p);
		ns += now_ns() - start;
	}
	return ns / count / 1000;
}

/* ---- the bare userfaultfd ------------------------------------------------------- */

struct bare {
	int fd, stop[2];
	pthread_t thread;
};

static void *bare_reader(void *arg)
{
	struct bare *bare = arg;
	struct pollfd fds[2] = {{.fd = bare->fd, .events = POLLIN},
				{.fd = bare->stop[0], .events = POLLIN}};
	struct uffd_msg message[8];

	for (;;) {
		poll(fds, 2, -1);
		if (fds[1].revents)
			return NULL;
		if (read(bare->fd, message, sizeof(message)) < 0)
			continue;
	}
}

static bool bare_open(struct bare *bare)
{
	struct uffdio_api api = {.api = UFFD_API,
				 .features = UFFD_FEATURE_EVENT_UNMAP |
					     UFFD_FEATURE_EVENT_REMAP |
					     UFFD_FEATURE_EVENT_REMOVE};

	bare->fd =
		(int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (bare->fd < 0)
		return false;
	if (ioctl(bare->fd, UFFDIO_API, &api) || pipe(bare->stop) ||
	    pthread_create(&bare->thread, NULL, bare_reader, bare))
		die("a bare userfaultfd does not work here");
	return true;
}

static void bare_close(struct bare *bare)
{
	if (write(bare->stop[1], "", 1) != 1)
		die("cannot stop the reader");
	pthread_join(bare->thread, NULL);
	close(bare->fd);
	close(bare->stop[0]);
	close(bare->stop[1]);
}

static double bare_us(struct bare *bare, unsigned int count)
{
	double ns = 0;

	for (unsigned int i = 0; i < count; i++) {
		char *p = map_region();
		struct uffdio_register reg = {.range = {(uintptr_t)p, REGION},
					      .mode = UFFDIO_REGISTER_MODE_WP};

		if (ioctl(bare->fd, UFFDIO_REGISTER, &reg))
			die("UFFDIO_REGISTER failed");
		double start = now_ns();

		raw_call(SYS_munmap, p, REGION);
		ns += now_ns() - start;
	}
	return ns / count / 1000;
}

/* ---- the rows ------------------------------------------------------------------- */

static void aim_most(struct row *row, double aim, double value, const char *text)
{
	row->aim = aim;
	row->aim_value = value;
	row->aim_text = text;
}

static void extra_row(struct bench *bench, const char *what, const struct samples *ours,
		      const struct samples *limit, const char *limit_name, double peer)
{
	struct row *row = row_add(bench, "unmap", "us", "%s", what);

	row->ours = median(ours);
	row->limit = median(limit);
	row->limit_name = limit_name;
	row->peer = peer;
	row->peer_name = "ucs_rcache";
	aim_most(row, 2, row->ours - row->limit, "at most 2 us beyond the limit");
}

static void ratio_row(struct bench *bench, const char *what, const struct samples *ours,
		      const struct samples *limit, const char *limit_name, double peer,
		      double aim, const char *text)
{
	struct row *row = row_add(bench, "unmap", "us", "%s", what);

	row->ours = median(ours);
	row->limit = median(limit);
	row->limit_name = limit_name;
	row->peer = peer;
	row->peer_name = "ucs_rcache";
	aim_most(row, aim, row->ours / row->limit, text);
}

void bench_unmap(struct bench *bench)
{
	unsigned int count = bench->quick ? 200 : 2000, events = count / 4;
	struct samples plain = {0}, interposed = {0}, event = {0}, bare_event = {0};
	struct samples unmirrored = {0}, block = {0}, plain_block = {0};
	struct null_device *null;
	struct hmm_mirror *mirror;
	struct bare bare;
	struct hmm *hmm;
	char *peer =
		peer_output("hmm-bench-ucx", bench->quick ? "unmap 200 3" : "unmap 2000 9");

	/* A block that the heap has no room for is mapped by itself, and unmapped by free.
	 */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	malloc_trim(0);
	check_hmm(hmm_open(NULL, &hmm), "hmm_open");
	null = null_open(hmm, HMM_MODE_PIN);
	mirror = null_mirror(null);
	bool events_here = bare_open(&bare);

	for (unsigned int i = 0; i < bench->runs; i++) {
		sample(&plain, unmap_us(NULL, RAW, count));
		sample(&unmirrored, unmap_us(NULL, LIBC, count));
		sample(&interposed, unmap_us(mirror, LIBC, count));
		sample(&plain_block, free_us(NULL, count));
		sample(&block, free_us(mirror, count));
		if (!events_here)
			continue;
		sample(&event, unmap_us(mirror, RAW, events));
		sample(&bare_event, bare_us(&bare, events));
	}
	extra_row(bench, "munmap of a mirrored 64 KiB region, interposed", &interposed,
		  &plain, "raw munmap", peer_value(peer, "unmap registered "));
	extra_row(bench, "free of a mirrored 1 MiB malloc block", &block, &plain_block,
		  "free, not mirrored", NAN);
	ratio_row(bench, "munmap of memory that is not mirrored", &unmirrored, &plain,
		  "raw munmap", peer_value(peer, "unmap unregistered "), 1.02,
		  "within 2 % of the limit");
	if (events_here)
		ratio_row(bench, "munmap of a mirrored 64 KiB region, by event", &event,
			  &bare_event, "bare userfaultfd", NAN, 1.1,
			  "at most 1.1 of the limit");
	if (events_here)
		bare_close(&bare);
	null_close(null);
	hmm_close(hmm);
	free(peer);
}
