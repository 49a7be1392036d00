// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: which of the operations that the kernel is about to
 * get go to a fixed buffer, and to which?
 *
 * A prep call leaves the plain operation in the sqe, with HMM_URING_ASKED in buf_index,
 * which plain operations do not use. Submit looks at the sqes not yet given to the kernel,
 * [sqe_head, sqe_tail) in liburing's terms, and rewrites those that it can; their
 * user_data is then the address of a struct uring_op. Whatever else the application wrote
 * into an sqe after the prep call, or prepared in its place, is looked at as it is:
 * nothing was copied out before.
 *
 * Sqes given and not taken (a short submit) lie in [khead, sqe_head). Their translations
 * are compared again, and redone if the memory changed. With SQPOLL the kernel takes them
 * at any time, so they count as submitted and are left alone. `translated` is where the
 * last submit stopped.
 */
#include "internal.h"

#include <errno.h>

struct span {
	uint64_t start;
	size_t len;
	unsigned int access;
};

static struct io_uring_sqe *sqe_at(const struct hmm_uring *u, unsigned int index)
{
	struct io_uring_sq *sq = &u->ring->sq;

	return &sq->sqes[(size_t)(index & sq->ring_mask) << u->sqe_shift];
}

/* ---- operations: from the reaper's list, or never used ----------------------- */

static struct uring_op *more_ops(struct hmm_uring *u)
{
	struct uring_op *op = atomic_load_explicit(&u->returned, memory_order_acquire);

	if (op)
		atomic_store_explicit(&u->returned, NULL, memory_order_release);
	else if (u->nr_used < OPS_MAX)
		op = &u->ops[u->nr_used++]; /* its next is NULL: never written */
	return op;
}

static struct uring_op *get_op(struct hmm_uring *u)
{
	struct uring_op *op = u->free;

	if (!op)
		op = more_ops(u);
	if (op)
		u->free = op->next;
	return op;
}

static void put_op(struct hmm_uring *u, struct uring_op *op)
{
	atomic_store_explicit(&op->busy, false, memory_order_relaxed);
	op->next = u->free;
	u->free = op;
}

/* ---- what an sqe reaches ------------------------------------------------------- */

/*
 * All pieces as one span, if they lie close together: at least half of it is theirs.
 * Else false: one translation would not hold them.
 */
static bool span_of_pieces(const struct iovec *iov, unsigned int nr, struct span *span)
{
	uint64_t start = UINT64_MAX, end = 0, sum = 0;

	for (unsigned int i = 0; i < nr; i++) {
		uint64_t from = (uintptr_t)iov[i].iov_base, len = iov[i].iov_len;

		if (!len || len > BUFFER_MAX)
			return false; /* the kernel refuses an empty piece of a fixed buffer
				       */
		start = from < start ? from : start;
		end = from + len > end ? from + len : end;
		sum += len;
	}
	span->start = start;
	span->len = end - start;
	return end > start && span->len / 2 <= sum;
}

static __attribute__((noinline)) bool
span_of_others(const struct hmm_uring *u, const struct io_uring_sqe *sqe, struct span *span)
{
	const struct iovec *iov = (const void *)(uintptr_t)sqe->addr;

	switch (sqe->opcode) {
	case IORING_OP_READV:
		span->access = HMM_WRITE;
		return u->vectored && span_of_pieces(iov, sqe->len, span);
	case IORING_OP_WRITEV:
		span->access = HMM_READ;
		return u->vectored && span_of_pieces(iov, sqe->len, span);
	case IORING_OP_SEND_ZC:
		*span = (struct span){sqe->addr, sqe->len, HMM_READ};
		return u->zerocopy;
	default:
		return false;
	}
}

/* False: the operation stays plain. */
static inline bool span_of(const struct hmm_uring *u, const struct io_uring_sqe *sqe,
			   struct span *span)
{
	bool read = sqe->opcode == IORING_OP_READ;

	if (unlikely(!read && sqe->opcode != IORING_OP_WRITE))
		return span_of_others(u, sqe, span);
	span->start = sqe->addr;
	span->len = sqe->len;
	span->access = read ? HMM_WRITE : HMM_READ;
	return true;
}

/* ---- rewriting ------------------------------------------------------------------- */

static void keep_sqe(struct uring_op *op, struct io_uring_sqe *sqe)
{
	op->user_data = sqe->user_data;
	op->opcode = sqe->opcode;
	op->flags = sqe->flags;
	op->ioprio = sqe->ioprio;
	op->fd = sqe->fd;
	op->error = 0;
	atomic_store_explicit(&op->busy, true, memory_order_relaxed);
	sqe->user_data = (uintptr_t)op;
}

_Static_assert(IORING_OP_WRITE - IORING_OP_READ ==
		       IORING_OP_WRITE_FIXED - IORING_OP_READ_FIXED,
	       "READ and WRITE become their fixed forms by the same distance");

static void make_fixed(struct io_uring_sqe *sqe, uint32_t slot)
{
	sqe->buf_index = slot;
	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
		sqe->opcode -= IORING_OP_READ - IORING_OP_READ_FIXED;
		break;
	case IORING_OP_READV:
		sqe->opcode = OP_READV_FIXED;
		break;
	case IORING_OP_WRITEV:
		sqe->opcode = OP_WRITEV_FIXED;
		break;
	case IORING_OP_SEND_ZC:
		sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
		break;
	}
}

/*
 * The kernel fails it for its descriptor, before it touches memory, and what is linked
 * to it is cancelled as it must be; the reaper puts the error that was meant.
 */
static void make_failing(struct io_uring_sqe *sqe)
{
	sqe->fd = -1;
	sqe->flags &= ~IOSQE_FIXED_FILE;
}

static void undo(struct hmm_uring *u, struct io_uring_sqe *sqe, struct uring_op *op)
{
	sqe->user_data = op->user_data;
	sqe->opcode = op->opcode;
	sqe->flags = op->flags;
	sqe->ioprio = op->ioprio;
	sqe->fd = op->fd;
	sqe->buf_index = 0;
	if (!op->error)
		hmm_translation_put(&op->translation);
	put_op(u, op);
}

/*
 * Errors that the kernel will find by itself are its to report; so is a limit, as plain
 * operations need nothing of ours. What the library refuses has to be told by us.
 */
static bool is_refusal(int err)
{
	return err == -EBUSY || err == -EOPNOTSUPP;
}

static __attribute__((noinline)) int
not_fixed(struct hmm_uring *u, struct io_uring_sqe *sqe, struct uring_op *op, int err)
{
	if (is_refusal(err)) {
		keep_sqe(op, sqe);
		op->error = err;
		make_failing(sqe);
		return err;
	}
	if (!err)
		hmm_translation_put(&op->translation);
	put_op(u, op);
	return 0;
}

/* 1: on a fixed buffer; 0: it stays plain; else how it was refused. */
static int translate_sqe(struct hmm_uring *u, struct hmm_mirror *mirror,
			 struct io_uring_sqe *sqe)
{
	struct uring_op *op;
	struct span span;
	int ret;

	if (!span_of(u, sqe, &span))
		return 0;
	op = get_op(u);
	if (!op)
		return 0;
	ret = hmm_translate(mirror, (void *)(uintptr_t)span.start, span.len, span.access,
			    &op->translation);
	if (unlikely(ret || op->translation.mode != HMM_MODE_PIN))
		return not_fixed(u, sqe, op, ret);
	keep_sqe(op, sqe);
	make_fixed(sqe, op->translation.key);
	return 1;
}

/* The cancelled operation is named by our user_data, if it is one of ours. */
static __attribute__((noinline)) void translate_cancel(struct hmm_uring *u,
						       struct io_uring_sqe *sqe)
{
	for (uint32_t i = 0; i < u->nr_used; i++) {
		struct uring_op *op = &u->ops[i];

		if (atomic_load_explicit(&op->busy, memory_order_relaxed) &&
		    op->user_data == sqe->addr) {
			sqe->addr = (uintptr_t)op;
			return;
		}
	}
}

static void translate_new(struct hmm_uring *u, struct hmm_mirror *mirror,
			  struct io_uring_sqe *sqe)
{
	int ret = 0;

	/* Left from the sqe's last use: it would be taken for that operation's. */
	if (sqe->user_data - (uintptr_t)u->ops < OPS_MAX * sizeof(*u->ops))
		sqe->user_data = 0;
	if (sqe->buf_index != HMM_URING_ASKED || sqe->flags & IOSQE_BUFFER_SELECT)
		return;
	sqe->buf_index = 0;
	if (unlikely(sqe->opcode == IORING_OP_ASYNC_CANCEL))
		translate_cancel(u, sqe);
	else if (mirror && !(sqe->flags & IOSQE_CQE_SKIP_SUCCESS))
		ret = translate_sqe(u, mirror, sqe);
	if (likely(ret > 0))
		u->fixed++;
	else if (!ret)
		u->plain++;
	else
		u->refused++;
}

static __attribute__((noinline)) void
translate_again(struct hmm_uring *u, struct hmm_mirror *mirror, struct io_uring_sqe *sqe)
{
	struct uring_op *op = uring_op_of(u, sqe->user_data);

	if (!op || (!op->error && hmm_translation_valid(&op->translation)))
		return;
	undo(u, sqe, op);
	if (mirror)
		translate_sqe(u, mirror, sqe);
	u->retranslated++;
}

/* The first sqe that may be changed, though a submit has seen it already. */
static unsigned int first_ours(const struct hmm_uring *u)
{
	return u->sqpoll ? u->ring->sq.sqe_head : *u->ring->sq.khead;
}

/* The first that no submit has seen; a submit may fail before liburing takes any. */
static unsigned int first_new(const struct hmm_uring *u)
{
	unsigned int head = u->ring->sq.sqe_head;

	return (int)(u->translated - head) > 0 ? u->translated : head;
}

static void translate_all(struct hmm_uring *u)
{
	struct hmm_mirror *mirror = hmm_device_mirror(u->device);
	unsigned int index = first_ours(u), seen = first_new(u),
		     tail = u->ring->sq.sqe_tail;

	for (; index != seen; index++)
		translate_again(u, mirror, sqe_at(u, index));
	for (; index != tail; index++)
		translate_new(u, mirror, sqe_at(u, index));
	u->translated = tail;
}

void uring_submit_undo(struct hmm_uring *u)
{
	unsigned int index, seen = first_new(u);

	for (index = first_ours(u); index != seen; index++) {
		struct io_uring_sqe *sqe = sqe_at(u, index);
		struct uring_op *op = uring_op_of(u, sqe->user_data);

		if (op)
			undo(u, sqe, op);
	}
}

int hmm_uring_submit(struct hmm_uring *u)
{
	if (!uring_alive(u))
		return -ECHILD;
	uring_catch_up(u);
	translate_all(u);
	return io_uring_submit(u->ring);
}

int hmm_uring_submit_and_wait(struct hmm_uring *u, unsigned int wait_nr)
{
	if (!uring_alive(u))
		return -ECHILD;
	uring_catch_up(u);
	translate_all(u);
	return io_uring_submit_and_wait(u->ring, wait_nr);
}
