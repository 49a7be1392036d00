/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is a figure measured, and told as a row? For all benchmarks: samples, time, memory,
 * and the programs of peers.
 */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "table.h"

void sample(struct samples *samples, double value)
{
	if (samples->count < BENCH_RUNS_MAX)
		samples->value[samples->count++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double median(const struct samples *samples)
{
	struct samples sorted = *samples;

	if (!sorted.count)
		return NAN;
	qsort(sorted.value, sorted.count, sizeof(sorted.value[0]), compare);
	return sorted.value[sorted.count / 2];
}

double median_ratio(const struct samples *a, const struct samples *b)
{
	struct samples ratios = {0};

	for (unsigned int i = 0; i < a->count && i < b->count; i++)
		sample(&ratios, a->value[i] / b->value[i]);
	return median(&ratios);
}

double median_difference(const struct samples *a, const struct samples *b)
{
	struct samples differences = {0};

	for (unsigned int i = 0; i < a->count && i < b->count; i++)
		sample(&differences, a->value[i] - b->value[i]);
	return median(&differences);
}

void row_compare(struct row *row, const struct samples *ours, const struct samples *limit,
		 const char *limit_name, const struct samples *peer, const char *peer_name)
{
	row->ours = median(ours);
	if (limit) {
		row->limit = median(limit);
		row->limit_name = limit_name;
		row->of_limit = median_ratio(ours, limit);
	}
	if (peer) {
		row->peer = median(peer);
		row->peer_name = peer_name;
		row->of_peer = median_ratio(ours, peer);
	}
}

struct row *row_add(struct bench *bench, const char *name, const char *unit,
		    const char *format, ...)
{
	struct row *row = &bench->rows[bench->nr_rows];
	va_list args;

	if (bench->nr_rows == sizeof(bench->rows) / sizeof(bench->rows[0]))
		die("too many rows");
	bench->nr_rows++;
	*row = (struct row){.bench = name,
			    .unit = unit,
			    .ours = NAN,
			    .limit = NAN,
			    .peer = NAN,
			    .of_limit = NAN,
			    .of_peer = NAN,
			    .aim = NAN,
			    .aim_value = NAN};
	va_start(args, format);
	vsnprintf(row->what, sizeof(row->what), format, args);
	va_end(args);
	table_progress("%s: %s", name, row->what);
	return row;
}

double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void die(const char *format, ...)
{
	va_list args;

	table_progress_done();
	fputs("hmm bench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void check_hmm(int err, const char *what)
{
	if (err < 0)
		die("%s: %s (%s)", what, hmm_error(), strerror(-err));
}

uint64_t resident_bytes(void)
{
	/* Counted page by page; /proc/self/status is off by some dozen pages a processor.
	 */
	static const char key[] = "Anonymous:";
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	unsigned long long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kb = strtoull(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return kb << 10;
}

/* ---- peers ------------------------------------------------------------------------ */

struct peer {
	pid_t pid;
	FILE *to, *from;
};

static void peer_run(const char *path, const int to[2], const int from[2])
{
	dup2(to[0], STDIN_FILENO);
	dup2(from[1], STDOUT_FILENO);
	setenv("UCX_LOG_LEVEL", "fatal", 1);
	execl(path, path, (char *)NULL);
	_exit(1);
}

struct peer *peer_start(const char *program)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	char self[512], path[1200];
	int to[2], from[2];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (!peer || len < 0)
		die("out of memory, or /proc is not mounted");
	self[len] = 0;
	*strrchr(self, '/') = 0;
	snprintf(path, sizeof(path), "%s/%s", self, program);
	if (access(path, X_OK)) {
		free(peer);
		return NULL;
	}
	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		die("no pipe");
	peer->pid = fork();
	if (peer->pid < 0)
		die("cannot fork");
	if (!peer->pid)
		peer_run(path, to, from);
	close(to[0]);
	close(from[1]);
	peer->to = fdopen(to[1], "w");
	peer->from = fdopen(from[0], "r");
	if (!peer->to || !peer->from)
		die("out of memory");
	signal(SIGPIPE, SIG_IGN); /* it may have ended: then it says nothing */
	return peer;
}

double peer_ask(struct peer *peer, const char *format, ...)
{
	double value = NAN;
	va_list args;

	if (!peer)
		return NAN;
	va_start(args, format);
	vfprintf(peer->to, format, args);
	va_end(args);
	fputc('\n', peer->to);
	fflush(peer->to);
	return fscanf(peer->from, "%lf", &value) == 1 ? value : NAN;
}

void peer_stop(struct peer *peer)
{
	if (!peer)
		return;
	fclose(peer->to);
	fclose(peer->from);
	waitpid(peer->pid, NULL, 0);
	free(peer);
}
