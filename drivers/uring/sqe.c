// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: what does an sqe ask for, how does it become an operation
 * on a fixed buffer, and how is it put back?
 *
 * What an sqe held is kept beside it, by its number in the ring's life and not by its
 * place: a ring may be made larger or smaller. The application finds each sqe as it left
 * it, once the kernel has taken it, as it would without us; with IORING_SETUP_SQPOLL, where
 * the kernel takes it at a time of its own, all but what every prep call sets anew.
 *
 * What a fixed buffer would not do as the process's own memory does stays plain: with
 * O_DIRECT, what is not aligned (the kernel looks at the alignment of the two in different
 * places); several pieces (a file without vectored calls of its own takes the array for the
 * data), flags that some file systems take for one's own memory only (RWF_ATOMIC),
 * protection information, vectored sends, and every flag that this file does not know.
 */
#include "internal.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#define ALIGNED         512u /* what every device takes */
#define RW_KNOWN        (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)
#define ZC_REPORT_USAGE (1u << 3) /* Linux 6.2 */
#define SEND_KNOWN      (IORING_RECVSEND_POLL_FIRST | ZC_REPORT_USAGE)

void uring_sqe_leftover(const struct hmm_uring *u, unsigned int index)
{
	struct io_uring_sqe *sqe = uring_sqe_at(u, index);
	const struct uring_kept *last = uring_kept_at(u, index - u->ring->sq.ring_entries);

	if (last->state == KEPT_OP && sqe->user_data == last->id)
		sqe->user_data = last->user_data;
}

void hmm_uring_mark(struct hmm_uring *u, const struct io_uring_sqe *sqe)
{
	struct io_uring_sq *sq;
	size_t place;
	unsigned int index;

	if (!uring_alive(u))
		return;
	sq = &u->ring->sq;
	place = ((uintptr_t)sqe - (uintptr_t)sq->sqes) / sizeof(*sqe) >> u->sqe_shift;
	if (place > sq->ring_mask)
		return; /* not this ring's: it stays plain */
	index = sq->sqe_tail - 1 -
		((sq->sqe_tail - 1 - (unsigned int)place) & sq->ring_mask);
	if (u->sqpoll)
		uring_sqe_leftover(u, index);
	uring_kept_at(u, index)->state = KEPT_ASKED;
}

/* ---- what it asks for ---------------------------------------------------------------- */

/* Of several pieces, none; of one, read so that a bad address is no fault of ours: the
 * kernel will tell. */
static bool span_of_piece(const struct io_uring_sqe *sqe, struct uring_span *span)
{
	struct iovec piece, to = {&piece, sizeof(piece)};
	struct iovec from = {(void *)(uintptr_t)sqe->addr, sizeof(piece)};
	int saved = errno;
	bool got;

	if (sqe->len != 1)
		return false;
	got = process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(piece);
	errno = saved;
	span->start = (uintptr_t)piece.iov_base;
	span->len = piece.iov_len;
	return got;
}

static bool is_known(const struct hmm_uring *u, const struct io_uring_sqe *sqe)
{
	if (sqe->flags & (IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS))
		return false; /* whose memory? Who would tell when it is done? */
	if (u->behind_skip || (u->linked && !u->pin_all))
		return false;
	if (sqe->opcode == IORING_OP_SEND_ZC)
		return u->zerocopy && !(sqe->ioprio & ~SEND_KNOWN);
	return !(sqe->rw_flags & ~RW_KNOWN) && !sqe->addr3 && !sqe->__pad2[0];
}

static bool span_of(const struct io_uring_sqe *sqe, struct uring_span *span)
{
	span->access = HMM_READ;
	switch (sqe->opcode) {
	case IORING_OP_READ:
		span->access = HMM_WRITE;
		break;
	case IORING_OP_READV:
		span->access = HMM_WRITE;
		return span_of_piece(sqe, span);
	case IORING_OP_WRITEV:
		return span_of_piece(sqe, span);
	}
	span->start = sqe->addr;
	span->len = sqe->len;
	return true;
}

static bool is_aligned(const struct io_uring_sqe *sqe, const struct uring_span *span)
{
	return !((span->start | span->len | sqe->off) % ALIGNED);
}

bool uring_sqe_span(struct hmm_uring *u, const struct io_uring_sqe *sqe,
		    struct uring_span *span)
{
	enum uring_file_kind kind;

	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
	case IORING_OP_SEND_ZC:
	case IORING_OP_READV:
	case IORING_OP_WRITEV:
		break;
	default:
		return false;
	}
	if (!is_known(u, sqe))
		return false;
	kind = uring_file_kind(u, sqe);
	return kind > FILE_PLAIN && span_of(sqe, span) && span->len &&
	       span->len <= BUFFER_MAX && (kind == FILE_ANY || is_aligned(sqe, span));
}

/* ---- rewriting and putting back --------------------------------------------------------
 */

void uring_sqe_keep(struct uring_kept *kept, const struct io_uring_sqe *sqe)
{
	kept->user_data = sqe->user_data;
	kept->addr = sqe->addr;
	kept->len = sqe->len;
	kept->fd = sqe->fd;
	kept->buf_index = sqe->buf_index;
	kept->ioprio = sqe->ioprio;
	kept->opcode = sqe->opcode;
	kept->flags = sqe->flags;
}

void uring_sqe_put_back(struct io_uring_sqe *sqe, const struct uring_kept *kept)
{
	sqe->user_data = kept->user_data;
	sqe->addr = kept->addr;
	sqe->len = kept->len;
	sqe->fd = kept->fd;
	sqe->buf_index = kept->buf_index;
	sqe->ioprio = kept->ioprio;
	sqe->opcode = kept->opcode;
	sqe->flags = kept->flags;
}

void uring_sqe_fix(struct io_uring_sqe *sqe, const struct uring_span *span, uint32_t slot)
{
	sqe->buf_index = (uint16_t)slot;
	if (sqe->opcode == IORING_OP_SEND_ZC) {
		sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
		return;
	}
	sqe->addr = span->start;
	sqe->len = (uint32_t)span->len;
	sqe->opcode =
		span->access == HMM_WRITE ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
}

/*
 * The kernel fails it for its descriptor, before it touches memory, and what is linked
 * to it is cancelled as it must be; the reaper puts the error that was meant.
 */
void uring_sqe_fail(struct io_uring_sqe *sqe)
{
	sqe->fd = -1;
	sqe->flags &= (uint8_t)~IOSQE_FIXED_FILE;
}
