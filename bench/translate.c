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

/* ns a read; the ring is as long as there are translations. */
static double read_ns(struct line **at, uint32_t rounds)
{
	double start = now_ns();

	for (uint32_t i = 0; i < rounds; i++)
		*at = *(struct line *volatile *)&(*at)->next;
	return (now_ns() - start) / rounds;
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

/* What all rounds found, one sample of each a round. */
struct found {
	struct samples ours, limit, peer, read;
};

static void measure_rounds(struct bench *bench, const struct job *job, int threads,
			   struct peer *peer, struct found *found)
{
	struct line *ring = make_ring(job->regions), *at = ring;
	struct job plain = *job;

	plain.plain = calloc(job->regions, sizeof(*plain.plain));
	if (!plain.plain)
		die("out of memory");
	*found = (struct found){0};
	for (unsigned int i = 0; i < bench->runs * ROUNDS_A_RUN; i++) {
		double theirs =
			peer_ask(peer, "hit %u %d %u", job->regions, threads, job->rounds);

		sample(&found->ours, run(run_ours, job, threads));
		sample(&found->limit, run(run_limit, &plain, threads));
		sample(&found->read, read_ns(&at, job->rounds));
		if (peer)
			sample(&found->peer, theirs);
	}
	free(plain.plain);
	free(ring);
}

static void add_ratio(struct bench *bench, const char *what, const struct samples *a,
		      const struct samples *b, double aim, bool at_least, const char *text)
{
	struct row *row = row_add(bench, "translate", "times", "%s", what);

	row->ours = row->aim_value = median_ratio(a, b);
	row->aim = aim;
	row->aim_at_least = at_least;
	row->aim_text = text;
}

static void measure_hits(struct bench *bench, const struct job *job, struct peer *peer)
{
	struct samples one = {0};

	for (int threads = 1; threads <= THREADS; threads++) {
		struct found found;
		char what[80];

		measure_rounds(bench, job, threads, peer, &found);
		snprintf(what, sizeof(what), "hit, %u regions, %d thread%s", job->regions,
			 threads, threads > 1 ? "s" : "");
		row_compare(row_add(bench, "translate", "ns", "%s", what), &found.ours,
			    &found.limit, "bare array", peer ? &found.peer : NULL,
			    "ucs_rcache");
		if (threads == 1)
			one = found.ours;
		else
			add_ratio(bench, "... two threads, of one", &found.ours, &one, 1.05,
				  false, "at most 1.05");
		if (job->regions < 100000)
			continue;
		if (peer)
			add_ratio(bench, "... faster than the peer", &found.peer,
				  &found.ours, 4, true, "at least 4");
		add_ratio(bench, "... of one dependent read among as many lines",
			  &found.ours, &found.read, 1, false, "at most 1");
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

#define MISSES 1000 /* in a round */

/* The next regions, in sequence: ours and the peer's in turns. */
static void grow(struct bench *bench, struct job *job, uint32_t regions, struct peer *peer)
{
	struct samples ours = {0}, theirs = {0};
	struct row *row;

	while (job->regions < regions) {
		uint32_t to = job->regions + MISSES;

		if (regions - job->regions <= MISSES || ours.count == BENCH_RUNS_MAX)
			to = regions;
		sample(&ours, fill(job, job->regions, to));
		if (peer)
			sample(&theirs, peer_ask(peer, "grow %u", to));
		job->regions = to;
	}
	if (regions != 100000)
		return;
	row = row_add(bench, "translate", "ns", "miss, 100000 regions in sequence");
	row_compare(row, &ours, NULL, NULL, peer ? &theirs : NULL, "ucs_rcache");
	row->aim = 1.5;
	row->aim_value = row->of_peer;
	row->aim_text = "at most 1.5 of the peer's";
}

void bench_translate(struct bench *bench)
{
	uint32_t most = bench->quick ? 100000 : sizes[SIZES - 1];
	struct hmm_attr attr = {.size = sizeof(attr), .max_translations = most + 1000};
	struct null_device *null;
	struct hmm *hmm;
	struct job job = {.rounds = bench->quick ? 20000 : 200000};
	struct peer *peer = peer_start("hmm-bench-ucx");

	job.base = mmap(NULL, (most + 1ull) * REGION, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (job.base == MAP_FAILED)
		die("cannot reserve %llu GiB of address space", (most * REGION) >> 30);
	check_hmm(hmm_open(&attr, &hmm), "hmm_open");
	/* Not a pin, for which the kernel is asked to make the pages dirty: 64 GiB of them.
	 */
	null = null_open(hmm, HMM_MODE_DIRECT);
	job.mirror = null_mirror(null);
	for (int i = 0; i < SIZES && sizes[i] <= most; i++) {
		grow(bench, &job, sizes[i], peer);
		measure_hits(bench, &job, peer);
	}
	null_close(null);
	hmm_close(hmm);
	munmap(job.base, (most + 1ull) * REGION);
	peer_stop(peer);
}
