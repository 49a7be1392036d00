/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What do files on a DAX file system cost through a mirror, beside the bare call and beside
 * anonymous memory?
 *
 * A file of 64 MiB, all of it allocated, mapped shared, on each file system that --dax
 * names. Its memory is never pinned, so a device follows the CPU's mapping (direct), and
 * the anonymous memory that is the limit of translations is reached the same way.
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

#include "linux/kernel.h"
#include "bench.h"
#include "place.h"

#define SIZE    (64ull << 20)
#define REGION  (64ull << 10)
#define REGIONS ((unsigned int)(SIZE / REGION))
#define DEPTH   16u

struct dax {
	const struct place *place;
	int fd; /* the file; -1: anonymous memory */
	struct hmm_mirror *mirror;
};

static char *map(const struct dax *dax)
{
	int flags = dax->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, dax->fd, 0);

	if (p == MAP_FAILED)
		die("cannot map 64 MiB: %s", strerror(errno));
	madvise(p, SIZE, MADV_NOHUGEPAGE);
	return p;
}

static int file_make(const struct place *place)
{
	static char block[1 << 20];
	int fd = place_open(place->dir);

	if (fd < 0)
		die("cannot make a file in %s: %s", place->dir, strerror(-fd));
	for (uint64_t at = 0; at < SIZE; at += sizeof(block))
		if (pwrite(fd, block, sizeof(block), (off_t)at) != sizeof(block))
			die("cannot write 64 MiB in %s: %s", place->dir, strerror(errno));
	return fd;
}

static struct row *add(struct bench *bench, const struct dax *dax, const char *unit,
		       const char *what, const struct samples *ours,
		       const struct samples *limit, const char *limit_name)
{
	struct row *row = row_add(bench, "dax", unit, "%s: %s", dax->place->type, what);

	row_compare(row, ours, limit, limit_name, NULL, NULL);
	return row;
}

/* ---- translations -------------------------------------------------------------------- */

/* ns for each of as many translations, in sequence. */
static double translate_ns(struct hmm_mirror *mirror, char *p, unsigned int rounds)
{
	double start = now_ns();

	for (unsigned int i = 0; i < rounds; i++) {
		struct hmm_translation t;

		check_hmm(hmm_translate(mirror, p + i % REGIONS * REGION, REGION,
					HMM_READ | HMM_WRITE, &t),
			  "translate");
		hmm_translation_put(&t);
	}
	return (now_ns() - start) / rounds;
}

static void translate(const struct dax *dax, struct samples *miss, struct samples *hit,
		      unsigned int rounds)
{
	char *p = map(dax);

	memset(p, 1, SIZE);
	sample(miss, translate_ns(dax->mirror, p, REGIONS));
	sample(hit, translate_ns(dax->mirror, p, rounds));
	munmap(p, SIZE);
}

static void translations(struct bench *bench, const struct dax *dax)
{
	struct samples miss = {0}, hit = {0}, anon_miss = {0}, anon_hit = {0};
	const struct dax anon = {.fd = -1, .mirror = dax->mirror};
	unsigned int rounds = REGIONS * (bench->quick ? 10 : 100);

	for (unsigned int i = 0; i < bench->runs; i++) {
		translate(dax, &miss, &hit, rounds);
		translate(&anon, &anon_miss, &anon_hit, rounds);
	}
	add(bench, dax, "ns", "hit, 1024 regions in sequence", &hit, &anon_hit,
	    "anonymous memory");
	add(bench, dax, "ns", "miss, the same regions", &miss, &anon_miss,
	    "anonymous memory");
}

/* ---- ranges -------------------------------------------------------------------------- */

static double range_gbs(struct hmm_range *range, char *p, bool fault)
{
	range->start = (uintptr_t)p;
	range->end = range->start + SIZE;
	range->default_flags = fault ? HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE : 0;
	double start = now_ns();

	check_hmm(hmm_range_begin(range), "begin");
	check_hmm(fault ? hmm_range_fault(range) : hmm_range_snapshot(range), "range");
	if (hmm_range_retry(range))
		die("the range changed by itself");
	return SIZE / (now_ns() - start);
}

static double populate_gbs(char *p)
{
	double start = now_ns();

	return madvise(p, SIZE, K_MADV_POPULATE_WRITE) ? NAN : SIZE / (now_ns() - start);
}

/* Before WP_ASYNC no file can be watched, and a range of one is refused. */
static bool ranges_refused(const struct dax *dax)
{
	struct hmm_range range = {.size = sizeof(struct hmm_range), .mirror = dax->mirror};
	char *p = map(dax);
	int err;

	range.start = (uintptr_t)p;
	range.end = range.start + SIZE;
	err = hmm_range_begin(&range);
	munmap(p, SIZE);
	if (err != -EOPNOTSUPP)
		check_hmm(err, "begin");
	return err;
}

static void ranges(struct bench *bench, const struct dax *dax)
{
	struct samples fault = {0}, populate = {0}, snapshot = {0}, scan = {0};
	struct hmm_range range = {.size = sizeof(struct hmm_range), .mirror = dax->mirror};
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (ranges_refused(dax)) {
		row_add(bench, "dax", "GB/s", "%s: ranges are refused on this kernel",
			dax->place->type);
		close(pagemap);
		return;
	}
	range.pfns = calloc(SIZE / (uint64_t)sysconf(_SC_PAGESIZE), sizeof(*range.pfns));
	if (!range.pfns)
		die("out of memory");
	for (unsigned int i = 0; i < bench->runs; i++) {
		char *ours = map(dax), *bare = map(dax);

		sample(&fault, range_gbs(&range, ours, true));
		sample(&populate, populate_gbs(bare));
		sample(&snapshot, range_gbs(&range, ours, false));
		sample(&scan, scan_gbs(pagemap, bare, SIZE));
		munmap(ours, SIZE);
		munmap(bare, SIZE);
	}
	add(bench, dax, "GB/s", "fault in 64 MiB for writing", &fault, &populate,
	    "MADV_POPULATE_WRITE");
	add(bench, dax, "GB/s", "snapshot of 64 MiB, all there", &snapshot, &scan,
	    "PAGEMAP_SCAN");
	if (pagemap >= 0)
		close(pagemap);
	free(range.pfns);
}

/* ---- io_uring ------------------------------------------------------------------------ */

struct reads {
	struct io_uring ring;
	struct hmm_uring *uring; /* NULL: plain io_uring */
	int fd;
};

static void prepare(struct reads *reads, char *p, unsigned int number)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&reads->ring);
	char *to = p + number % REGIONS * REGION;
	uint64_t from = number * 37ull % REGIONS * REGION;

	if (!sqe)
		die("the ring is full");
	if (reads->uring)
		hmm_uring_prep_read(reads->uring, sqe, reads->fd, to, REGION, from);
	else
		io_uring_prep_read(sqe, reads->fd, to, REGION, from);
}

static void reap(struct reads *reads)
{
	struct io_uring_cqe *cqe;
	int err = reads->uring ? hmm_uring_wait_cqe(reads->uring, &cqe)
			       : io_uring_wait_cqe(&reads->ring, &cqe);

	if (err || cqe->res != (int)REGION)
		die("a read into a DAX file failed: %s", strerror(err ? -err : -cqe->res));
	if (reads->uring)
		hmm_uring_cqe_seen(reads->uring, cqe);
	else
		io_uring_cqe_seen(&reads->ring, cqe);
}

/* So many reads of a region each, DEPTH at a time. */
static double read_gbs(struct reads *reads, char *p, unsigned int count)
{
	double start = now_ns();

	for (unsigned int done = 0; done < count; done += DEPTH) {
		for (unsigned int i = 0; i < DEPTH; i++)
			prepare(reads, p, done + i);
		if ((reads->uring ? hmm_uring_submit(reads->uring)
				  : io_uring_submit(&reads->ring)) < 0)
			die("submit failed");
		for (unsigned int i = 0; i < DEPTH; i++)
			reap(reads);
	}
	return (double)count * REGION / (now_ns() - start);
}

/* What io_uring says to a registration of it, as programs do it once. */
static int register_once(struct io_uring *ring, char *p)
{
	struct iovec iov = {p, REGION};
	int err = io_uring_register_buffers(ring, &iov, 1);

	if (!err)
		io_uring_unregister_buffers(ring);
	return err;
}

static void reads(struct bench *bench, const struct dax *dax, struct hmm *hmm)
{
	const struct place beside = {.dir = "/dev/shm"};
	struct reads ours = {.fd = file_make(&beside)}, plain = {.fd = ours.fd};
	unsigned int count = REGIONS * (bench->quick ? 1 : 4);
	struct samples mine = {0}, peer = {0}, none = {0};
	struct hmm_mirror *mirror;
	char *p = map(dax), what[64];
	int once;

	if (io_uring_queue_init(2 * DEPTH, &ours.ring, 0) ||
	    io_uring_queue_init(2 * DEPTH, &plain.ring, 0))
		die("no io_uring here");
	once = register_once(&plain.ring, p);
	check_hmm(hmm_uring_open(hmm, &ours.ring, NULL, &ours.uring), "hmm_uring_open");
	check_hmm(hmm_mirror_create(hmm_uring_device(ours.uring), NULL, &mirror), "mirror");
	memset(p, 1, SIZE);
	for (unsigned int i = 0; i < bench->runs; i++) {
		sample(&mine, read_gbs(&ours, p, count));
		sample(&peer, read_gbs(&plain, p, count));
	}
	check_hmm(hmm_uring_close(ours.uring), "hmm_uring_close");
	io_uring_queue_exit(&ours.ring);
	io_uring_queue_exit(&plain.ring);
	munmap(p, SIZE);
	close(ours.fd);
	snprintf(what, sizeof(what), "read into it, 64 KiB (registering it: %s)",
		 once == -EOPNOTSUPP ? "EOPNOTSUPP"
		 : once              ? strerror(-once)
				     : "taken");
	struct row *row = add(bench, dax, "GB/s", what, &mine, &none, NULL);

	row_compare(row, &mine, NULL, NULL, &peer, "plain io_uring");
}

void bench_dax(struct bench *bench)
{
	if (!nr_places)
		bench->not_measured = place_no_dax;
	for (unsigned int i = 0; i < nr_places; i++) {
		struct dax dax = {.place = &places[i], .fd = file_make(&places[i])};
		struct null_device *null;
		struct hmm *hmm;

		check_hmm(hmm_open(NULL, &hmm), "hmm_open");
		null = null_open(hmm, HMM_MODE_DIRECT);
		dax.mirror = null_mirror(null);
		translations(bench, &dax);
		ranges(bench, &dax);
		null_close(null);
		reads(bench, &dax, hmm);
		hmm_close(hmm);
		close(dax.fd);
	}
}
