// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * torture: random changes of memory against random operations of devices (Y1, Y3, Y4, Y5,
 * Y8, Y9, Y10 under load; Y7 in deadlock.c).
 *
 * The question this file answers: how long, with which threads, kinds and devices, and
 * is everything back where it was at the end?
 *
 *	torture [--seconds N] [--raw] [--seed S] [--threads CHANGERS:DRIVERS]
 *		[--kinds anon,thp,...] [--devices ref,uring] [--folder DIR]
 *		[--nice N (of the changers)] [--stop N (violations)]
 *
 * Exit status: 0 no violation; 1 a violation, a leak or a hang; 77 not possible here.
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "account.h"
#include "mutate.h"

/* Where nobody but us maps anything: far below where the kernel looks for room. */
#define ARENA       0x200000000000ull
#define SMALL_NR    6
#define SMALL_PAGES 16
#define HUGE_NR     1
#define HEAP_NR     3
#define HEAP_PAGES  40
#define REGIONS     (SMALL_NR + HUGE_NR + HEAP_NR)
#define THREADS_MAX 16

_Atomic bool torture_stop;

static struct {
	unsigned int seconds, changers, drivers;
	int nice;
	unsigned int stop; /* after so many violations */
	uint64_t seed;
	bool raw;
	const char *devices;
} opt = {.seconds = 10, .changers = 2, .drivers = 3, .stop = 5, .devices = "ref,uring"};

static struct region regions[REGIONS];
static struct life lives[REGIONS];
static unsigned int nr_regions;
static const struct device *used[MUTATOR_DEVICES];
static unsigned int nr_used;

struct driver_thread {
	pthread_t thread;
	const struct device *dev;
	void *ctx;
	uint64_t rng;
	_Atomic uint64_t progress;
};
static struct driver_thread drivers[THREADS_MAX];
static struct mutator mutators[THREADS_MAX];
static pthread_t mutator_threads[THREADS_MAX];

/* ---- threads ------------------------------------------------------------------- */

static void *mutator_main(void *arg)
{
	struct mutator *m = arg;

	/* slow to run on when it was woken: what it is in the middle of takes longer */
	if (opt.nice && setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), opt.nice))
		change_failed("setpriority", NULL);
	while (!torture_stop)
		mutate_step(m, lives, nr_regions);
	return NULL;
}

static bool choose(struct driver_thread *t, struct region *favourite, struct op *op)
{
	struct region *r = favourite;

	if (!rnd_below(&t->rng, 4))
		r = &regions[rnd_below(&t->rng, nr_regions)];
	*op = (struct op){.who = t->dev->name};
	if (rnd_below(&t->rng, 2) && traffic_hint(op, &t->rng))
		return true;
	if (r->exclusive && pthread_rwlock_tryrdlock(&r->hold))
		return false;
	if (traffic_choose(op, r, &t->rng))
		return true;
	if (r->exclusive)
		pthread_rwlock_unlock(&r->hold);
	return false;
}

/* Up to DEVICE_DEPTH operations at once, mostly on few regions, so that they meet. */
static unsigned int choose_batch(struct driver_thread *t, struct op *ops)
{
	struct region *favourite = &regions[rnd_below(&t->rng, nr_regions)];
	unsigned int nr = 1 + rnd_below(&t->rng, DEVICE_DEPTH), have = 0;

	for (unsigned int i = 0; i < nr; i++) {
		if (!choose(t, favourite, &ops[have]))
			continue;
		ops[have].data = t->dev->buffer(t->ctx, have);
		op_prepare(&ops[have]);
		have++;
	}
	return have;
}

static void peek(struct driver_thread *t)
{
	size_t len;
	void *at = heap_freed(&t->rng, &len);

	if (at && len)
		t->dev->peek(t->ctx, at, len < DEVICE_BUFFER ? len : DEVICE_BUFFER);
}

static void *driver_main(void *arg)
{
	struct driver_thread *t = arg;
	struct op ops[DEVICE_DEPTH];

	while (!torture_stop) {
		unsigned int nr = choose_batch(t, ops);

		if (nr)
			t->dev->run(t->ctx, ops, nr);
		for (unsigned int i = 0; i < nr; i++)
			if (ops[i].region->exclusive)
				pthread_rwlock_unlock(&ops[i].region->hold);
		if (t->dev->peek && !rnd_below(&t->rng, 8))
			peek(t);
		atomic_fetch_add(&t->progress, 1);
	}
	return NULL;
}

static void attach_all(void)
{
	for (unsigned int i = 0; i < opt.drivers; i++) {
		struct driver_thread *t = &drivers[i];

		t->dev = used[i % nr_used];
		t->rng = stamp_mix(opt.seed * 31 + i + 1000) | 1;
		t->ctx = t->dev->attach();
		if (!t->ctx)
			change_failed("attach to a device", NULL);
	}
	for (unsigned int i = 0; i < opt.changers; i++) {
		struct mutator *m = &mutators[i];

		m->id = i;
		m->rng = stamp_mix(opt.seed * 31 + i + 1) | 1;
		m->dev[0] = &device_cpu;
		for (unsigned int k = 0; k < nr_used; k++)
			m->dev[k + 1] = used[k];
		m->nr_devices = nr_used + 1;
		for (unsigned int k = 0; k < m->nr_devices; k++) {
			m->ctx[k] = m->dev[k]->attach();
			if (!m->ctx[k])
				change_failed("attach to a device", NULL);
		}
		m->scratch = mmap(NULL, DEVICE_BUFFER, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (m->scratch == MAP_FAILED || fork_init(m))
			change_failed("mmap", NULL);
	}
}

static void detach_all(void)
{
	for (unsigned int i = 0; i < opt.drivers; i++)
		drivers[i].dev->detach(drivers[i].ctx);
	for (unsigned int i = 0; i < opt.changers; i++) {
		struct mutator *m = &mutators[i];

		for (unsigned int k = 0; k < m->nr_devices; k++)
			m->dev[k]->detach(m->ctx[k]);
		munmap(m->scratch, DEVICE_BUFFER);
		fork_fini(m);
	}
}

static void watch_all(void)
{
	static struct watched w[2 * THREADS_MAX];
	static char names[2 * THREADS_MAX][32];
	unsigned int nr = 0;

	for (unsigned int i = 0; i < opt.drivers; i++, nr++) {
		snprintf(names[nr], sizeof(names[0]), "device thread %u (%s)", i,
			 drivers[i].dev->name);
		w[nr] = (struct watched){names[nr], &drivers[i].progress, NULL};
	}
	for (unsigned int i = 0; i < opt.changers; i++, nr++) {
		snprintf(names[nr], sizeof(names[0]), "changer %u", i);
		w[nr] = (struct watched){names[nr], &mutators[i].progress,
					 (const char *const _Atomic *)&mutators[i].doing};
	}
	if (watchdog_start(w, nr))
		change_failed("the watchdog", NULL);
}

/* ---- one run -------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void run_threads(unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	torture_stop = false;
	watch_all();
	for (unsigned int i = 0; i < opt.drivers; i++)
		pthread_create(&drivers[i].thread, NULL, driver_main, &drivers[i]);
	for (unsigned int i = 0; i < opt.changers; i++)
		pthread_create(&mutator_threads[i], NULL, mutator_main, &mutators[i]);
	while (now_ms() < end && !torture_stop)
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	torture_stop = true;
	for (unsigned int i = 0; i < opt.changers; i++)
		pthread_join(mutator_threads[i], NULL);
	for (unsigned int i = 0; i < opt.drivers; i++)
		pthread_join(drivers[i].thread, NULL);
	watchdog_stop();
}

static int open_devices(void)
{
	for (unsigned int i = 0; i < nr_used; i++) {
		int err = used[i]->open(opt.raw);

		if (err) {
			while (i)
				used[--i]->close();
			return err;
		}
	}
	return 0;
}

/* From nothing to nothing. */
static int run_once(unsigned int ms)
{
	int err = open_devices();

	if (err)
		return err;
	attach_all();
	run_threads(ms);
	for (unsigned int i = 0; i < nr_regions; i++)
		if (lives[i].steps) {
			life_end(&lives[i]);
			lives[i].steps = 0;
		}
	detach_all();
	for (unsigned int i = nr_used; i-- > 0;)
		used[i]->close();
	malloc_trim(0);
	return 0;
}

static void make_regions(void)
{
	char *at = (char *)ARENA;

	for (unsigned int i = 0; i < REGIONS; i++) {
		unsigned int pages = i < SMALL_NR             ? SMALL_PAGES
				     : i < SMALL_NR + HUGE_NR ? HUGE_PAGES
							      : HEAP_PAGES;
		struct region *r = &regions[nr_regions];

		if (region_init(r, i + 1, pages, at) || life_init(&lives[nr_regions], r))
			change_failed("memory for the model", NULL);
		r->exclusive = pages == HEAP_PAGES;
		at += 8ull << 20;
		nr_regions++;
	}
}

static void stop_at_violation(void)
{
	if (atomic_load(&model_stats.violations) >= opt.stop)
		torture_stop = true;
}

static int report(const struct account *before)
{
	struct account after;
	bool ok;

	account_take(&after);
	ok = account_same(before, &after);
	printf("changes %llu, device reads %llu, writes %llu, MiB %llu, errors %llu, "
	       "unchecked pages %llu, violations %llu\n",
	       (unsigned long long)model_stats.changes,
	       (unsigned long long)model_stats.reads,
	       (unsigned long long)model_stats.writes,
	       (unsigned long long)model_stats.bytes >> 20,
	       (unsigned long long)model_stats.errors,
	       (unsigned long long)model_stats.unchecked,
	       (unsigned long long)model_stats.violations);
	printf("before: rss %ld kB, pinned %ld, locked %ld, mappings %ld, fds %ld, threads "
	       "%ld\n",
	       before->rss_kb, before->pinned_kb, before->locked_kb, before->mappings,
	       before->descriptors, before->threads);
	printf("after:  rss %ld kB, pinned %ld, locked %ld, mappings %ld, fds %ld, threads "
	       "%ld\n",
	       after.rss_kb, after.pinned_kb, after.locked_kb, after.mappings,
	       after.descriptors, after.threads);
	return ok && !model_stats.violations ? 0 : 1;
}

/* ---- options -------------------------------------------------------------------- */

static void usage(const char *what)
{
	fprintf(stderr,
		"torture: %s\n"
		"usage: torture [--seconds N] [--raw] [--seed S] [--threads "
		"CHANGERS:DRIVERS]\n"
		"               [--kinds LIST] [--devices LIST] [--folder DIR] [--nice "
		"N]\n",
		what);
	exit(2);
}

static void choose_kinds(const char *list)
{
	char copy[256], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		unsigned int k = 0;

		while (k < KINDS && strcmp(kind_names[k], w))
			k++;
		if (k == KINDS)
			usage("no such kind of memory");
		kinds_enabled |= 1u << k;
	}
}

static void choose_devices(const char *list)
{
	char copy[256], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		unsigned int k = 0;

		while (devices[k] && strcmp(devices[k]->name, w))
			k++;
		if (!devices[k] || nr_used == MUTATOR_DEVICES - 1)
			usage("no such device, or too many");
		used[nr_used++] = devices[k];
	}
}

static void option(int c, const char *arg)
{
	switch (c) {
	case 's':
		opt.seconds = (unsigned int)strtoul(arg, NULL, 10);
		break;
	case 'r':
		opt.raw = true;
		break;
	case 'S':
		opt.seed = strtoull(arg, NULL, 0);
		break;
	case 't':
		if (sscanf(arg, "%u:%u", &opt.changers, &opt.drivers) != 2 ||
		    opt.changers < 1 || opt.changers > THREADS_MAX ||
		    opt.drivers > THREADS_MAX)
			usage("--threads wants CHANGERS:DRIVERS");
		break;
	case 'k':
		choose_kinds(arg);
		break;
	case 'd':
		opt.devices = arg;
		break;
	case 'f':
		file_folder = arg;
		break;
	case 'o':
		opt.stop = (unsigned int)strtoul(arg, NULL, 10);
		break;
	case 'n':
		opt.nice = atoi(arg);
		break;
	default:
		usage("unknown option");
	}
}

static void options(int argc, char **argv)
{
	static const struct option longs[] = {
		{"seconds", required_argument, NULL, 's'},
		{"raw", no_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 'S'},
		{"threads", required_argument, NULL, 't'},
		{"kinds", required_argument, NULL, 'k'},
		{"devices", required_argument, NULL, 'd'},
		{"folder", required_argument, NULL, 'f'},
		{"nice", required_argument, NULL, 'n'},
		{"stop", required_argument, NULL, 'o'},
		{0},
	};
	struct timespec ts;
	int c;

	clock_gettime(CLOCK_REALTIME, &ts);
	opt.seed = (uint64_t)ts.tv_nsec ^ (uint64_t)getpid() << 32;
	file_folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		option(c, optarg);
	if (optind < argc)
		usage("unexpected argument");
	dax_folders[0] = getenv("HMM_DAX_EXT4");
	dax_folders[1] = getenv("HMM_DAX_XFS");
	if (!dax_folders[0]) {
		dax_folders[0] = dax_folders[1];
		dax_folders[1] = NULL;
	}
	if (!kinds_enabled)
		kinds_enabled = (1u << KINDS) - 1;
	if (!dax_folders[0])
		kinds_enabled &= ~(1u << KIND_DAX | 1u << KIND_PDAX);
	if (!kinds_enabled) {
		printf("skipped: no directory on DAX: HMM_DAX_EXT4 or HMM_DAX_XFS name one "
		       "(./run lab has some)\n");
		exit(77);
	}
	choose_devices(opt.devices);
}

int main(int argc, char **argv)
{
	struct account before;
	int err;

	stamp_init();
	options(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* blocks of 64 KiB and more come and go by mmap and munmap, inside libc */
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	mallopt(M_ARENA_MAX, 2);
	calls = opt.raw ? &calls_raw : &calls_libc;
	if (calls_init())
		change_failed("pidfd_open", NULL);
	make_regions();
	model_violated = stop_at_violation;
	printf("seed %llu, %s, %u s, %u changers, %u device threads, devices %s\n",
	       (unsigned long long)opt.seed, calls->name, opt.seconds, opt.changers,
	       opt.drivers, opt.devices);
	/* what is allocated once and kept (malloc's arenas, ...) is not a leak */
	err = run_once(500);
	if (err) {
		fprintf(stderr, "SKIP: a device does not open here: %s\n", strerror(-err));
		return err == -EPERM || err == -ENOSYS ? 77 : 1;
	}
	account_take(&before);
	if (!torture_stop || !model_stats.violations)
		run_once(opt.seconds * 1000);
	err = report(&before);
	calls_fini();
	return err;
}
