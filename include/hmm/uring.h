/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhmm-uring: io_uring with fixed buffers made on demand from any pointer.
 *
 * The question this header answers: how does a program that uses liburing give io_uring
 * its own memory through a mirror?
 *
 *	struct io_uring ring;			the application's, made as always
 *	hmm_uring_open(hmm, &ring, NULL, &u);
 *	...
 *	sqe = io_uring_get_sqe(&ring);
 *	hmm_uring_prep_read(u, sqe, fd, any_pointer, len, offset);
 *	io_uring_sqe_set_data(sqe, mine);
 *	hmm_uring_submit(u);			the pointer is translated here
 *	hmm_uring_wait_cqe(u, &cqe);
 *	hmm_uring_cqe_seen(u, cqe);
 *
 * What a prep call leaves in the sqe is liburing's plain operation. hmm_uring_submit()
 * looks at what is prepared and, where a fixed buffer gains something and the memory can be
 * pinned (HMM_MODE_PIN), gives the kernel the operation on a fixed buffer, registered on
 * demand and let go when the memory changes. Everywhere else the plain operation is left,
 * which the kernel carries out on the process's own mapping: it is right for any memory,
 * file and flag. Prepare, change the memory, submit: the operation sees the memory after
 * the change. Afterwards the sqe is as the application left it.
 *
 * On fixed buffers: reads and writes of files opened with O_DIRECT (of one piece, if
 * vectored) at multiples of 512 bytes of memory, file and length, and send_zc. Plain:
 *   - what the kernel copies (the page cache, pipes, sockets): a fixed buffer gains
 *nothing;
 *   - registered files (IOSQE_FIXED_FILE), and operations that start later than the submit
 *     (behind a link, IOSQE_ASYNC, IOSQE_IO_DRAIN): what the file is cannot be known;
 *   - with IOSQE_BUFFER_SELECT the kernel chooses the memory; with IOSQE_CQE_SKIP_SUCCESS,
 *     and linked behind an operation that has it, nothing would tell when the buffer may
 *     go;
 *   - more than 256 KiB that would become resident and may not be moved: reads beyond the
 *     end of the file, writes of memory that was never touched;
 *   - rings that began with IORING_SETUP_R_DISABLED: they may be restricted to plain ones;
 *   - memory that is used the first time;
 *   - where pins find no room, or others would have to go: one is tried now and then.
 * HMM_URING_PIN_ALL widens the first two, and pins at the first use.
 *
 * Rules
 *   - Operations prepared here are submitted and reaped here: hmm_uring_submit..., and
 *     hmm_uring_peek_cqe or hmm_uring_wait_cqe... for every completion of the ring.
 *     Anything else of the ring (other prep calls, registered files, provided buffers,
 *     links, timeouts, eventfd) is liburing's as always.
 *   - As with liburing, one thread at a time prepares and submits, and one thread at a
 *     time reaps; these may be two threads. Everything here may sleep.
 *   - Between submit and completion the memory is as it was at submit: when it is unmapped
 *     or discarded meanwhile, a fixed operation still reaches the old pages, as documented
 *     in docs/contract.md (Y3).
 *   - The ring's fixed-buffer table is the library's while it is open.
 *   - In the child of a fork every call returns -ECHILD or does nothing. The child closes
 *     the ring's descriptor, or executes another program: while it has it, what the parent
 *     has pinned stays so, even after the parent's end.
 *
 * What differs from liburing: an operation on a fixed buffer is known to the kernel by
 * another user_data while it is in flight, so
 *   - it is cancelled by hmm_uring_prep_cancel(), by descriptor, or with
 *     IORING_ASYNC_CANCEL_ANY, and not by liburing's call with its user_data, nor by
 *     io_uring_register_sync_cancel();
 *   - of several operations with the same user_data, hmm_uring_prep_cancel() with
 *     IORING_ASYNC_CANCEL_ALL cancels one that is on a fixed buffer, if there is one, and
 *     else all.
 */
#ifndef HMM_URING_H
#define HMM_URING_H

#include <hmm/hmm.h>
#include <liburing.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hmm_uring; /* one io_uring whose memory goes through a mirror */

#define HMM_URING_NO_PIN 1u /* plain operations only; the buffer table stays untouched */
/*
 * Fixed buffers also where they gain nothing (to measure, and to test), and for operations
 * that start later than the submit and those on registered files: for these the application
 * promises that the files are regular files, block devices, pipes or sockets, and that a
 * descriptor names the same file until the operation has started.
 */
#define HMM_URING_PIN_ALL 2u

struct hmm_uring_attr {
	size_t size;    /* sizeof(struct hmm_uring_attr) */
	uint32_t flags; /* HMM_URING_... */
	uint32_t slots; /* fixed buffers at a time, 1 to 16,384; 0: 16,384 */
};

/**
 * hmm_uring_open - make an io_uring a device
 * @ring: set up by the application, which keeps it; it must outlive the struct hmm_uring
 * @attr: NULL for the defaults
 *
 * It comes with a mirror of the default attributes; for others call
 * hmm_mirror_create(hmm_uring_device(u), ...). Without one, after hmm_mirror_destroy(),
 * operations are plain. A granule of 64 KiB to 2 MiB in struct hmm_mirror_attr makes fewer
 * and larger fixed buffers than the default of one page.
 *
 * Where the kernel is too old for buffers on demand (before 5.13) everything is plain, and
 * hmm_uring_features() says so. With IORING_SETUP_SINGLE_ISSUER only the ring's own thread
 * may change the table: what a change of memory leaves pinned goes when that thread next
 * submits or reaps.
 *
 * The library keeps a descriptor of the ring. Where somebody closes it, and the ring's own
 * as well, nothing is pinned any more, and what is pinned stays so until the ring goes.
 *
 * -EINVAL bad attributes; -EBUSY the ring has fixed buffers already; -EEXIST another
 * thread's ring (IORING_SETUP_SINGLE_ISSUER); -EOPNOTSUPP a ring with sqes or cqes of mixed
 * size; -EBADF its descriptor was closed (io_uring_close_ring_fd); -EMFILE; -ENOMEM;
 * -ECHILD.
 */
HMM_API int hmm_uring_open(struct hmm *hmm, struct io_uring *ring,
			   const struct hmm_uring_attr *attr, struct hmm_uring **out);

/**
 * hmm_uring_close - the device goes, and its mirror with it; NULL is allowed
 *
 * Before io_uring_queue_exit(). What is prepared and not submitted becomes plain. With
 * IORING_SETUP_SINGLE_ISSUER call it in the ring's thread; in another, what is still
 * registered stays pinned until io_uring_queue_exit(). Nobody else may use @u meanwhile.
 *
 * -EBUSY operations are not complete or not reaped: nothing was freed, call it again.
 */
HMM_API int hmm_uring_close(struct hmm_uring *u);

/** hmm_uring_device - for hmm_mirror_create(). Never fails. */
HMM_API struct hmm_device *hmm_uring_device(struct hmm_uring *u);

/* ---- preparing: liburing's io_uring_prep_..., argument for argument ------------- */

/**
 * hmm_uring_mark - what is prepared in this sqe may go to a fixed buffer
 *
 * The prep calls below do this. Never fails.
 */
HMM_API void hmm_uring_mark(struct hmm_uring *u, const struct io_uring_sqe *sqe);

/** hmm_uring_prep_read - as io_uring_prep_read() */
static inline void hmm_uring_prep_read(struct hmm_uring *u, struct io_uring_sqe *sqe,
				       int fd, void *buf, unsigned int len, uint64_t offset)
{
	io_uring_prep_read(sqe, fd, buf, len, offset);
	hmm_uring_mark(u, sqe);
}

/** hmm_uring_prep_write - as io_uring_prep_write() */
static inline void hmm_uring_prep_write(struct hmm_uring *u, struct io_uring_sqe *sqe,
					int fd, const void *buf, unsigned int len,
					uint64_t offset)
{
	io_uring_prep_write(sqe, fd, buf, len, offset);
	hmm_uring_mark(u, sqe);
}

/**
 * hmm_uring_prep_readv - as io_uring_prep_readv2()
 *
 * An array of one piece is read at submit, too.
 */
static inline void hmm_uring_prep_readv(struct hmm_uring *u, struct io_uring_sqe *sqe,
					int fd, const struct iovec *iov, unsigned int nr,
					uint64_t offset, int flags)
{
	io_uring_prep_readv2(sqe, fd, iov, nr, offset, flags);
	hmm_uring_mark(u, sqe);
}

/** hmm_uring_prep_writev - as io_uring_prep_writev2(); see hmm_uring_prep_readv */
static inline void hmm_uring_prep_writev(struct hmm_uring *u, struct io_uring_sqe *sqe,
					 int fd, const struct iovec *iov, unsigned int nr,
					 uint64_t offset, int flags)
{
	io_uring_prep_writev2(sqe, fd, iov, nr, offset, flags);
	hmm_uring_mark(u, sqe);
}

/** hmm_uring_prep_send - as io_uring_prep_send(); always plain */
static inline void hmm_uring_prep_send(struct hmm_uring *u, struct io_uring_sqe *sqe,
				       int fd, const void *buf, size_t len, int flags)
{
	(void)u;
	io_uring_prep_send(sqe, fd, buf, len, flags);
}

/**
 * hmm_uring_prep_send_zc - as io_uring_prep_send_zc(): zero copy, two completions
 *
 * The buffer stays pinned until the second one (IORING_CQE_F_NOTIF). Kernel 6.0.
 */
static inline void hmm_uring_prep_send_zc(struct hmm_uring *u, struct io_uring_sqe *sqe,
					  int fd, const void *buf, size_t len, int flags,
					  unsigned int zc_flags)
{
	io_uring_prep_send_zc(sqe, fd, buf, len, flags, zc_flags);
	hmm_uring_mark(u, sqe);
}

/** hmm_uring_prep_recv - as io_uring_prep_recv(); always plain */
static inline void hmm_uring_prep_recv(struct hmm_uring *u, struct io_uring_sqe *sqe,
				       int fd, void *buf, size_t len, int flags)
{
	(void)u;
	io_uring_prep_recv(sqe, fd, buf, len, flags);
}

/**
 * hmm_uring_prep_cancel - as io_uring_prep_cancel64(), for operations prepared here
 * @user_data: what the application set in the operation to cancel
 *
 * See above for how it differs from liburing's.
 */
static inline void hmm_uring_prep_cancel(struct hmm_uring *u, struct io_uring_sqe *sqe,
					 uint64_t user_data, int flags)
{
	io_uring_prep_cancel64(sqe, user_data, flags);
	hmm_uring_mark(u, sqe);
}

/* ---- submitting ----------------------------------------------------------------- */

/**
 * hmm_uring_submit - translate what is prepared, and io_uring_submit()
 *
 * Returns how many were submitted, or -errno, as liburing does. What the kernel has not
 * taken is translated anew if its memory changes before the next submit. (With
 * IORING_SETUP_SQPOLL the kernel has taken it when this returns.)
 *
 * A pointer that cannot be translated is left to the kernel, which says why in the
 * completion (-EFAULT, ...), with one exception: where hmm_mirror_attr.modes excludes
 * HMM_MODE_DIRECT, memory that would go to a fixed buffer and that no mode reaches
 * completes with -EOPNOTSUPP. As without libhmm, an operation may complete with -ECANCELED
 * that nobody canceled: signals came while the kernel began a worker thread for it. Submit
 * it again.
 */
HMM_API int hmm_uring_submit(struct hmm_uring *u);

/** hmm_uring_submit_and_wait - hmm_uring_submit(), and wait for @wait_nr completions */
HMM_API int hmm_uring_submit_and_wait(struct hmm_uring *u, unsigned int wait_nr);

/* ---- reaping -------------------------------------------------------------------- */

/**
 * hmm_uring_peek_cqe - the next completion, -EAGAIN if there is none
 *
 * As io_uring_peek_cqe(): cqe->user_data is the application's own again, and the fixed
 * buffer's translation has been given back.
 */
HMM_API int hmm_uring_peek_cqe(struct hmm_uring *u, struct io_uring_cqe **cqe);

/**
 * hmm_uring_peek_batch_cqe - as io_uring_peek_batch_cqe(): how many are in @cqes
 *
 * Give them back with hmm_uring_cq_advance().
 */
HMM_API unsigned int hmm_uring_peek_batch_cqe(struct hmm_uring *u,
					      struct io_uring_cqe **cqes,
					      unsigned int count);

/** hmm_uring_wait_cqe - as io_uring_wait_cqe() */
HMM_API int hmm_uring_wait_cqe(struct hmm_uring *u, struct io_uring_cqe **cqe);

/** hmm_uring_wait_cqe_timeout - as io_uring_wait_cqe_timeout(); -ETIME */
HMM_API int hmm_uring_wait_cqe_timeout(struct hmm_uring *u, struct io_uring_cqe **cqe,
				       struct __kernel_timespec *timeout);

/** hmm_uring_cqe_seen - as io_uring_cqe_seen() */
HMM_API void hmm_uring_cqe_seen(struct hmm_uring *u, struct io_uring_cqe *cqe);

/** hmm_uring_cq_advance - as io_uring_cq_advance() */
HMM_API void hmm_uring_cq_advance(struct hmm_uring *u, unsigned int count);

/* ---- what it does --------------------------------------------------------------- */

struct hmm_uring_stats {
	uint64_t fixed;        /* operations submitted on a fixed buffer */
	uint64_t plain;        /* prepared here and left plain (but not send and recv) */
	uint64_t refused;      /* completed with -EOPNOTSUPP by the library */
	uint64_t retranslated; /* prepared by one submit, changed, done again by the next */
	uint64_t in_flight;    /* on a fixed buffer, and not reaped yet */
	uint64_t slots;        /* fixed buffers registered now */
	uint64_t deferred; /* of these, waiting for the ring's own thread to let them go */
};

/**
 * hmm_uring_stats - counters; exact when nobody submits or reaps
 * @size: sizeof(struct hmm_uring_stats)
 *
 * -ECHILD.
 */
HMM_API int hmm_uring_stats(struct hmm_uring *u, struct hmm_uring_stats *out, size_t size);

/** hmm_uring_features - as hmm_features(), for io_uring on this machine. */
HMM_API int hmm_uring_features(struct hmm_feature *features, unsigned int max, size_t size);

struct hmm_check_device;

/** hmm_uring_check - for hmm/check.h; also exported as hmm_check_device. */
extern HMM_API const struct hmm_check_device hmm_uring_check;

#ifdef __cplusplus
}
#endif

#endif
