// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate of the device's accesses.
 *
 * The question this file answers: how does a revoke wait for the accesses that it concerns,
 * and for no other?
 *
 * An access takes a ticket and writes its range there, and only then looks at the table.
 * Whoever has taken entries out of the table looks at all tickets, and waits for those
 * whose range it took them from. Either the access sees the entry gone, or the other sees
 * its range (the pair is: range, then table | table, then ranges; all of these are
 * sequentially consistent). Others are not waited for: one of them may be held up by a page
 * fault that the program serves itself, in the very thread that changes memory now.
 */
#include "ref.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An odd count is an access under way; the next one has another. */
static bool take(struct ref_ticket *ticket)
{
	uint32_t count = atomic_load(&ticket->count);

	return !(count & 1) &&
	       atomic_compare_exchange_strong(&ticket->count, &count, count + 1);
}

unsigned int ref_gate_enter(struct ref_gate *gate, uint64_t start, uint64_t end)
{
	static _Thread_local unsigned int last;

	for (unsigned int i = last;; i++) {
		struct ref_ticket *ticket = &gate->tickets[i % REF_TICKETS];

		if (take(ticket)) {
			last = i % REF_TICKETS;
			atomic_store(&ticket->start, start);
			atomic_store(&ticket->end, end);
			return last;
		}
		if ((i - last) % REF_TICKETS == REF_TICKETS - 1)
			sched_yield();
	}
}

void ref_gate_leave(struct ref_gate *gate, unsigned int n)
{
	struct ref_ticket *ticket = &gate->tickets[n];

	atomic_store(&ticket->end, 0);
	atomic_fetch_add(&ticket->count, 1);
	/* Pairs with the store of draining, then the load of the count, in drain(). */
	if (atomic_load(&gate->draining))
		syscall(SYS_futex, &ticket->count, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL,
			0);
}

static bool drain(struct ref_ticket *ticket, uint64_t start, uint64_t end)
{
	uint32_t count = atomic_load(&ticket->count);
	bool waited = false;

	while (count & 1 && atomic_load(&ticket->start) < end &&
	       atomic_load(&ticket->end) > start && atomic_load(&ticket->count) == count) {
		syscall(SYS_futex, &ticket->count, FUTEX_WAIT_PRIVATE, count, NULL, NULL,
			0);
		waited = true;
	}
	return waited;
}

bool ref_gate_drain(struct ref_gate *gate, uint64_t start, uint64_t end)
{
	bool waited = false;

	atomic_store(&gate->draining, 1);
	for (unsigned int i = 0; i < REF_TICKETS; i++)
		waited |= drain(&gate->tickets[i], start, end);
	atomic_store(&gate->draining, 0);
	return waited;
}
