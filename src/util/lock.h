/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does a thread hold a lock of the library without being stopped or ended there?
 *
 * A garbage collector stops threads with a signal whose handler waits, and then makes
 * system calls; a timer's handler may leave with siglongjmp(), fork, or change memory; a
 * thread may be cancelled. None of this may happen to a thread that others wait for. So
 * whoever holds a lock of the library has signals blocked and cancellation disabled, from
 * before the lock is asked for until it has been given back.
 *
 * Signals that a thread causes itself (SIGSEGV and its like, SIGSYS of a seccomp filter)
 * stay open: the kernel ends a process that blocks them. So do those that libc keeps to
 * itself: setuid() waits until every thread has handled one.
 *
 * It costs two system calls for the outermost section. The hit path has none.
 */
#ifndef UTIL_LOCK_H
#define UTIL_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct timespec;

/* No handler runs and no cancellation is acted on from begin to end. They nest. */
void undisturbed_begin(void);
void undisturbed_end(void);
/*
 * In between, where a thread waits for others or calls a driver that may take its time, it
 * can be stopped as usual: no lock is held then. Resume takes what pause returned.
 */
unsigned int undisturbed_pause(void);
void undisturbed_resume(unsigned int depth);

/* Cancellation alone, around code of a driver that may take its time. */
int cancel_disable(void);
void cancel_restore(int before);

/*
 * An event count: what threads wait on until something has changed that a lock guards. A
 * condition variable takes its mutex again before it returns, while a handler may run; here
 * a thread waits with no lock held and signals open.
 */
struct event_count {
	_Atomic uint32_t count;
	bool awaited; /* the lock's: somebody may be waiting */
};

/* With the lock held: the count to wait with after the lock has been given back. */
uint32_t event_count_prepare_locked(struct event_count *events);
/*
 * No lock held. False: the deadline (CLOCK_MONOTONIC; NULL: none) passed. It returns when a
 * handler has run, too, which may have forked: nobody would wake the child.
 */
bool event_count_wait(struct event_count *events, uint32_t count,
		      const struct timespec *deadline);
/* With the lock held: whoever has prepared looks again. */
void event_count_wake_locked(struct event_count *events);

#endif
