/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What do the library's own data structures cost, at sizes that this machine does not have?
 *
 *	hmm-bench-core hit|miss|release|watch [NAME=NUMBER]...
 *
 * The core on an address space and a device that are made up, so that there are as many
 * processors, translations and mirrors as one likes, and no system call in what is
 *measured: instructions and cache lines can be counted by valgrind (bench/growth.py), by
 *the difference of two runs with different rounds. Prints the nanoseconds of one round.
 *
 *	hit       a random one of the regions is translated, and put
 *	miss      a random one is revoked, translated anew, and put
 *	release   a revoked one is given back: what all threads hold is looked at
 *	watch     a random one of the mappings is looked up, dropped, and added again
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"
#include "linux/address_space.h"
#include "sys/sys.h"

#define BASE    0x100000000000ull
#define REGION  65536ull
#define HEAD_AT 1024 /* of struct perf_event_mmap_page */
#define BATCH   128u /* revoked slots that wait: nobody but us releases them */

static struct {
	const char *name;
	uint64_t value;
} sizes[] = {{"regions", 1000}, {"mirrors", 1},     {"processors", 2},
	     {"threads", 1},    {"mappings", 1000}, {"rounds", 100000}};

enum { REGIONS, MIRRORS_MADE, PROCESSORS, THREADS_MADE, MAPPINGS, ROUNDS };
#define SIZE(which) sizes[which].value

static struct hmm *hmm;
static struct hmm_mirror *mirrors[MIRRORS];
static struct hmm_device *devices[MIRRORS];

static void fail(const char *what)
{
	fprintf(stderr, "hmm-bench-core: %s: %s\n", what, hmm_error());
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t next(uint64_t below)
{
	static uint64_t state = 12345;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return ((state >> 33) * below) >> 31;
}

/* ---- what is made up -------------------------------------------------------------- */

static int find(void *source, uint64_t addr, struct source_mapping *out)
{
	*out = (struct source_mapping){.start = BASE,
				       .end = BASE << 1,
				       .access = HMM_READ | HMM_WRITE,
				       .pinnable = true};
	return 0;
}

static int arm(void *source, uint64_t start, uint64_t end)
{
	return 0;
}

static int populate(void *source, uint64_t start, uint64_t end, bool write)
{
	return 0;
}

static bool drain(void *source, uint32_t patience_ms)
{
	return true;
}

static bool changers_done(void *source, uint64_t since)
{
	return true;
}

static uint64_t now(void *source)
{
	return (uint64_t)now_ns();
}

static void barrier(void *source, _Atomic bool *fences)
{
	sys_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

static const struct source_ops source = {
	.size = sizeof(source),
	.find = find,
	.arm = arm,
	.populate = populate,
	.drain = drain,
	.changers_done = changers_done,
	.now = now,
	.barrier = barrier,
};

static int map(struct hmm_device *device, struct hmm_mapping *mapping)
{
	mapping->addr = mapping->start;
	return 0;
}

static const struct hmm_driver_ops ops = {.size = sizeof(ops), .map = map};
static const struct hmm_driver driver = {
	.size = sizeof(driver),
	.abi = HMM_DRIVER_ABI,
	.name = "made-up",
	.license = "LGPL-2.1-or-later",
	.ops = &ops,
	.modes = {HMM_MODE_PIN},
	.nr_modes = 1,
};

/* The words lie as the heads of perf's rings do: at the same place of a page each. */
static void make_processors(void)
{
	size_t page = (size_t)getpagesize();
	char *words = mmap(NULL, SIZE(PROCESSORS) * page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (words == MAP_FAILED)
		fail("no memory for the words");
	for (uint64_t i = 0; SIZE(PROCESSORS) <= CORE_POLL_WORDS && i < SIZE(PROCESSORS);
	     i++) {
		words[i * page + HEAD_AT] = 1;
		if (core_poll_word(hmm,
				   (const volatile uint64_t *)(void *)(words + i * page +
								       HEAD_AT)))
			fail("poll words");
	}
}

static pthread_barrier_t attached;

static void *only_there(void *unused)
{
	struct hmm_translation t;

	if (hmm_translate(mirrors[0], (void *)(uintptr_t)BASE, REGION, HMM_READ | HMM_WRITE,
			  &t) ||
	    hmm_translation_put(&t))
		fail("a thread's first translation");
	pthread_barrier_wait(&attached);
	for (;;)
		pause();
	return NULL;
}

static void make_threads(void)
{
	unsigned int others = (unsigned int)SIZE(THREADS_MADE) - 1;
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	pthread_barrier_init(&attached, NULL, others + 1);
	for (unsigned int i = 0; i < others; i++)
		if (pthread_create(&thread, &small, only_there, NULL))
			fail("no thread");
	pthread_barrier_wait(&attached);
}

static void make_all(void)
{
	struct core_attr attr = {.max_translations = (uint32_t)SIZE(REGIONS) + 1024,
				 .wait_ms = 10000,
				 .ops = &source};

	sys_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	if (core_create(&attr, &hmm))
		fail("core_create");
	for (uint64_t i = 0; i < SIZE(MIRRORS_MADE); i++)
		if (hmm_device_register(hmm, &driver, NULL, &devices[i]) ||
		    hmm_mirror_create(devices[i], NULL, &mirrors[i]))
			fail("a mirror");
	make_processors();
	make_threads();
}

/* ---- what is measured ------------------------------------------------------------- */

static void *region(uint64_t i)
{
	return (void *)(uintptr_t)(BASE + i * REGION);
}

static void use(uint64_t i)
{
	struct hmm_translation t;

	if (hmm_translate(mirrors[i % SIZE(MIRRORS_MADE)], region(i), REGION,
			  HMM_READ | HMM_WRITE, &t))
		fail("hmm_translate");
	hmm_translation_put(&t);
}

static void fill_all(void)
{
	for (uint64_t i = 0; i < SIZE(REGIONS); i++)
		use(i);
}

static void hit_one(uint64_t round)
{
	use(next(SIZE(REGIONS)));
}

static void miss_one(uint64_t round)
{
	uint64_t i = next(SIZE(REGIONS));

	if (hmm_invalidate(hmm, region(i), REGION))
		fail("hmm_invalidate");
	use(i);
	if (round % BATCH == 0)
		hmm_quiesce(hmm, 0);
}

static void release_one_region(uint64_t round)
{
	use(0);
	hmm_invalidate(hmm, region(0), REGION);
	hmm_quiesce(hmm, 0);
}

static struct watch watch;

static void watch_one(uint64_t round)
{
	uint64_t start = BASE + next(SIZE(MAPPINGS)) * 2 * REGION;

	if (!watch_covers_locked(&watch, start, start + REGION))
		fail("a mapping is lost");
	watch_del_locked(&watch, start, start + REGION);
	watch_add_locked(&watch, start, start + REGION, 0);
}

static void make_watch(void)
{
	if (watch_init(&watch))
		fail("watch_init");
	for (uint64_t i = 0; i < SIZE(MAPPINGS); i++)
		watch_add_locked(&watch, BASE + i * 2 * REGION, BASE + (i * 2 + 1) * REGION,
				 0);
}

static const struct {
	const char *name;
	void (*one)(uint64_t round);
} measures[] = {{"hit", hit_one},
		{"miss", miss_one},
		{"release", release_one_region},
		{"watch", watch_one}};
#define MEASURES (sizeof(measures) / sizeof(measures[0]))

static void take_size(const char *text)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t len = strlen(sizes[i].name);

		if (strncmp(text, sizes[i].name, len) || text[len] != '=')
			continue;
		sizes[i].value = strtoull(text + len + 1, NULL, 10);
		if (sizes[i].value)
			return;
	}
	fail(text);
}

int main(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		take_size(argv[i]);
	if (SIZE(MIRRORS_MADE) >= MIRRORS)
		fail("too many mirrors");
	for (size_t m = 0; argc > 1 && m < MEASURES; m++) {
		double start;

		if (strcmp(argv[1], measures[m].name))
			continue;
		if (measures[m].one == watch_one) {
			make_watch();
		} else {
			make_all();
			fill_all();
		}
		start = now_ns();
		for (uint64_t i = 0; i < SIZE(ROUNDS); i++)
			measures[m].one(i);
		printf("%.2f\n", (now_ns() - start) / (double)SIZE(ROUNDS));
		fflush(stdout);
		_exit(0);
	}
	fail("what is to be measured: hit, miss, release or watch");
}
