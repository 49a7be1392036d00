/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does io_uring cost through a mirror, beside buffers that are registered once and
 * beside plain operations?
 *
 * A file of 256 MiB is read in random order, DEPTH reads in flight, into as many buffers;
 * buffered (from the page cache) and with O_DIRECT. The three ways take turns in short
 * rounds; what is compared is the median of the rounds' ratios. "Registered once" is what a
 * program does that never changes its memory: the limit.
 *
 * Then the cases in which fixed buffers cannot be had for all, with all that asks for them
 * (HMM_URING_PIN_ALL): beside plain operations, which need none.
 */
#include <errno.h>
#include <fcntl.h>
#include <hmm/uring.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define FILE_SIZE (256ull << 20)
#define DEPTH     16

enum way { MIRROR, ONCE, PLAIN, WAYS };

struct setup {
	struct io_uring rings[WAYS];
	struct hmm_uring *uring;
	struct hmm_mirror *mirror;
	char *buffers;
	int fd;
	unsigned int size, nr_buffers;
	uint32_t seed;
};

static uint64_t random_offset(struct setup *s)
{
	s->seed = s->seed * 1664525u + 1013904223u;
	return ((uint64_t)(s->seed >> 4) * (FILE_SIZE / s->size) >> 28) * s->size;
}

static void prepare(struct setup *s, enum way way, unsigned int buffer)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->rings[way]);
	char *p = s->buffers + (size_t)buffer * s->size;

	if (!sqe)
		die("the ring is full");
	if (way == MIRROR)
		hmm_uring_prep_read(s->uring, sqe, s->fd, p, s->size, random_offset(s));
	else if (way == ONCE)
		io_uring_prep_read_fixed(sqe, s->fd, p, s->size, random_offset(s),
					 (int)buffer);
	else
		io_uring_prep_read(sqe, s->fd, p, s->size, random_offset(s));
	io_uring_sqe_set_data64(sqe, buffer);
}

static unsigned int reap(struct setup *s, enum way way)
{
	struct io_uring_cqe *cqe;
	unsigned int buffer;
	int err = way == MIRROR ? hmm_uring_wait_cqe(s->uring, &cqe)
				: io_uring_wait_cqe(&s->rings[way], &cqe);

	if (err || cqe->res != (int)s->size)
		die("a read failed: %s", strerror(err            ? -err
						  : cqe->res < 0 ? -cqe->res
								 : EIO));
	buffer = (unsigned int)cqe->user_data;
	if (way == MIRROR)
		hmm_uring_cqe_seen(s->uring, cqe);
	else
		io_uring_cqe_seen(&s->rings[way], cqe);
	return buffer;
}

static void submit(struct setup *s, enum way way)
{
	int n = way == MIRROR ? hmm_uring_submit(s->uring)
			      : io_uring_submit(&s->rings[way]);

	if (n < 0)
		die("submit: %s", strerror(-n));
}

/* GB/s of @count reads. */
static double run(struct setup *s, enum way way, unsigned int count)
{
	unsigned int started = 0, done = 0;
	double start = now_ns();

	for (; started < DEPTH && started < count; started++)
		prepare(s, way, started);
	submit(s, way);
	for (; done < count; done++) {
		unsigned int buffer = reap(s, way);

		if (started == count)
			continue;
		if (s->nr_buffers > DEPTH)
			buffer = (unsigned int)(random_offset(s) / s->size % s->nr_buffers);
		prepare(s, way, buffer);
		submit(s, way);
		started++;
	}
	return (double)count * s->size / (now_ns() - start);
}

static void rings_open(struct setup *s, struct hmm *hmm, const struct hmm_uring_attr *attr,
		       const struct hmm_mirror_attr *mattr)
{
	static struct iovec iov[4096];

	s->buffers = mmap(NULL, (size_t)s->nr_buffers * s->size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->buffers == MAP_FAILED)
		die("no memory for buffers");
	memset(s->buffers, 1, (size_t)s->nr_buffers * s->size);
	for (int way = 0; way < WAYS; way++)
		if (io_uring_queue_init(2 * DEPTH, &s->rings[way], 0))
			die("no io_uring here");
	for (unsigned int i = 0; i < s->nr_buffers; i++)
		iov[i] = (struct iovec){s->buffers + (size_t)i * s->size, s->size};
	if (io_uring_register_buffers(&s->rings[ONCE], iov, s->nr_buffers))
		die("cannot register buffers: raise RLIMIT_MEMLOCK");
	check_hmm(hmm_uring_open(hmm, &s->rings[MIRROR], attr, &s->uring),
		  "hmm_uring_open");
	check_hmm(hmm_mirror_create(hmm_uring_device(s->uring), mattr, &s->mirror),
		  "mirror");
}

static void rings_close(struct setup *s)
{
	check_hmm(hmm_uring_close(s->uring), "hmm_uring_close");
	for (int way = 0; way < WAYS; way++)
		io_uring_queue_exit(&s->rings[way]);
	munmap(s->buffers, (size_t)s->nr_buffers * s->size);
}

#define ROUNDS 5 /* of each of bench->runs */

/* @ratio: ours to @beside's, of each round. */
static void take_turns(struct setup *s, struct bench *bench, unsigned int count,
		       struct samples samples[WAYS], enum way beside, struct samples *ratio)
{
	for (int way = 0; way < WAYS; way++)
		run(s, (enum way)way, count / 8 + 1);
	for (unsigned int i = 0; i < bench->runs * ROUNDS; i++) {
		double speed[WAYS];

		for (int k = 0; k < WAYS; k++) {
			enum way way = (enum way)((k + (int)i) % WAYS);

			speed[way] = run(s, way, count / ROUNDS + 1);
			sample(&samples[way], speed[way]);
		}
		sample(ratio, speed[MIRROR] / speed[beside]);
	}
}

static void tell(struct row *row, const struct samples samples[WAYS],
		 const struct samples *ratio)
{
	row->ours = median(&samples[MIRROR]);
	row->peer = median(&samples[PLAIN]);
	row->peer_name = "plain io_uring";
	row->aim_at_least = true;
	row->aim_value = median(ratio);
}

static void one_size(struct bench *bench, struct hmm *hmm, int fd, unsigned int size,
		     const char *kind)
{
	struct setup s = {.fd = fd, .size = size, .nr_buffers = DEPTH, .seed = 1};
	struct samples samples[WAYS] = {0}, ratio = {0};
	uint64_t bytes = bench->quick ? 32ull << 20 : 512ull << 20;
	unsigned int count = (unsigned int)(bytes / size);
	struct row *row;

	/* Small reads cost by the read, not by the byte. */
	count = count > 100000 ? 100000 : count;
	rings_open(&s, hmm, NULL, NULL);
	take_turns(&s, bench, count, samples, ONCE, &ratio);
	rings_close(&s);
	row = row_add(bench, "uring", "GB/s", "read, %s, %u KiB", kind, size >> 10);
	tell(row, samples, &ratio);
	row->limit = median(&samples[ONCE]);
	row->limit_name = "registered once";
	row->aim = 0.98;
	row->aim_text = "at least 0.98 of the limit";
}

/* More buffers than can be fixed at a time, each used as often as the others. */
static void cliff(struct bench *bench, struct hmm *hmm, int fd, uint32_t slots,
		  uint64_t max_pinned, const char *what)
{
	struct hmm_uring_attr attr = {
		.size = sizeof(attr), .flags = HMM_URING_PIN_ALL, .slots = slots};
	struct hmm_mirror_attr mattr = {.size = sizeof(mattr), .max_pinned = max_pinned};
	struct setup s = {.fd = fd, .size = 4096, .nr_buffers = 4096, .seed = 1};
	struct samples samples[WAYS] = {0}, ratio = {0};
	struct row *row;

	rings_open(&s, hmm, &attr, &mattr);
	take_turns(&s, bench, bench->quick ? 8000 : 80000, samples, PLAIN, &ratio);
	rings_close(&s);
	row = row_add(bench, "uring", "GB/s", "read, buffered, 4 KiB, %s", what);
	tell(row, samples, &ratio);
	row->aim = 0.5;
	row->aim_text = "at least half of the peer";
}

static int file_make(const char *dir, char *path, size_t size)
{
	static char block[1 << 20];
	int fd;

	snprintf(path, size, "%s/hmm-bench-XXXXXX", dir);
	fd = mkstemp(path);
	if (fd < 0)
		die("cannot make a file in %s: %s (--dir)", dir, strerror(errno));
	memset(block, 7, sizeof(block));
	for (uint64_t at = 0; at < FILE_SIZE; at += sizeof(block))
		if (write(fd, block, sizeof(block)) != sizeof(block))
			die("cannot write %s: %s", path, strerror(errno));
	fsync(fd);
	return fd;
}

void bench_uring(struct bench *bench)
{
	static const unsigned int sizes[] = {4 << 10, 16 << 10, 64 << 10, 256 << 10,
					     1 << 20};
	char path[512];
	struct hmm *hmm;
	int fd = file_make(bench->dir, path, sizeof(path));
	int direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	unlink(path);
	check_hmm(hmm_open(NULL, &hmm), "hmm_open");
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		one_size(bench, hmm, fd, sizes[i], "buffered");
		if (direct >= 0)
			one_size(bench, hmm, direct, sizes[i], "O_DIRECT");
	}
	cliff(bench, hmm, fd, 64, 0, "64 buffers a slot");
	cliff(bench, hmm, fd, 0, 4096, "room to pin one of 4096");
	hmm_close(hmm);
	if (direct >= 0)
		close(direct);
	close(fd);
}
