// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: how does a completion become the application's own?
 *
 * A completion whose user_data is the name of an operation in flight is ours: in the ring's
 * own memory it gets the application's user_data back, once, before anybody sees it; the
 * last one of an operation (no IORING_CQE_F_MORE) gives the translation back. A value of
 * the application's is mistaken for a name if it equals one by chance, in all of 64 bits.
 *
 * Finished operations go back to the submitting thread as a list, through a mailbox that
 * only the reaper fills and only the submitter empties: no read-modify-write.
 */
#include "internal.h"

#include <errno.h>

static struct uring_late *late_of(const struct hmm_uring *u, uint64_t id)
{
	return &u->late[(id ^ u->secret) % LATE];
}

static void remember(struct hmm_uring *u, uint64_t id, uint64_t user_data)
{
	*late_of(u, id) = (struct uring_late){id, user_data};
	u->late_used = true;
}

static void finish_op(struct hmm_uring *u, struct uring_op *op)
{
	uint64_t id = uring_op_id(op);

	if (op->zerocopy)
		remember(u, id, op->user_data);
	if (!op->error)
		hmm_translation_put(&op->translation);
	op->next = u->done;
	u->done = op;
	atomic_store_explicit(&op->id, 0, memory_order_release);
}

static void restore(struct hmm_uring *u, struct io_uring_cqe *cqe)
{
	struct uring_op *op = uring_op_of(u, cqe->user_data);

	if (!op) {
		if (unlikely(u->late_used) &&
		    late_of(u, cqe->user_data)->id == cqe->user_data)
			cqe->user_data = late_of(u, cqe->user_data)->user_data;
		return;
	}
	cqe->user_data = op->user_data;
	/* The descriptor's failure stands for ours; a cancellation is one of its own. */
	if (unlikely(op->error) && cqe->res == -EBADF)
		cqe->res = op->error;
	if (likely(!(cqe->flags & IORING_CQE_F_MORE)))
		finish_op(u, op);
}

/* The first @count completions of the ring are about to be handed out. */
static void restore_first(struct hmm_uring *u, struct io_uring_cqe **cqes,
			  unsigned int count)
{
	unsigned int head = *u->ring->cq.khead;

	/* Nothing was ever on a fixed buffer. */
	if (!atomic_load_explicit(&u->nr_used, memory_order_acquire)) {
		u->restored = head + count;
		return;
	}
	for (unsigned int i = 0; i < count; i++) {
		if ((int)(head + i - u->restored) < 0)
			continue; /* handed out before, and not seen yet */
		restore(u, cqes[i]);
		u->restored = head + i + 1;
	}
	if (u->done && !atomic_load_explicit(&u->returned, memory_order_acquire)) {
		atomic_store_explicit(&u->returned, u->done, memory_order_release);
		u->done = NULL;
	}
}

int hmm_uring_peek_cqe(struct hmm_uring *u, struct io_uring_cqe **cqe)
{
	int ret;

	if (!uring_alive(u))
		return -ECHILD;
	uring_catch_up(u);
	ret = io_uring_peek_cqe(u->ring, cqe);
	if (!ret)
		restore_first(u, cqe, 1);
	return ret;
}

unsigned int hmm_uring_peek_batch_cqe(struct hmm_uring *u, struct io_uring_cqe **cqes,
				      unsigned int count)
{
	if (!uring_alive(u))
		return 0;
	uring_catch_up(u);
	count = io_uring_peek_batch_cqe(u->ring, cqes, count);
	restore_first(u, cqes, count);
	return count;
}

int hmm_uring_wait_cqe(struct hmm_uring *u, struct io_uring_cqe **cqe)
{
	int ret;

	if (!uring_alive(u))
		return -ECHILD;
	uring_catch_up(u);
	ret = io_uring_wait_cqe(u->ring, cqe);
	if (!ret)
		restore_first(u, cqe, 1);
	return ret;
}

int hmm_uring_wait_cqe_timeout(struct hmm_uring *u, struct io_uring_cqe **cqe,
			       struct __kernel_timespec *timeout)
{
	int ret;

	if (!uring_alive(u))
		return -ECHILD;
	uring_catch_up(u);
	ret = io_uring_wait_cqe_timeout(u->ring, cqe, timeout);
	if (!ret)
		restore_first(u, cqe, 1);
	return ret;
}

void hmm_uring_cqe_seen(struct hmm_uring *u, struct io_uring_cqe *cqe)
{
	if (uring_alive(u))
		io_uring_cqe_seen(u->ring, cqe);
}

void hmm_uring_cq_advance(struct hmm_uring *u, unsigned int count)
{
	if (uring_alive(u))
		io_uring_cq_advance(u->ring, count);
}
