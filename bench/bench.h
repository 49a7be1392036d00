/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does every benchmark share?
 *
 * A benchmark measures the library, the limit (the bare system call, the bare structure)
 * and, where there is one, a peer, on the same work in the same run: one sample of each in
 * turn, several times; what is told is the median.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <hmm/driver.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_RUNS_MAX 101

struct samples {
	double value[BENCH_RUNS_MAX];
	unsigned int count;
};

void sample(struct samples *samples, double value);
double median(const struct samples *samples); /* NAN when there is none */

/* One line of the report; what was not measured is NAN. */
struct row {
	const char *bench; /* the benchmark's name: what the docs cite */
	char what[80];
	const char *unit;
	double ours, limit, peer;
	const char *limit_name, *peer_name;
	double aim;           /* NAN: no aim */
	double aim_value;     /* what is compared with aim */
	const char *aim_text; /* "at most 20 ns", "at least 0.97 of registered once" */
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

double now_ns(void);
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* die() with hmm_error() if err is not 0. */
void check_hmm(int err, const char *what);
/* Anonymous memory that this process has, in bytes. */
uint64_t resident_bytes(void);
/* The output of a peer's program beside this one; NULL: it is not there. */
char *peer_output(const char *program, const char *arguments);
/* The number behind a line's beginning; NAN: no such line. */
double peer_value(const char *output, const char *line);

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
void bench_dax(struct bench *bench);

#endif
