// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: which of the operations that the kernel is about to
 * get go to a fixed buffer, and to which?
 *
 * A prep call leaves the plain operation in the sqe and marks it. Submit looks at the sqes
 * not yet given to the kernel, [sqe_head, sqe_tail) in liburing's terms, and rewrites those
 * that it can; their user_data is then the name of a struct uring_op. Whatever else the
 * application wrote into an sqe after the prep call, or prepared in its place, is looked at
 * as it is: nothing was copied out before. When the kernel has taken them, they are put
 * back as they were.
 *
 * Sqes given and not taken (a short submit) lie in [khead, sqe_head). Their translations
 * are compared again, and redone if the memory changed; what a cancel names is looked up
 * again. With SQPOLL the kernel takes them at any time, so they count as submitted and are
 * left alone. `translated` is where the last submit stopped.
 *
 * Behind an operation that tells of its success to nobody (IOSQE_CQE_SKIP_SUCCESS), what is
 * linked to it may end without a completion, too: it stays plain.
 */
#include "internal.h"

#include <errno.h>

/*
 * Errors that the kernel will find by itself are its to report; so is a limit, as plain
 * operations need nothing of ours. What the mirror's modes exclude has to be told by us.
 */
static bool is_refusal(int err)
{
	return err == -EOPNOTSUPP;
}

static void rewrite(struct hmm_uring *u, struct io_uring_sqe *sqe, struct uring_kept *kept,
		    struct uring_op *op)
{
	uring_op_name(u, op, sqe->user_data);
	uring_sqe_keep(kept, sqe);
	kept->state = KEPT_OP;
	kept->id = uring_op_id(op);
	sqe->user_data = kept->id;
	u->rewritten++;
}

/* 1: on a fixed buffer; 0: it stays plain; else how it was refused. */
static __attribute__((noinline)) int
translate_span(struct hmm_uring *u, struct hmm_mirror *mirror, struct io_uring_sqe *sqe,
	       struct uring_kept *kept, const struct uring_span *span)
{
	struct uring_op *op = uring_op_get(u);
	int ret;

	if (!op)
		return 0;
	op->error = 0;
	op->zerocopy = sqe->opcode == IORING_OP_SEND_ZC;
	ret = uring_admit(u, mirror, sqe, span, &op->translation);
	if (likely(!ret && op->translation.mode == HMM_MODE_PIN)) {
		rewrite(u, sqe, kept, op);
		uring_sqe_fix(sqe, span, op->translation.key);
		return 1;
	}
	if (is_refusal(ret)) {
		rewrite(u, sqe, kept, op);
		uring_sqe_fail(sqe);
		op->error = (int16_t)ret;
		return ret;
	}
	if (!ret)
		hmm_translation_put(&op->translation);
	uring_op_put(u, op);
	return 0;
}

static int translate(struct hmm_uring *u, struct hmm_mirror *mirror,
		     struct io_uring_sqe *sqe, struct uring_kept *kept)
{
	struct uring_span span;

	if (!mirror || !uring_sqe_span(u, sqe, &span))
		return 0;
	return translate_span(u, mirror, sqe, kept, &span);
}

/* Names an operation by its user_data, whatever else it asks for. */
#define CANCEL_FD       (1u << 1)
#define CANCEL_ANY      (1u << 2)
#define CANCEL_USERDATA (1u << 4) /* Linux 6.6 */
#define CANCEL_OP       (1u << 5) /* Linux 6.6 */

static bool is_by_data(const struct io_uring_sqe *sqe)
{
	return sqe->cancel_flags & CANCEL_USERDATA ||
	       !(sqe->cancel_flags & (CANCEL_FD | CANCEL_ANY | CANCEL_OP));
}

/* The cancelled operation is named by our name for it, if it is one of ours. */
static __attribute__((noinline)) void
translate_cancel(struct hmm_uring *u, struct io_uring_sqe *sqe, struct uring_kept *kept)
{
	struct uring_op *op = is_by_data(sqe) ? uring_op_find(u, sqe->addr) : NULL;

	if (!op)
		return;
	uring_sqe_keep(kept, sqe);
	kept->state = KEPT_CANCEL;
	sqe->addr = uring_op_id(op);
	u->rewritten++;
}

/* A read or write of a file that is known: the usual case, in little time. */
static inline bool is_surely_plain(struct hmm_uring *u, const struct io_uring_sqe *sqe)
{
	return (sqe->opcode == IORING_OP_READ || sqe->opcode == IORING_OP_WRITE) &&
	       !(sqe->flags & IOSQE_FIXED_FILE) && uring_file_is_plain(u, sqe->fd);
}

static void translate_asked(struct hmm_uring *u, struct hmm_mirror *mirror,
			    struct io_uring_sqe *sqe, struct uring_kept *kept)
{
	int ret = 0;

	kept->state = KEPT_NOTHING;
	if (likely(is_surely_plain(u, sqe)))
		ret = 0;
	else if (unlikely(sqe->opcode == IORING_OP_ASYNC_CANCEL))
		translate_cancel(u, sqe, kept);
	else
		ret = translate(u, mirror, sqe, kept);
	if (ret > 0)
		u->fixed++;
	else if (!ret)
		u->plain++;
	else
		u->refused++;
}

/* What links say of the sqe after this one. */
static inline void follow_links(struct hmm_uring *u, unsigned int flags)
{
	u->linked = flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK);
	u->behind_skip = u->linked && (u->behind_skip || flags & IOSQE_CQE_SKIP_SUCCESS);
}

static void translate_new(struct hmm_uring *u, struct hmm_mirror *mirror,
			  unsigned int index)
{
	struct io_uring_sqe *sqe = uring_sqe_at(u, index);
	struct uring_kept *kept = uring_kept_at(u, index);
	unsigned int flags = sqe->flags;

	if (kept->state == KEPT_ASKED)
		translate_asked(u, mirror, sqe, kept);
	else if (u->sqpoll) {
		uring_sqe_leftover(u, index);
		kept->state = KEPT_NOTHING;
	}
	follow_links(u, flags);
}

/* In the application's hands again, as it was prepared. */
static void undo(struct hmm_uring *u, unsigned int index)
{
	struct io_uring_sqe *sqe = uring_sqe_at(u, index);
	struct uring_kept *kept = uring_kept_at(u, index);
	struct uring_op *op = kept->state == KEPT_OP ? uring_op_of(u, kept->id) : NULL;

	if (op && !op->error)
		hmm_translation_put(&op->translation);
	if (op)
		uring_op_put(u, op);
	uring_sqe_put_back(sqe, kept);
	kept->state = KEPT_NOTHING;
	u->rewritten--;
}

static __attribute__((noinline)) void
translate_again(struct hmm_uring *u, struct hmm_mirror *mirror, unsigned int index)
{
	struct io_uring_sqe *sqe = uring_sqe_at(u, index);
	struct uring_kept *kept = uring_kept_at(u, index);
	unsigned int state = kept->state;
	struct uring_op *op = uring_op_of(u, kept->id);

	if (state == KEPT_CANCEL) {
		undo(u, index);
		translate_cancel(u, sqe, kept);
	}
	if (state != KEPT_OP || !op ||
	    (!op->error && hmm_translation_valid(&op->translation)))
		return;
	undo(u, index);
	translate(u, mirror, sqe, kept);
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

static void look_again(struct hmm_uring *u, struct hmm_mirror *mirror, unsigned int seen)
{
	bool linked = u->linked, behind_skip = u->behind_skip;

	/* They were found to be right where they are. */
	u->linked = u->behind_skip = false;
	for (unsigned int index = first_ours(u); index != seen; index++)
		translate_again(u, mirror, index);
	u->linked = linked;
	u->behind_skip = behind_skip;
}

static void translate_all(struct hmm_uring *u)
{
	struct hmm_mirror *mirror = u->slots.nr ? hmm_device_mirror(u->device) : NULL;
	unsigned int seen = first_new(u), tail = u->ring->sq.sqe_tail;

	u->submits++;
	if (u->rewritten)
		look_again(u, mirror, seen);
	for (unsigned int index = seen; index != tail; index++)
		translate_new(u, mirror, index);
	u->translated = tail;
}

/* What the kernel has taken is the application's to find as it left it. */
static void put_back(struct hmm_uring *u)
{
	unsigned int head = *u->ring->sq.khead;

	if (u->sqpoll)
		u->rewritten = 0;
	for (; u->rewritten && u->put_back != head; u->put_back++) {
		struct uring_kept *kept = uring_kept_at(u, u->put_back);

		if (kept->state <= KEPT_ASKED)
			continue;
		uring_sqe_put_back(uring_sqe_at(u, u->put_back), kept);
		kept->state = KEPT_NOTHING;
		u->rewritten--;
	}
	u->put_back = head;
}

void uring_submit_undo(struct hmm_uring *u)
{
	unsigned int seen = first_new(u);

	for (unsigned int index = first_ours(u); index != seen; index++)
		if (uring_kept_at(u, index)->state > KEPT_ASKED)
			undo(u, index);
}

int hmm_uring_submit(struct hmm_uring *u)
{
	int ret;

	if (!uring_alive(u))
		return -ECHILD;
	uring_catch_up(u);
	translate_all(u);
	ret = io_uring_submit(u->ring);
	put_back(u);
	return ret;
}

int hmm_uring_submit_and_wait(struct hmm_uring *u, unsigned int wait_nr)
{
	int ret;

	if (!uring_alive(u))
		return -ECHILD;
	uring_catch_up(u);
	translate_all(u);
	ret = io_uring_submit_and_wait(u->ring, wait_nr);
	put_back(u);
	return ret;
}
