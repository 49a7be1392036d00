// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: which operations on fixed buffers are in flight, and by
 * which name does the kernel know each?
 *
 * An operation is taken from the reaper's list, or was never used. It is found by its name
 * (a completion) and by the application's user_data (a cancel): for that it hangs in a list
 * of those with the same hash, which the submitter alone reads and writes. It leaves the
 * list when it is used again, not when it completes: the reaper may be another thread.
 */
#include "internal.h"

static struct uring_op *more_ops(struct hmm_uring *u)
{
	struct uring_op *op = atomic_load_explicit(&u->returned, memory_order_acquire);
	uint32_t used = atomic_load_explicit(&u->nr_used, memory_order_relaxed);

	if (op)
		atomic_store_explicit(&u->returned, NULL, memory_order_release);
	else if (used < OPS_MAX) {
		op = &u->ops[used]; /* its next is NULL: never written */
		atomic_store_explicit(&u->nr_used, used + 1, memory_order_release);
	}
	return op;
}

struct uring_op *uring_op_get(struct hmm_uring *u)
{
	struct uring_op *op = u->free;

	if (!op)
		op = more_ops(u);
	if (op)
		u->free = op->next;
	return op;
}

void uring_op_put(struct hmm_uring *u, struct uring_op *op)
{
	atomic_store_explicit(&op->id, 0, memory_order_relaxed);
	op->next = u->free;
	u->free = op;
}

/* ---- by user_data ------------------------------------------------------------------ */

static uint32_t *list_of(struct hmm_uring *u, uint64_t user_data)
{
	return &u->by_data[user_data * 0x9E3779B97F4A7C15ull >> 52];
}
_Static_assert(BY_DATA == 1u << 12, "as many bits as list_of() takes");

static void leave_list(struct hmm_uring *u, uint32_t number, uint64_t user_data)
{
	struct uring_link *link = &u->links[number];
	uint32_t *list = list_of(u, user_data);

	if (link->next)
		u->links[link->next].previous = link->previous;
	if (link->previous)
		u->links[link->previous].next = link->next;
	else if (*list == number)
		*list = link->next;
	*link = (struct uring_link){0};
}

static void enter_list(struct hmm_uring *u, uint32_t number, uint64_t user_data)
{
	uint32_t *list = list_of(u, user_data);

	u->links[number] = (struct uring_link){.next = *list};
	if (*list)
		u->links[*list].previous = number;
	*list = number;
}

void uring_op_name(struct hmm_uring *u, struct uring_op *op, uint64_t user_data)
{
	uint32_t number = (uint32_t)(op - u->ops);

	leave_list(u, number + 1, op->user_data);
	enter_list(u, number + 1, user_data);
	op->user_data = user_data;
	op->error = 0;
	u->serial++;
	atomic_store_explicit(&op->id, (u->serial * OPS_MAX + number) ^ u->secret,
			      memory_order_relaxed);
}

struct uring_op *uring_op_find(const struct hmm_uring *u, uint64_t user_data)
{
	uint32_t number = *list_of((struct hmm_uring *)u, user_data);

	for (; number; number = u->links[number].next) {
		struct uring_op *op = &u->ops[number - 1];

		if (op->user_data == user_data &&
		    atomic_load_explicit(&op->id, memory_order_acquire))
			return op;
	}
	return NULL;
}

unsigned int uring_in_flight(const struct hmm_uring *u)
{
	uint32_t used = atomic_load_explicit(&u->nr_used, memory_order_acquire);
	unsigned int n = 0;

	for (uint32_t i = 0; i < used; i++)
		n += atomic_load_explicit(&u->ops[i].id, memory_order_acquire) != 0;
	return n;
}
