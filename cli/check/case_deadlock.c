// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `hmm check`: can a program deadlock against the library (Y7)?
 *
 * Threads hold locks of their own around malloc, free, mmap, munmap, dlopen, fork and the
 * device's calls, while a signal handler unmaps memory in the midst of it all. Beside the
 * device under test there is one whose release takes the same locks, frees memory that is
 * mirrored, and unmaps more. A watchdog says which thread stands still, and in what.
 */
#include "cases.h"
#include "kinds.h"

#include <hmm/driver.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS  4
#define STALL_MS 8000 /* below the 10 s after which the library itself gives up waiting */
#define BLOCK    ((size_t)300 << 10)
#define LEN      (8 * KIT_PAGE)
#define VICTIMS  32

struct worker {
	pthread_t thread;
	struct scene *scene;
	unsigned int nr;
	uint8_t *region; /* guarded by the scene's lock */
	atomic_uint beat;
	const char *volatile step;
};

struct scene {
	struct check_run *run;
	struct hmm_mirror *freeing; /* of the device whose release frees */
	pthread_mutex_t lock;       /* the program's own, held around everything */
	pthread_rwlock_t gate;      /* another one, taken inside */
	void *victims[VICTIMS];     /* mirrored blocks that release frees; under lock */
	atomic_uint released, freed;
	atomic_bool stop;
	struct worker workers[WORKERS];
};

static struct scene *the_scene; /* the driver's and the signal handler's */

/* ---- a driver whose release frees -------------------------------------------------------
 */

static int freeing_map(struct hmm_device *device, struct hmm_mapping *mapping)
{
	mapping->priv = malloc(BLOCK); /* a mapping of its own */
	if (!mapping->priv)
		return -ENOMEM;
	memset(mapping->priv, 1, KIT_PAGE);
	mapping->addr = mapping->start;
	mapping->key = 0;
	return 0;
}

static void freeing_revoke(struct hmm_device *device, struct hmm_mapping *mapping)
{
}

/* As a device library's deregistration does: it locks, frees, maps and unmaps. */
static void freeing_release(struct hmm_device *device, struct hmm_mapping *mapping)
{
	struct scene *scene = the_scene;
	void *victim = NULL;
	void *p;

	pthread_mutex_lock(&scene->lock);
	for (int i = 0; i < VICTIMS && !victim; i++) {
		victim = scene->victims[i];
		scene->victims[i] = NULL;
	}
	free(victim);
	pthread_mutex_unlock(&scene->lock);
	free(mapping->priv);
	p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		munmap(p, BLOCK);
	atomic_fetch_add(&scene->released, 1);
	atomic_fetch_add(&scene->freed, victim != NULL);
}

static const struct hmm_driver_ops freeing_ops = {
	.size = sizeof(freeing_ops),
	.map = freeing_map,
	.revoke = freeing_revoke,
	.release = freeing_release,
};

static const struct hmm_driver freeing_driver = {
	.size = sizeof(freeing_driver),
	.abi = HMM_DRIVER_ABI,
	.name = "freeing",
	.license = "GPL-2.0-or-later",
	.ops = &freeing_ops,
	.modes = {HMM_MODE_PIN, HMM_MODE_DIRECT},
	.nr_modes = 2,
};

/* ---- what the threads do
 * ---------------------------------------------------------------------- */

static uint8_t *handlers_region; /* a signal handler unmaps it; under nobody's lock */

static void use_region(struct worker *w, uint32_t dice)
{
	struct check_run *run = w->scene->run;
	uint8_t byte = (uint8_t)(dice >> 8) | 1, got = 0;
	uint8_t *at = w->region + dice % LEN;
	int rc;

	w->step = "a device write";
	rc = kit_write(&run->env->use, at, &byte, 1);
	if (rc)
		check_fail(run, "a device write: %s", strerror(-rc));
	else if (*at != byte)
		check_stale(run, "a device write of %02x is lost: %02x", byte, *at);
	w->step = "a device read";
	rc = kit_read(&run->env->use, at, &got, 1);
	if (rc)
		check_fail(run, "a device read: %s", strerror(-rc));
	else if (got != byte)
		check_stale(run, "the device reads %02x, not %02x", got, byte);
}

static void change_region(struct worker *w, uint32_t dice)
{
	const struct kit_calls *calls = kit_calls(dice & 1 ? WAY_RAW : WAY_LIBC, dice);

	w->step = "munmap and mmap";
	calls->munmap(w->region, LEN);
	if (calls->mmap(w->region, LEN, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != w->region)
		check_fail(w->scene->run, "mmap: %s", strerror(errno));
	w->step = "madvise";
	calls->madvise(w->region, LEN, MADV_DONTNEED);
}

static void translate(struct worker *w, void *at, size_t len)
{
	struct hmm_mirror *mirrors[] = {w->scene->freeing, w->scene->run->env->mirror};
	struct hmm_translation t;

	w->step = "hmm_translate";
	for (int i = 0; i < 2; i++) {
		if (!hmm_translate(mirrors[i], at, len, HMM_READ | HMM_WRITE, &t))
			hmm_translation_put(&t);
	}
}

/* A block that is mirrored, and freed here, or later by the driver's release. */
static void leave_victim(struct worker *w, uint32_t dice)
{
	struct scene *scene = w->scene;
	void **place = &scene->victims[dice % VICTIMS];
	void *block;

	w->step = "malloc";
	block = malloc(BLOCK);
	if (!block)
		return;
	translate(w, block, KIT_PAGE);
	w->step = "free";
	if (*place) {
		free(block);
	} else {
		*place = block;
	}
}

static void load_library(struct worker *w)
{
	static uint8_t base[KIT_PAGES * KIT_PAGE_MAX];
	struct kit_region r = {.base = base, .len = KIT_PAGES * KIT_PAGE, .fd = -1};

	w->step = "dlopen";
	if (make_library(&r))
		return;
	translate(w, r.addr, KIT_PAGE);
	w->step = "dlclose";
	unmake_library(&r);
}

static void fork_one(struct worker *w, uint32_t dice)
{
	pid_t pid;

	w->step = "fork";
	pid = kit_calls(dice & 1 ? WAY_RAW : WAY_LIBC, 0)->fork();
	if (!pid)
		_exit(0);
	w->step = "waitpid";
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static void one_step(struct worker *w, uint32_t dice)
{
	unsigned int what = dice % 64;

	if (what < 20)
		use_region(w, dice);
	else if (what < 36)
		change_region(w, dice);
	else if (what < 50)
		leave_victim(w, dice >> 8);
	else if (what < 60)
		translate(w, dice & 256 ? handlers_region : w->region, LEN);
	else if (what < 62)
		load_library(w);
	else if (what < 63)
		fork_one(w, dice >> 8);
	else
		hmm_quiesce(w->scene->run->env->hmm, 1);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct scene *scene = w->scene;
	uint32_t dice = 0x9e3779b9u * (w->nr + 1);

	while (!atomic_load(&scene->stop) && !scene->run->failed) {
		dice ^= dice << 13;
		dice ^= dice >> 17;
		dice ^= dice << 5;
		w->step = "taking the program's own lock";
		pthread_mutex_lock(&scene->lock);
		if (dice & (1u << 30))
			pthread_rwlock_wrlock(&scene->gate);
		else
			pthread_rwlock_rdlock(&scene->gate);
		one_step(w, dice);
		pthread_rwlock_unlock(&scene->gate);
		pthread_mutex_unlock(&scene->lock);
		atomic_fetch_add(&w->beat, 1);
	}
	w->step = "done";
	return NULL;
}

/* ---- in a signal handler, too
 * -------------------------------------------------------------- */

static void on_alarm(int signal)
{
	int saved = errno;

	/* Mirrored, and unmapped in the midst of whatever the thread was doing. */
	munmap(handlers_region, LEN);
	(void)mmap(handlers_region, LEN, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	errno = saved;
}

static void ring_every_ms(long us)
{
	struct itimerval timer = {{0, us}, {0, us}};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- the watchdog
 * ------------------------------------------------------------------------------ */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
	struct timespec ts = {0, ms * 1000000};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		continue;
}

/* One holds the lock that the others wait for: say where all of them are. */
static bool stalled(struct scene *scene)
{
	const struct worker *w = scene->workers;

	check_fail(scene->run, "threads stand still for %d s: in %s; %s; %s; %s",
		   STALL_MS / 1000, w[0].step, w[1].step, w[2].step, w[3].step);
	return false;
}

static bool wait_for_end(struct scene *scene, bool stopping)
{
	uint64_t since[WORKERS], start = now_ms();
	unsigned int seen[WORKERS];

	for (int i = 0; i < WORKERS; i++) {
		since[i] = start;
		seen[i] = atomic_load(&scene->workers[i].beat);
	}
	for (;;) {
		bool all_done = true;

		pause_ms(100);
		++*check_beat;
		for (int i = 0; i < WORKERS; i++) {
			struct worker *w = &scene->workers[i];
			unsigned int beat = atomic_load(&w->beat);

			if (!strcmp(w->step, "done"))
				continue;
			all_done = false;
			if (beat != seen[i]) {
				seen[i] = beat;
				since[i] = now_ms();
			} else if (now_ms() - since[i] > STALL_MS) {
				return stalled(scene);
			}
		}
		if (all_done)
			return true;
		if (!stopping &&
		    now_ms() - start > check_options.deadlock_seconds * 1000ull)
			return true;
	}
}

static int scene_open(struct scene *scene, struct hmm_device **device)
{
	struct check_run *run = scene->run;
	pthread_mutexattr_t recursive;
	int err = hmm_device_register(run->env->hmm, &freeing_driver, NULL, device);

	if (!err)
		err = hmm_mirror_create(*device, NULL, &scene->freeing);
	if (err)
		return check_fail(run, "the freeing device: %d, %s", err, hmm_error());
	/* Recursive: release may come in a thread whose own call has lost a race. */
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&scene->lock, &recursive);
	pthread_rwlock_init(&scene->gate, NULL);
	handlers_region = case_map(LEN);
	for (unsigned int i = 0; i < WORKERS; i++) {
		struct worker *w = &scene->workers[i];

		w->scene = scene;
		w->nr = i;
		w->step = "starting";
		w->region = case_map(LEN);
		if (!w->region || pthread_create(&w->thread, NULL, work, w))
			return check_fail(run, "no memory or no thread");
	}
	return 0;
}

/* The main thread watches, and gives the handler's memory to the device at times. */
static void scene_play(struct scene *scene)
{
	unsigned int steps = 0;

	ring_every_ms(5000);
	if (!wait_for_end(scene, false))
		_exit(0); /* the verdict is there; nothing more can be closed */
	ring_every_ms(0);
	atomic_store(&scene->stop, true);
	if (!wait_for_end(scene, true))
		_exit(0);
	for (int i = 0; i < WORKERS; i++) {
		steps += atomic_load(&scene->workers[i].beat);
		pthread_join(scene->workers[i].thread, NULL);
	}
	if (!scene->run->failed)
		snprintf(scene->run->result->detail, sizeof(scene->run->result->detail),
			 "%u s, no stall: %u steps, %u releases, which freed %u mirrored "
			 "blocks",
			 check_options.deadlock_seconds, steps,
			 atomic_load(&scene->released), atomic_load(&scene->freed));
	if (!scene->run->failed && !atomic_load(&scene->freed))
		check_fail(scene->run, "no release freed anything in %u steps", steps);
}

void case_deadlock(struct check_run *run)
{
	static struct scene scene;
	struct hmm_device *device;
	int err;

	scene.run = run;
	the_scene = &scene;
	if (scene_open(&scene, &device))
		_exit(0);
	scene_play(&scene);
	err = hmm_device_unregister(device);
	if (err)
		check_fail(run, "closing the freeing device: %d", err);
	for (int i = 0; i < VICTIMS; i++)
		free(scene.victims[i]);
}
