/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does every benchmark share?
 *
 * A benchmark measures the library, the limit (the bare system call, the bare structure)
 * and, where there is one, a peer, on the same work in the same run, in short rounds: one
 * sample of each in turn. What is told of each is the median. What they are told to be of
 * each other is the median of the rounds' ratios: what disturbs the machine for longer than
 * a round disturbs all sides of it.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <hmm/driver.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_RUNS_MAX 99
#define ROUNDS_A_RUN   3 /* where a round is short */

struct samples {
	double value[BENCH_RUNS_MAX];
	unsigned int count;
};

void sample(struct samples *samples, double value);
double median(const struct samples *samples); /* NAN when there is none */
/* Of a's sample to b's, round by round; NAN: there is none. */
double median_ratio(const struct samples *a, const struct samples *b);
double median_difference(const struct samples *a, const struct samples *b);

/* One line of the report; what was not measured is NAN. */
struct row {
	const char *bench; /* the benchmark's name: what the docs cite */
	char what[80];
	const char *unit;
	double ours, limit, peer;
	const char *limit_name, *peer_name;
	double of_limit, of_peer; /* ours as a part of it */
	double aim;               /* NAN: no aim */
	double aim_value;         /* what is compared with aim */
	const char *aim_text;     /* "at most 20 ns", "at least 0.97 of registered once" */
	bool aim_at_least;
};

struct bench {
	unsigned int runs;
	bool quick; /* a tenth of the work: to see that it works, not to cite */
	const char *dir;
	const char *not_measured; /* why the DAX rows are missing; NULL: they are not */
	struct row rows[256];
	unsigned int nr_rows;
};

/* A new line, all NAN. */
struct row *row_add(struct bench *bench, const char *name, const char *unit,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What was measured in turns; NULL: not measured. */
void row_compare(struct row *row, const struct samples *ours, const struct samples *limit,
		 const char *limit_name, const struct samples *peer, const char *peer_name);

double now_ns(void);
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* die() with hmm_error() if err is not 0. */
void check_hmm(int err, const char *what);
/* Anonymous memory that this process has, in bytes. */
uint64_t resident_bytes(void);
/* A peer's program beside this one, which waits to be asked; NULL: it is not there. */
struct peer;
struct peer *peer_start(const char *program);
/* What it measures now; NAN: it cannot. @peer may be NULL. */
double peer_ask(struct peer *peer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void peer_stop(struct peer *peer);

/* null.c: a device whose registration does nothing, as the peers are measured with. */
struct null_device;
struct null_device *null_open(struct hmm *hmm, enum hmm_mode mode);
struct hmm_mirror *null_mirror(struct null_device *null);
void null_close(struct null_device *null);

/* range.c: the limit of a snapshot, bytes a ns by PAGEMAP_SCAN; NAN: the kernel has none.
 */
double scan_gbs(int pagemap, char *p, size_t size);

void bench_translate(struct bench *bench);
void bench_unmap(struct bench *bench);
void bench_range(struct bench *bench);
void bench_uring(struct bench *bench);
void bench_memory(struct bench *bench);
void bench_scale(struct bench *bench);
void bench_dax(struct bench *bench);

#endif
