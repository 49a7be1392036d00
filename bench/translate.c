/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How fast is a translation that is there (hit), and how fast is one made (miss)?
 *
 * N regions of 64 KiB in one mapping, translated and put in random order, by one thread
 * and by two. Limit: the same random order over an array of (address, key) with a counter
 * each, not safe for anything. Peer: UCX's ucs_rcache, get and put, a registration that
 * does nothing, in a program of its own (its hooks and ours would get in each other's
 * way), run in the middle of ours.
 *
 * A random hit reads memory twice, the second time where the first one says. What such a
 * read costs depends on how much of the last-level cache other tenants of the machine
 * leave: so that is measured too, over as many cache lines as there are translations.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench.h"

#define REGION  (64ull << 10)
#define SIZES   4
#define THREADS 2

static const uint32_t sizes[SIZES] = {1, 1000, 100000, 1000000};

struct plain_entry {
	uint64_t addr;
	uint32_t key, count;
};

/* A cache line or two of its own: what one thread writes, no other reads. */
struct job {
	struct hmm_mirror *mirror;
	struct plain_entry *plain; /* not NULL: the limit */
	char *base;
	uint32_t regions, rounds, seed;
	double ns;
} __attribute__((aligned(128)));

/* The same for all: a random region, with no division. */
static inline uint32_t next(uint32_t *state, uint32_t regions)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(*state >> 4) * regions) >> 28);
}

static void *run_ours(void *arg)
{
	struct job *job = arg;
	struct hmm_translation t;
	double start = now_ns();

	for (uint32_t i = 0; i < job->rounds; i++) {
		char *p = job->base + next(&job->seed, job->regions) * REGION;

		if (hmm_translate(job->mirror, p, REGION, HMM_READ | HMM_WRITE, &t))
			die("hit: %s", hmm_error());
		hmm_translation_put(&t);
	}
	job->ns = (now_ns() - start) / job->rounds;
	return NULL;
}

static void *run_limit(void *arg)
{
	struct job *job = arg;
	double start = now_ns();

	for (uint32_t i = 0; i < job->rounds; i++) {
		volatile struct plain_entry *e =
			&job->plain[next(&job->seed, job->regions)];

		e->count++;
		(void)e->addr;
		e->count--;
	}
	job->ns = (now_ns() - start) / job->rounds;
	return NULL;
}

struct line {
	struct line *next;
	char rest[56];
};

/* All lines in one ring, in random order: each load waits for the one before. */
static struct line *make_ring(uint32_t lines)
{
	struct line *ring = aligned_alloc(sizeof(*ring), lines * sizeof(*ring));
	uint32_t seed = 1;

	if (!ring)
		die("out of memory");
	for (uint32_t i = 0; i < lines; i++)
		ring[i].next = &ring[i];
	/* Swapping the successors of two rings makes them one. */
	for (uint32_t i = lines - 1; i; i--) {
		struct line *a = &ring[i], *b = &ring[next(&seed, i)];
		struct line *after = a->next;

		a->next = b->next;
		b->next = after;
	}
	return ring;
}

static void measure_memory(struct bench *bench, uint32_t lines)
{
	struct line *ring = make_ring(lines), *at = ring;
	struct samples samples = {0};
	struct row *row;

	for (unsigned int run = 0; run < bench->runs; run++) {
		double start = now_ns();

		for (uint32_t i = 0; i < lines; i++)
			at = *(struct line *volatile *)&at->next;
		sample(&samples, (now_ns() - start) / lines);
	}
	row = row_add(bench, "translate", "ns", "this machine: a read among %u cache lines",
		      lines);
	row->ours = NAN;
	row->limit = median(&samples);
	row->limit_name = "dependent load";
	free(ring);
}

/* The mean over the threads. */
static double run(void *(*body)(void *), const struct job *job, int threads)
{
	struct job jobs[THREADS];
	pthread_t id[THREADS];
	double sum = 0;

	for (int i = 0; i < threads; i++) {
		jobs[i] = *job;
		jobs[i].seed = 12345u + 77u * (uint32_t)i;
	}
	if (threads == 1) {
		body(&jobs[0]);
		return jobs[0].ns;
	}
	for (int i = 0; i < threads; i++)
		if (pthread_create(&id[i], NULL, body, &jobs[i]))
			die("no thread");
	for (int i = 0; i < threads; i++) {
		pthread_join(id[i], NULL);
		sum += jobs[i].ns;
	}
	return sum / threads;
}

static void measure_hits(struct bench *bench, struct job *job, const char *peer,
			 double *one)
{
	for (int threads = 1; threads <= THREADS; threads++) {
		struct samples ours = {0}, limit = {0};
		struct job plain = *job;
		char line[64];

		plain.plain = calloc(job->regions, sizeof(*plain.plain));
		if (!plain.plain)
			die("out of memory");
		for (unsigned int i = 0; i < bench->runs; i++) {
			sample(&ours, run(run_ours, job, threads));
			sample(&limit, run(run_limit, &plain, threads));
		}
		free(plain.plain);
		struct row *row =
			row_add(bench, "translate", "ns", "hit, %u regions, %d thread%s",
				job->regions, threads, threads > 1 ? "s" : "");
		row->ours = median(&ours);
		row->limit = median(&limit);
		row->limit_name = "bare array";
		snprintf(line, sizeof(line), "hit %u %d ", job->regions, threads);
		row->peer = peer_value(peer, line);
		row->peer_name = "ucs_rcache";
		if (threads == 1)
			*one = row->ours;
		if (job->regions == 100000 && threads == 1) {
			row->aim = 20;
			row->aim_value = row->ours;
			row->aim_text = "at most 20 ns";
			struct row *times =
				row_add(bench, "translate", "times",
					"hit, 100000 regions: faster than the peer");
			times->ours = times->aim_value = row->peer / row->ours;
			times->aim = 4;
			times->aim_at_least = true;
			times->aim_text = "at least 4";
		} else if (threads == 2) {
			row->aim = *one * 1.05;
			row->aim_value = row->ours;
			row->aim_text = "no slower than one thread (within 5 %)";
		}
	}
}

static double fill(struct job *job, uint32_t from, uint32_t to)
{
	struct hmm_translation t;
	double start = now_ns();

	for (uint32_t i = from; i < to; i++) {
		check_hmm(hmm_translate(job->mirror, job->base + i * REGION, REGION,
					HMM_READ | HMM_WRITE, &t),
			  "miss");
		hmm_translation_put(&t);
	}
	return (now_ns() - start) / (to - from);
}

void bench_translate(struct bench *bench)
{
	uint32_t most = bench->quick ? 100000 : sizes[SIZES - 1], done = 0;
	struct hmm_attr attr = {.size = sizeof(attr), .max_translations = most + 1000};
	struct null_device *null;
	struct hmm *hmm;
	struct job job = {.rounds = bench->quick ? 200000 : 2000000};
	double one;
	char *peer = peer_output("hmm-bench-ucx",
				 bench->quick ? "hits 100000 1" : "hits 1000000 5");

	job.base = mmap(NULL, (most + 1ull) * REGION, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (job.base == MAP_FAILED)
		die("cannot reserve %llu GiB of address space", (most * REGION) >> 30);
	check_hmm(hmm_open(&attr, &hmm), "hmm_open");
	null = null_open(hmm, HMM_MODE_PIN);
	job.mirror = null_mirror(null);
	for (int i = 0; i < SIZES && sizes[i] <= most; i++) {
		double miss = fill(&job, done, sizes[i]);

		done = job.regions = sizes[i];
		if (sizes[i] == 100000) {
			struct row *row = row_add(bench, "translate", "ns",
						  "miss, 100000 regions in sequence");

			row->ours = miss;
			row->peer = peer_value(peer, "miss 100000 ");
			row->peer_name = "ucs_rcache";
			measure_memory(bench, sizes[i]);
		}
		measure_hits(bench, &job, peer, &one);
	}
	null_close(null);
	hmm_close(hmm);
	munmap(job.base, (most + 1ull) * REGION);
	free(peer);
}
