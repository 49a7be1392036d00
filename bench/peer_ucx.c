/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The peer: UCX's registration cache on the work of bench/translate.c and bench/unmap.c.
 *
 * It is asked by lines on its standard input, and answers each with a number:
 *
 *	grow N                     so many regions are in the cache; ns for each new one
 *	hit REGIONS THREADS ROUNDS ns for a get and put of a random one
 *	unmap KIND COUNT           us for an munmap; 0: raw, 1: libc's, 2: of what is cached
 *
 * A program of its own, not linked to libhmm: both put themselves before libc's munmap.
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
#define MOST    1000000u

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

static uint32_t cached;

static double grow(uint32_t regions)
{
	uint32_t made = regions - cached;
	double start = now_ns();

	for (; cached < regions; cached++)
		get_put(base + cached * REGION);
	return (now_ns() - start) / made;
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

static double answer(const char *line)
{
	unsigned int a, b, c;

	if (sscanf(line, "grow %u", &a) == 1 && a > cached && a <= MOST)
		return grow(a);
	if (sscanf(line, "hit %u %u %u", &a, &b, &c) == 3 && a <= cached &&
	    b - 1 < THREADS) {
		rounds = c;
		return run(a, (int)b);
	}
	if (sscanf(line, "unmap %u %u", &a, &b) == 2)
		return unmap_one(b, (int)a);
	fprintf(stderr, "hmm-bench-ucx: not understood: %s", line);
	exit(2);
}

int main(void)
{
	char line[128];

	make_cache();
	base = mmap(NULL, (MOST + 1ull) * REGION, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		printf("%f\n", answer(line));
		fflush(stdout);
	}
	return 0;
}
