/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is a figure measured, and told as a row? For all benchmarks: samples, time, memory,
 * and the programs of peers.
 */
#include <math.h>
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

char *peer_output(const char *program, const char *arguments)
{
	char self[512], command[1200], *text = NULL;
	size_t size = 0, n;
	FILE *f, *out;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0)
		return NULL;
	self[len] = 0;
	*strrchr(self, '/') = 0;
	snprintf(command, sizeof(command), "%s/%s", self, program);
	if (access(command, X_OK))
		return NULL;
	table_progress("%s %s", program, arguments);
	snprintf(command, sizeof(command), "UCX_LOG_LEVEL=fatal '%s/%s' %s 2>/dev/null",
		 self, program, arguments);
	f = popen(command, "re");
	out = open_memstream(&text, &size);
	char buffer[4096];

	while (f && out && (n = fread(buffer, 1, sizeof(buffer), f)) > 0)
		fwrite(buffer, 1, n, out);
	if (out)
		fclose(out);
	if (!f || pclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

double peer_value(const char *output, const char *line)
{
	const char *at = output;

	while (at && strncmp(at, line, strlen(line))) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return at ? strtod(at + strlen(line), NULL) : NAN;
}
