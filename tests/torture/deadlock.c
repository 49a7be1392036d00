// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * deadlock: threads that hold a lock of their own around everything.
 *
 * The question this file answers: can a program stall the library, or be stalled by it,
 * whatever lock it holds and whatever a driver does in map and release? (Y7)
 *
 * One application lock (big) is held around malloc, free, realloc, mmap, munmap, thread
 * creation and translation. The device of this test maps nothing: its map allocates (from
 * the heap, and by mmap), and its release takes the application's lock, frees and unmaps
 * that memory, which is itself mirrored by then. A signal lands in any of this and unmaps
 * mirrored memory. The watchdog looks on.
 *
 *	deadlock [SECONDS]
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hmm/driver.h>

#include "account.h"

#define BLOCKS  256
#define THREADS 7
#define PAGE    ((size_t)getpagesize())

static pthread_mutex_t big; /* recursive: the application's own */
static struct hmm *hmm;
static struct hmm_mirror *mirror;
static _Atomic bool stop;
static _Atomic uint64_t progress[THREADS];
static const char *_Atomic doing[THREADS];
static _Atomic uint64_t maps, releases, translated, refused, signals, forks;

static void fail(const char *what, int err)
{
	fprintf(stderr, "FAIL: %s: %s (%s)\n", what, strerror(-err), hmm_error());
	_exit(1);
}

/* ---- the device ------------------------------------------------------------------ */

/* What map took, and release gives back: application memory like any other. */
struct block {
	char *heap, *mapped;
	size_t heap_len, mapped_len;
};
/* Where the threads find such memory, to mirror it. */
static char *_Atomic blocks[BLOCKS];

static uint64_t rnd(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

static int device_map(struct hmm_device *device, struct hmm_mapping *mapping)
{
	static _Atomic uint64_t seed = 1;
	uint64_t rng = atomic_fetch_add(&seed, 1) * 2654435761u;
	struct block *b = malloc(sizeof(*b));

	if (!b)
		return -ENOMEM;
	if (rnd(&rng) % 100 == 0) {
		free(b);
		return -ENOSPC;
	}
	b->heap_len = 100 + rnd(&rng) % (256 * 1024);
	b->heap = malloc(b->heap_len);
	b->mapped_len = PAGE * (1 + rnd(&rng) % 16);
	b->mapped = mmap(NULL, b->mapped_len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!b->heap || b->mapped == MAP_FAILED)
		fail("memory for a block", -ENOMEM);
	memset(b->heap, 1, b->heap_len);
	memset(b->mapped, 1, b->mapped_len);
	blocks[rnd(&rng) % BLOCKS] = rnd(&rng) % 2 ? b->heap : b->mapped;
	mapping->priv = b;
	mapping->addr = mapping->start;
	mapping->key = 0;
	atomic_fetch_add(&maps, 1);
	return 0;
}

static void device_revoke(struct hmm_device *device, struct hmm_mapping *mapping)
{
}

static void device_release(struct hmm_device *device, struct hmm_mapping *mapping)
{
	struct block *b = mapping->priv;

	pthread_mutex_lock(&big);
	free(b->heap);
	munmap(b->mapped, b->mapped_len);
	free(b);
	pthread_mutex_unlock(&big);
	atomic_fetch_add(&releases, 1);
}

static const struct hmm_driver_ops ops = {
	.size = sizeof(ops),
	.map = device_map,
	.revoke = device_revoke,
	.release = device_release,
};
static const struct hmm_driver driver = {
	.size = sizeof(driver),
	.abi = HMM_DRIVER_ABI,
	.name = "deadlock",
	.license = "GPL-2.0-or-later",
	.ops = &ops,
	.modes = {HMM_MODE_PIN, HMM_MODE_DIRECT},
	.nr_modes = 2,
};

/* ---- the program ----------------------------------------------------------------- */

static void translate(struct hmm_mirror *to, const void *at, size_t len)
{
	struct hmm_translation t;
	int err = hmm_translate(to, at, len, HMM_READ, &t);

	if (err == -ETIMEDOUT)
		fail("hmm_translate", err);
	if (err) {
		atomic_fetch_add(&refused, 1);
		return;
	}
	atomic_fetch_add(&translated, 1);
	err = hmm_translation_put(&t);
	if (err)
		fail("hmm_translation_put", err);
}

static void step_heap(uint64_t *rng)
{
	size_t len = 1 + rnd(rng) % (200 * 1024);
	char *p;

	pthread_mutex_lock(&big);
	p = malloc(len);
	memset(p, 2, len);
	translate(mirror, p, len < 3000 ? len : 3000);
	if (rnd(rng) % 2) {
		p = realloc(p, len * 2);
		translate(mirror, p + len, 1);
	}
	free(p);
	if (rnd(rng) % 16 == 0)
		malloc_trim(0);
	pthread_mutex_unlock(&big);
}

static void step_map(uint64_t *rng)
{
	size_t len = PAGE * (1 + rnd(rng) % 32);
	struct hmm_translation t;
	int err;
	char *p;

	pthread_mutex_lock(&big);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 3, len);
	err = hmm_translate(mirror, p, 1 + rnd(rng) % len, HMM_READ | HMM_WRITE, &t);
	if (err == -ETIMEDOUT)
		fail("hmm_translate", err);
	if (rnd(rng) % 2)
		madvise(p, len, MADV_DONTNEED);
	if (rnd(rng) % 4 == 0)
		mprotect(p, len, PROT_READ);
	munmap(p, len); /* with the translation still held */
	pthread_mutex_unlock(&big);
	if (!err)
		hmm_translation_put(&t);
}

/* The driver's own memory is mirrored: its release will have to unmap that. */
static void step_blocks(uint64_t *rng)
{
	char *p = blocks[rnd(rng) % BLOCKS];

	if (p)
		translate(mirror, p, 1);
}

static void *nothing(void *arg)
{
	char room[5000];

	memset(room, 4, sizeof(room));
	translate(mirror, room, sizeof(room));
	return NULL;
}

/* pthread_create and join unmap and discard stacks under the big lock of the thread. */
static void step_thread(uint64_t *rng)
{
	static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024 + PAGE * (rnd(rng) % 64));
	pthread_mutex_lock(&own);
	if (!pthread_create(&t, &attr, nothing, NULL))
		pthread_join(t, NULL);
	pthread_mutex_unlock(&own);
	pthread_attr_destroy(&attr);
}

static void step_fork(uint64_t *rng)
{
	int status = 0;
	pid_t pid;

	pthread_mutex_lock(&big);
	pid = fork();
	if (pid == 0) {
		char *p = malloc(300000);

		memset(p, 5, 300000);
		free(p);
		_exit(0);
	}
	pthread_mutex_unlock(&big);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail("the child of a fork", -ECHILD);
	atomic_fetch_add(&forks, 1);
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void step_mirror(uint64_t *rng)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .max_pinned = 1 << 20};
	struct hmm_device *device;
	struct hmm_mirror *second;
	int err = hmm_device_register(hmm, &driver, NULL, &device);

	if (err)
		fail("hmm_device_register", err);
	err = hmm_mirror_create(device, &attr, &second);
	if (err)
		fail("hmm_mirror_create", err);
	for (unsigned int i = 0; i < 20; i++) {
		char *p = blocks[rnd(rng) % BLOCKS];

		if (p)
			translate(second, p, 1);
	}
	if (rnd(rng) % 2) {
		err = hmm_mirror_destroy(second);
		if (err)
			fail("hmm_mirror_destroy", err);
	}
	err = hmm_device_unregister(device);
	if (err)
		fail("hmm_device_unregister", err);
}

/* ---- signals --------------------------------------------------------------------- */

/* Memory that a handler takes away and puts back, whatever its thread is inside of. */
static char *_Atomic victim;
#define VICTIM_LEN (16 * PAGE)

static void handler(int sig)
{
	int saved = errno;
	char *p = atomic_exchange(&victim, NULL);

	if (p) {
		munmap(p, VICTIM_LEN);
		p = mmap(p, VICTIM_LEN, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (p == MAP_FAILED) /* somebody else has the addresses by now */
			p = mmap(NULL, VICTIM_LEN, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		victim = p == MAP_FAILED ? NULL : p;
	}
	atomic_fetch_add(&signals, 1);
	errno = saved;
}

static void step_signal(uint64_t *rng)
{
	char *p = victim;

	if (p)
		translate(mirror, p, 1);
	kill(getpid(), SIGUSR1);
	nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

/* ---- */

static const struct {
	const char *name;
	void (*step)(uint64_t *rng);
} threads[THREADS] = {
	{"heap", step_heap},     {"map", step_map},   {"blocks", step_blocks},
	{"thread", step_thread}, {"fork", step_fork}, {"mirror", step_mirror},
	{"signal", step_signal},
};

static void *run(void *arg)
{
	unsigned int i = (unsigned int)(uintptr_t)arg;
	uint64_t rng = i + 1;

	doing[i] = threads[i].name;
	while (!stop) {
		threads[i].step(&rng);
		atomic_fetch_add(&progress[i], 1);
	}
	return NULL;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void run_all(unsigned int ms)
{
	static struct watched watched[THREADS];
	pthread_t ids[THREADS];
	sigset_t usr1;
	uint64_t end;

	stop = false;
	for (unsigned int i = 0; i < THREADS; i++)
		watched[i] = (struct watched){threads[i].name, &progress[i],
					      (const char *const _Atomic *)&doing[i]};
	/* signals are for the threads that are inside of something */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	if (watchdog_start(watched, THREADS))
		fail("the watchdog", -EAGAIN);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_create(&ids[i], NULL, run, (void *)(uintptr_t)i);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	end = now_ms() + ms;
	while (now_ms() < end)
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	stop = true;
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(ids[i], NULL);
	watchdog_stop();
}

static int once(unsigned int ms)
{
	struct hmm_device *device;
	int err = hmm_open(NULL, &hmm);

	if (err)
		return err;
	err = hmm_device_register(hmm, &driver, NULL, &device);
	if (err)
		fail("hmm_device_register", err);
	err = hmm_mirror_create(device, NULL, &mirror);
	if (err)
		fail("hmm_mirror_create", err);
	run_all(ms);
	err = hmm_device_unregister(device);
	if (err)
		fail("hmm_device_unregister", err);
	hmm_close(hmm);
	malloc_trim(0);
	return 0;
}

static int report(const struct account *before)
{
	struct account after;
	bool ok;

	account_take(&after);
	ok = account_same(before, &after);
	if (maps != releases) {
		fprintf(stderr, "FAIL: %llu mapped, %llu released\n",
			(unsigned long long)maps, (unsigned long long)releases);
		ok = false;
	}
	printf("translated %llu, refused %llu, mapped and released %llu, signals %llu, "
	       "forks "
	       "%llu; rss %ld -> %ld kB, mappings %ld -> %ld\n",
	       (unsigned long long)translated, (unsigned long long)refused,
	       (unsigned long long)maps, (unsigned long long)signals,
	       (unsigned long long)forks, before->rss_kb, after.rss_kb, before->mappings,
	       after.mappings);
	for (unsigned int i = 0; i < THREADS; i++) {
		printf("  %s: %llu steps\n", threads[i].name,
		       (unsigned long long)progress[i]);
		ok &= progress[i] > 0;
	}
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 5;
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct account before;
	pthread_mutexattr_t attr;
	int err;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&big, &attr);
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	victim = mmap(NULL, VICTIM_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	sigaction(SIGUSR1, &sa, NULL);
	err = once(500);
	if (err == -EPERM || err == -ENOSYS) {
		printf("SKIP: %s\n", hmm_error());
		return 77;
	}
	if (err)
		fail("hmm_open", err);
	account_take(&before);
	once(seconds * 1000);
	return report(&before);
}
