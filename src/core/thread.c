/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does the library keep for each thread?
 *
 * Its references to translations (a stripe: an array with a word a slot, written by this
 * thread alone), whether it is inside the core, and its last error. A stripe goes back to
 * the struct hmm when the thread ends; what is counted in it stays: only the sum over all
 * stripes means something.
 *
 * More than STRIPES - 1 threads share the last one, with atomic additions.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/core.h"
#include "util/arena.h"

#define ERROR_SIZE 320

HIDDEN __thread struct self self __attribute__((tls_model("initial-exec")));

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_ok;

/* The struct hmm whose stripes threads hold now; guarded by stripe_lock. */
static pthread_mutex_t stripe_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hmm *current;

static void stripes_lock(void)
{
	undisturbed_begin();
	pthread_mutex_lock(&stripe_lock);
}

static void stripes_unlock(void)
{
	pthread_mutex_unlock(&stripe_lock);
	undisturbed_end();
}

static void thread_exit(void *unused)
{
	stripes_lock();
	if (current && self.hmm_id == current->id && !self.shared)
		for (uint32_t i = 0; i < current->nr_stripes; i++)
			if (current->counts[i] == self.counts)
				current->stripes_free |= 1ull << i;
	stripes_unlock();
	self.hmm_id = 0;
	free(self.error);
	self.error = NULL;
}

static void key_make(void)
{
	key_ok = pthread_key_create(&key, thread_exit) == 0;
}

/* A destructor for this thread; without one its stripe would be lost at its end. */
static bool thread_watch_exit(void)
{
	pthread_once(&key_once, key_make);
	return key_ok && pthread_setspecific(key, &self) == 0;
}

static int stripe_take(struct hmm *hmm, uint32_t *out)
{
	int err;

	if (hmm->stripes_free) {
		*out = (uint32_t)__builtin_ctzll(hmm->stripes_free);
		hmm->stripes_free &= hmm->stripes_free - 1;
		return 0;
	}
	if (hmm->nr_stripes == STRIPES) {
		*out = STRIPES - 1;
		return 0;
	}
	_Atomic uint32_t *counts =
		arena_reserve((size_t)hmm->max_slots * sizeof(*counts), &err);
	if (!counts)
		return err;
	*out = hmm->nr_stripes;
	/* slot_sum() reads nr_stripes, then the arrays. */
	hmm->counts[*out] = counts;
	__atomic_store_n(&hmm->nr_stripes, *out + 1, __ATOMIC_RELEASE);
	return 0;
}

int thread_attach(struct hmm *hmm)
{
	uint32_t stripe = 0;

	if (self.hmm_id == hmm->id)
		return 0;
	if (!thread_watch_exit())
		return core_error(-ENOMEM,
				  "cannot keep a record of this thread: out of memory "
				  "or of thread keys");
	stripes_lock();
	current = hmm;
	int err = stripe_take(hmm, &stripe);
	stripes_unlock();
	if (err)
		return core_error(err,
				  "cannot reserve %zu bytes of address space for this "
				  "thread's references: raise RLIMIT_AS or lower "
				  "max_translations",
				  (size_t)hmm->max_slots * 4);
	self.counts = hmm->counts[stripe];
	self.shared = stripe == STRIPES - 1;
	self.hmm_id = hmm->id;
	return 0;
}

void thread_detach_all(struct hmm *hmm)
{
	stripes_lock();
	if (current == hmm)
		current = NULL;
	stripes_unlock();
	for (uint32_t i = 0; i < hmm->nr_stripes; i++)
		arena_free(hmm->counts[i], (size_t)hmm->max_slots * sizeof(uint32_t));
	if (self.hmm_id == hmm->id)
		self.hmm_id = 0;
}

/* The other threads are gone, and may have held the lock; what was counted is the parent's.
 */
void thread_fork_child(void)
{
	pthread_mutex_init(&stripe_lock, NULL);
	current = NULL;
	self.hmm_id = 0;
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
