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
		      const struct samples *limit, const char *limit_name,
		      const struct samples *peer)
{
	struct row *row = row_add(bench, "unmap", "us", "%s", what);

	row_compare(row, ours, limit, limit_name, peer, "ucs_rcache");
	aim_most(row, 2, median_difference(ours, limit), "at most 2 us beyond the limit");
}

static void ratio_row(struct bench *bench, const char *what, const struct samples *ours,
		      const struct samples *limit, const char *limit_name,
		      const struct samples *peer, double aim, const char *text)
{
	struct row *row = row_add(bench, "unmap", "us", "%s", what);

	row_compare(row, ours, limit, limit_name, peer, "ucs_rcache");
	aim_most(row, aim, row->of_limit, text);
}

/* One sample of each a round. */
struct found {
	struct samples plain, interposed, event, bare_event, unmirrored, block, plain_block;
	struct samples peer, peer_unmirrored;
};

static void one_round(struct found *f, struct hmm_mirror *mirror, struct bare *bare,
		      struct peer *peer, unsigned int count)
{
	sample(&f->plain, unmap_us(NULL, RAW, count));
	sample(&f->unmirrored, unmap_us(NULL, LIBC, count));
	sample(&f->interposed, unmap_us(mirror, LIBC, count));
	sample(&f->plain_block, free_us(NULL, count));
	sample(&f->block, free_us(mirror, count));
	if (peer) {
		sample(&f->peer_unmirrored, peer_ask(peer, "unmap 1 %u", count));
		sample(&f->peer, peer_ask(peer, "unmap 2 %u", count));
	}
	if (!bare)
		return;
	sample(&f->event, unmap_us(mirror, RAW, count / 4));
	sample(&f->bare_event, bare_us(bare, count / 4));
}

static void add_rows(struct bench *bench, const struct found *f, bool peer)
{
	extra_row(bench, "munmap of a mirrored 64 KiB region, interposed", &f->interposed,
		  &f->plain, "raw munmap", peer ? &f->peer : NULL);
	extra_row(bench, "free of a mirrored 1 MiB malloc block", &f->block,
		  &f->plain_block, "free, not mirrored", NULL);
	ratio_row(bench, "munmap of memory that is not mirrored", &f->unmirrored, &f->plain,
		  "raw munmap", peer ? &f->peer_unmirrored : NULL, 1.02,
		  "within 2 % of the limit");
	if (f->event.count)
		ratio_row(bench, "munmap of a mirrored 64 KiB region, by event", &f->event,
			  &f->bare_event, "bare userfaultfd", NULL, 1.1,
			  "at most 1.1 of the limit");
}

void bench_unmap(struct bench *bench)
{
	unsigned int count = bench->quick ? 100 : 700;
	struct peer *peer = peer_start("hmm-bench-ucx");
	struct found found = {0};
	struct null_device *null;
	struct bare bare;
	struct hmm *hmm;

	/* A block that the heap has no room for is mapped by itself, and unmapped by free.
	 */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	malloc_trim(0);
	check_hmm(hmm_open(NULL, &hmm), "hmm_open");
	null = null_open(hmm, HMM_MODE_PIN);
	bool events_here = bare_open(&bare);

	for (unsigned int i = 0; i < bench->runs * ROUNDS_A_RUN; i++)
		one_round(&found, null_mirror(null), events_here ? &bare : NULL, peer,
			  count);
	add_rows(bench, &found, peer != NULL);
	if (events_here)
		bare_close(&bare);
	null_close(null);
	hmm_close(hmm);
	peer_stop(peer);
}
