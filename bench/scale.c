/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How do the costs grow with translations, mirrors, mappings, threads and processors?
 *
 * hmm-bench-core measures the data structures alone, at any size, each point in a process
 * of its own; the points of a curve take turns. The claim stands beside each point. Time
 * grows with the caches that a size no longer fits into, too: whether a claim holds is
 * checked by counted instructions, in bench/growth.py, not here.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define POINTS 5
#define QUICK  100000u /* the largest size with --quick */
#define RUNS   3u      /* the largest take a minute */

static const struct curve {
	const char *what, *size, *claim;
	uint32_t points[POINTS]; /* 0: no more */
	unsigned int rounds;
} curves[] = {
	{"hit", "processors", "constant", {1, 8, 32, 128, 256}, 200000},
	{"hit", "regions", "constant", {10000, 100000, 1000000, 10000000}, 200000},
	{"hit", "mirrors", "constant", {1, 10, 100, 1000}, 200000},
	{"hit", "threads", "constant", {1, 10, 100, 1000}, 200000},
	{"miss", "regions", "logarithmic", {10000, 100000, 1000000, 10000000}, 20000},
	{"miss", "mirrors", "constant", {1, 10, 100, 1000}, 20000},
	{"release", "threads", "linear", {1, 10, 100, 1000}, 2000},
	{"watch", "mappings", "logarithmic", {1000, 10000, 60000}, 20000},
};

/* NAN: the program is not there. */
static double point_ns(const struct curve *curve, uint32_t size)
{
	char self[512], command[800];
	double ns = NAN;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	FILE *f;

	if (len < 0)
		return NAN;
	self[len] = 0;
	*strrchr(self, '/') = 0;
	snprintf(command, sizeof(command), "'%s/hmm-bench-core' %s %s=%u rounds=%u", self,
		 curve->what, curve->size, size, curve->rounds);
	f = popen(command, "re");
	if (!f)
		die("cannot run hmm-bench-core");
	if (fscanf(f, "%lf", &ns) != 1)
		ns = NAN;
	pclose(f);
	return ns;
}

static bool wanted(const struct bench *bench, uint32_t size)
{
	return size && (!bench->quick || size <= QUICK);
}

static void one_curve(struct bench *bench, const struct curve *curve)
{
	unsigned int runs = bench->runs < RUNS ? bench->runs : RUNS;
	struct samples found[POINTS] = {0};

	for (unsigned int run = 0; run < runs; run++)
		for (int i = 0; i < POINTS; i++)
			if (wanted(bench, curve->points[i]))
				sample(&found[i], point_ns(curve, curve->points[i]));
	for (int i = 0; i < POINTS && wanted(bench, curve->points[i]); i++) {
		struct row *row =
			row_add(bench, "scale", "ns", "%s, %u %s: %s", curve->what,
				curve->points[i], curve->size, curve->claim);

		row_compare(row, &found[i], i ? &found[0] : NULL, "at the first size", NULL,
			    NULL);
	}
}

void bench_scale(struct bench *bench)
{
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		one_curve(bench, &curves[i]);
}
