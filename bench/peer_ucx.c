/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The peer: UCX's registration cache on the work of bench/translate.c and bench/unmap.c.
 *
 *	hmm-bench-ucx hits MOST RUNS
 *	hmm-bench-ucx unmap COUNT RUNS
 *
 * Prints a line a result. A program of its own, not linked to libhmm: both put themselves
 * before libc's munmap.
 */
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucm/api/ucm.h>
#include <ucs/memory/rcache.h>
#include <unistd.h>

#include "../kit/raw.h"

#define REGION  (64ull << 10)
#define THREADS 2
#define RUNS    101

static ucs_rcache_t *cache;
static char *base;
static uint32_t rounds = 1000000;

/* A cache line or two of its own: what one thread writes, no other reads. */
struct job {
	uint32_t regions, seed;
	double ns;
} __attribute__((aligned(128)));

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[n / 2];
}

static ucs_status_t mem_reg(void *context, ucs_rcache_t *rcache, void *arg,
			    ucs_rcache_region_t *region, uint16_t flags)
{
	return UCS_OK;
}

static void mem_dereg(void *context, ucs_rcache_t *rcache, ucs_rcache_region_t *region)
{
}

static void dump_region(void *context, ucs_rcache_t *rcache, ucs_rcache_region_t *region,
			char *buf, size_t max)
{
	snprintf(buf, max, "-");
}

static const ucs_rcache_ops_t ops = {mem_reg, mem_dereg, dump_region};

static void make_cache(void)
{
	ucs_rcache_params_t params = {
		.region_struct_size = sizeof(ucs_rcache_region_t),
		.alignment = 4096,
		.max_alignment = 4096,
		.ucm_events = UCM_EVENT_VM_UNMAPPED,
		.ucm_event_priority = 1000,
		.ops = &ops,
		.flags = UCS_RCACHE_FLAG_NO_PFN_CHECK,
		.max_regions = ULONG_MAX,
		.max_size = SIZE_MAX,
		.max_unreleased = SIZE_MAX,
	};

	if (ucs_rcache_create(&params, "bench", NULL, &cache) != UCS_OK) {
		fprintf(stderr, "hmm-bench-ucx: no ucs_rcache on this machine\n");
		exit(1);
	}
}

static void get_put(char *p)
{
	ucs_rcache_region_t *region;

	if (ucs_rcache_get(cache, p, REGION, PROT_READ | PROT_WRITE, NULL, &region) !=
	    UCS_OK)
		abort();
	ucs_rcache_region_put(cache, region);
}

static void *hits(void *arg)
{
	struct job *job = arg;
	double start = now_ns();

	for (uint32_t i = 0; i < rounds; i++) {
		job->seed = job->seed * 1664525u + 1013904223u;
		get_put(base +
			(((uint64_t)(job->seed >> 4) * job->regions) >> 28) * REGION);
	}
	job->ns = (now_ns() - start) / rounds;
	return NULL;
}

static double run(uint32_t regions, int threads)
{
	struct job jobs[THREADS];
	pthread_t id[THREADS];
	double sum = 0;

	for (int i = 0; i < threads; i++) {
		jobs[i] = (struct job){.regions = regions,
				       .seed = 12345u + 77u * (uint32_t)i};
		if (threads == 1)
			hits(&jobs[i]);
		else if (pthread_create(&id[i], NULL, hits, &jobs[i]))
			abort();
	}
	for (int i = 0; i < threads; i++) {
		if (threads > 1)
			pthread_join(id[i], NULL);
		sum += jobs[i].ns;
	}
	return sum / threads;
}

static void measure_hits(uint32_t most, int runs)
{
	static const uint32_t sizes[] = {1, 1000, 100000, 1000000};
	double v[RUNS];
	uint32_t done = 0;

	base = mmap(NULL, (most + 1ull) * REGION, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		exit(1);
	for (int i = 0; i < 4 && sizes[i] <= most; i++) {
		double start = now_ns();
		uint32_t made = sizes[i] - done;

		for (; done < sizes[i]; done++)
			get_put(base + done * REGION);
		printf("miss %u %f\n", sizes[i], (now_ns() - start) / made);
		for (int threads = 1; threads <= THREADS; threads++) {
			for (int r = 0; r < runs; r++)
				v[r] = run(sizes[i], threads);
			printf("hit %u %d %f\n", sizes[i], threads, median(v, runs));
		}
	}
}

/* us for one munmap of 64 KiB that was written to; kind: 0 raw, 1 libc, 2 in the cache. */
static double unmap_one(uint32_t count, int kind)
{
	double ns = 0;

	for (uint32_t i = 0; i < count; i++) {
		char *p = mmap(NULL, REGION, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			exit(1);
		memset(p, 1, REGION);
		if (kind == 2)
			get_put(p);
		double start = now_ns();

		if (kind == 0)
			raw_call(SYS_munmap, p, REGION);
		else
			munmap(p, REGION);
		ns += now_ns() - start;
	}
	return ns / count / 1000;
}

static void measure_unmap(uint32_t count, int runs)
{
	static const char *const names[] = {"raw", "unregistered", "registered"};
	double v[3][RUNS];

	for (int r = 0; r < runs; r++)
		for (int kind = 0; kind < 3; kind++)
			v[kind][r] = unmap_one(count, kind);
	for (int kind = 0; kind < 3; kind++)
		printf("unmap %s %f\n", names[kind], median(v[kind], runs));
}

int main(int argc, char **argv)
{
	int runs = argc > 3 ? atoi(argv[3]) : 0;
	int n = argc > 3 ? atoi(argv[2]) : 0;

	if (runs < 1 || runs > RUNS || n < 1) {
		fprintf(stderr, "usage: hmm-bench-ucx hits MOST RUNS | unmap COUNT RUNS\n");
		return 2;
	}
	make_cache();
	if (!strcmp(argv[1], "hits"))
		measure_hits((uint32_t)n, runs);
	else
		measure_unmap((uint32_t)n, runs);
	return 0;
}
