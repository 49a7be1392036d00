// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Is the object dead in the child of a fork, and as before in the parent? (Y9)
 *
 * The child has none of the parent's threads, and perhaps its lock held: a call that waited
 * for either would hang, so each has an alarm.
 */
#include "fake.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;
static struct hmm_translation held;

static void up(void)
{
	fake_start(&fake, 100, 300);
	fake_device_open(&fake, &dev, only_pin);
	mirror = fake_mirror(&dev, NULL);
	fake_map(&fake, 0, 16, HMM_READ, true);
	CHECK(!hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &held));
}

static void down(void)
{
	CHECK(hmm_translation_valid(&held)); /* as before */
	CHECK(!hmm_translation_put(&held));
	CHECK(!hmm_mirror_destroy(mirror));
	fake_device_close(&dev);
	fake_stop(&fake);
}

static void dead_calls(void)
{
	struct hmm_range range = {
		.size = sizeof(struct hmm_range),
		.mirror = mirror,
		.start = fake_addr(0),
		.end = fake_addr(1),
	};
	struct hmm_translation t;
	struct hmm_stats stats;
	struct hmm_device *device;
	struct hmm_mirror *other;

	CHECK(core_dead(fake.hmm));
	CHECK(hmm_translate(mirror, fake_ptr(0), 1, HMM_READ, &t) == -ECHILD);
	CHECK(hmm_translate(mirror, fake_ptr(4), 1, HMM_READ, &t) == -ECHILD);
	CHECK(!hmm_translation_valid(&held));
	CHECK(!hmm_translation_put(&held));
	CHECK(hmm_range_begin(&range) == -ECHILD && hmm_range_retry(&range));
	CHECK(hmm_range_wait(&range, 1000) == -ECHILD);
	CHECK(hmm_invalidate(fake.hmm, fake_ptr(0), 1) == -ECHILD);
	CHECK(hmm_stats_read(fake.hmm, NULL, &stats, sizeof(stats)) == -ECHILD);
	CHECK(hmm_quiesce(fake.hmm, 1000) == -ECHILD);
	CHECK(hmm_device_register(fake.hmm, &dev.driver, NULL, &device) == -ECHILD);
	CHECK(hmm_mirror_create(dev.device, NULL, &other) == -ECHILD);
	CHECK(!hmm_mirror_destroy(mirror) && hmm_device_unregister(dev.device) == -ECHILD);
}

/*
 * The thread sanitizer knows no threads in the child of a threaded process; the address
 * sanitizer's allocator may have been locked by another thread at the fork.
 */
#if CORE_TSAN || defined(__SANITIZE_ADDRESS__)
#define CHILD_MAY_LIVE false
#else
#define CHILD_MAY_LIVE true
#endif

/* The child may have a mirror of its own. */
static void new_life(void)
{
	static struct fake again;
	struct fake_device device;
	struct hmm_mirror *other;
	struct hmm_translation t;

	fake_start(&again, 10, 300);
	fake_device_open(&again, &device, only_pin);
	other = fake_mirror(&device, NULL);
	fake_map(&again, 0, 1, HMM_READ, true);
	CHECK(!hmm_translate(other, fake_ptr(0), 1, HMM_READ, &t));
	CHECK(!hmm_translation_put(&t));
	fake_device_close(&device);
	fake_stop(&again);
}

static void child_is_dead(pid_t child)
{
	int status;

	CHECK(child >= 0);
	if (!child) {
		alarm(20);
		dead_calls();
		if (CHILD_MAY_LIVE)
			new_life();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void with_handlers(void)
{
	pid_t child;

	up();
	child = fork();
	if (!child)
		core_fork_child(fake.hmm);
	child_is_dead(child);
	down();
}

/* A clone that runs no handlers: the wiped word tells. */
static void without_handlers(void)
{
	up();
	child_is_dead((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	down();
}

/* The lock was another thread's, and stays locked in the child. */
static pthread_barrier_t locked;

static void *hold_the_lock(void *arg)
{
	core_lock(fake.hmm);
	pthread_barrier_wait(&locked);
	pthread_barrier_wait(&locked);
	core_unlock(fake.hmm);
	return NULL;
}

static void while_locked(void)
{
	struct change change;
	pthread_t thread;
	pid_t child;

	up();
	change_begin(fake.hmm, &change, fake_addr(8), fake_addr(9)); /* never ended there */
	pthread_barrier_init(&locked, NULL, 2);
	CHECK(!pthread_create(&thread, NULL, hold_the_lock, NULL));
	pthread_barrier_wait(&locked);
	child = fork();
	if (!child)
		core_fork_child(fake.hmm);
	child_is_dead(child);
	pthread_barrier_wait(&locked);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&locked);
	change_end(fake.hmm, &change);
	down();
}

int main(void)
{
	RUN(with_handlers);
	RUN(without_handlers);
	RUN(while_locked);
	return 0;
}
