/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How are signals and cancellation kept away, and how is a change waited for? (lock.h) */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "sys/sys.h"
#include "util/lock.h"

#define BIT(signal) (1ull << ((signal)-1))
#define OWN_FAULTS                                                               \
	(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGFPE) | BIT(SIGTRAP) | \
	 BIT(SIGSYS))
#define FIRST_REALTIME 32 /* of the kernel; libc takes some of them for itself */

static __thread struct {
	unsigned int depth;
	bool blocked;
	int cancel;
	uint64_t mask;
} disturbed __attribute__((tls_model("initial-exec")));

static uint64_t to_block(void)
{
	static _Atomic uint64_t mask;
	uint64_t found = atomic_load_explicit(&mask, memory_order_relaxed);

	if (!found) {
		found = ~OWN_FAULTS;
		for (int signal = FIRST_REALTIME; signal < SIGRTMIN; signal++)
			found &= ~BIT(signal);
		atomic_store_explicit(&mask, found, memory_order_relaxed);
	}
	return found;
}

/*
 * Signals first: a handler that leaves with siglongjmp() then finds nothing changed that it
 * would have to restore. Until the depth is counted a handler sees a thread that has not
 * begun. A filter may refuse the call: then handlers run, as they would without us.
 */
void undisturbed_begin(void)
{
	uint64_t mask = to_block();
	bool blocked;

	if (disturbed.depth) {
		disturbed.depth++;
		return;
	}
	blocked = !sys_sigmask(&mask, &mask);
	disturbed.mask = mask;
	disturbed.blocked = blocked;
	disturbed.cancel = cancel_disable();
	disturbed.depth = 1;
	atomic_signal_fence(memory_order_seq_cst);
}

void undisturbed_end(void)
{
	uint64_t mask = disturbed.mask;
	bool blocked = disturbed.blocked;

	atomic_signal_fence(memory_order_seq_cst);
	if (--disturbed.depth)
		return;
	cancel_restore(disturbed.cancel);
	if (blocked)
		sys_sigmask(&mask, NULL);
}

unsigned int undisturbed_pause(void)
{
	unsigned int depth = disturbed.depth;

	if (depth) {
		disturbed.depth = 1;
		undisturbed_end();
	}
	return depth;
}

void undisturbed_resume(unsigned int depth)
{
	if (depth) {
		undisturbed_begin();
		disturbed.depth = depth;
	}
}

int cancel_disable(void)
{
	int before = PTHREAD_CANCEL_ENABLE;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

void cancel_restore(int before)
{
	pthread_setcancelstate(before, NULL);
}

/* ---- event counts -------------------------------------------------------------------- */

uint32_t event_count_prepare_locked(struct event_count *events)
{
	events->awaited = true;
	return atomic_load_explicit(&events->count, memory_order_relaxed);
}

bool event_count_wait(struct event_count *events, uint32_t count,
		      const struct timespec *deadline)
{
	int err = 0;

	while (!err && atomic_load_explicit(&events->count, memory_order_acquire) == count)
		err = sys_futex_wait(&events->count, count, deadline);
	return err != -ETIMEDOUT;
}

/* A waiter that a handler took away for good left its mark: this wakes nobody, once. */
void event_count_wake_locked(struct event_count *events)
{
	if (!events->awaited)
		return;
	events->awaited = false;
	atomic_fetch_add_explicit(&events->count, 1, memory_order_release);
	sys_futex_wake(&events->count);
}
