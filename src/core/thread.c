/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does a thread have of the library's: the mirror lock, its last error, and an end?
 *
 * Its references are in hold.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/core.h"

#define ERROR_SIZE 320

HIDDEN __thread struct self self __attribute__((tls_model("initial-exec")));

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_ok;

static void thread_exit(void *unused)
{
	holds_thread_exit();
	free(self.error);
	self.error = NULL;
}

static void key_make(void)
{
	key_ok = pthread_key_create(&key, thread_exit) == 0;
}

/* A destructor for this thread; without one its list would be lost at its end. */
bool thread_watch_exit(void)
{
	pthread_once(&key_once, key_make);
	return key_ok && pthread_setspecific(key, &self) == 0;
}

/*
 * In the child of a fork another thread of the parent may have held the lock. A handler
 * that forks comes back in the child to whatever it interrupted: there is one thread there,
 * which needs no lock to find out that the object is dead.
 */
void core_lock(struct hmm *hmm)
{
	undisturbed_begin();
	self.busy++;
	self.locked = !core_dead(hmm);
	if (self.locked)
		pthread_mutex_lock(&hmm->lock);
}

bool mutex_lock_within(pthread_mutex_t *mutex, uint32_t ms)
{
	struct timespec deadline;

#if CORE_TSAN /* which knows this function, and not the other */
	deadline_by(CLOCK_REALTIME, &deadline, ms);
	return !pthread_mutex_timedlock(mutex, &deadline);
#else
	deadline_in(&deadline, ms);
	return !pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &deadline);
#endif
}

bool core_lock_within(struct hmm *hmm, uint32_t ms)
{
	undisturbed_begin();
	if (mutex_lock_within(&hmm->lock, ms)) {
		self.busy++;
		self.locked = true;
		return true;
	}
	undisturbed_end();
	return false;
}

void core_unlock(struct hmm *hmm)
{
	if (self.locked)
		pthread_mutex_unlock(&hmm->lock);
	self.locked = false;
	self.busy--;
	undisturbed_end();
}

bool core_wait_locked(struct hmm *hmm, struct event_count *events,
		      const struct timespec *deadline)
{
	uint32_t count = event_count_prepare_locked(events);
	unsigned int depth;
	bool woken;

	core_assert_locked(hmm);
	core_unlock(hmm);
	depth = undisturbed_pause();
	woken = event_count_wait(events, count, deadline);
	undisturbed_resume(depth);
	core_lock(hmm);
	return woken;
}

void core_assert_locked(const struct hmm *hmm)
{
	if (unlikely(!self.busy)) {
		static const char message[] = "libhmm: the mirror lock is not held\n";

		fwrite(message, 1, sizeof(message) - 1, stderr);
		abort();
	}
}

bool core_busy(void)
{
	return self.busy != 0;
}

static int error_set(int err, const char *format, va_list args)
{
	if (!self.error && thread_watch_exit())
		self.error = malloc(ERROR_SIZE);
	if (self.error)
		vsnprintf(self.error, ERROR_SIZE, format, args);
	return err;
}

int core_error(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_set(err, format, args);
	va_end(args);
	return err;
}

int hmm_device_error(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_set(err, format, args);
	va_end(args);
	return err;
}

const char *hmm_error(void)
{
	return self.error ? self.error : "";
}
