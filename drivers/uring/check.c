// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_uring for the conformance suite (hmm/check.h).
 *
 * The question this file answers: how does `hmm check` drive it?
 *
 * The device reads memory by an operation that writes it to a memfd, and writes memory by
 * one that reads the memfd. An access in two halves is such an operation linked behind a
 * read of an eventfd: the kernel has it, with its translation, and starts it when finish
 * writes the eventfd.
 */
#include "internal.h"

#include <errno.h>
#include <hmm/check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PIECE (1u << 20)

struct context {
	struct io_uring ring;
	struct hmm_uring *u;
	pthread_mutex_t lock; /* the ring and the file are one thread's at a time */
	int file;
};

/* An operation under way; the two halves' memory is [at, at + len) of the process. */
struct operation {
	int gate, file; /* of the two halves */
	void *out;      /* read: where the suite wants it */
	size_t len;
	uint64_t count; /* what is read from the gate */
	int res;
	bool done;
};

/* Its memory counts against the limit of what the user may lock. */
static void no_ring(int err)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (err == -ENOMEM && limit.rlim_cur != RLIM_INFINITY)
		hmm_device_error(
			err,
			"no room for an io_uring in what the user may lock: "
			"RLIMIT_MEMLOCK is %llu KiB: raise it, or close other rings",
			(unsigned long long)limit.rlim_cur / 1024);
	else
		hmm_device_error(err, "no io_uring: %s; see `hmm info`", strerror(-err));
}

static int check_open(struct hmm *hmm, struct hmm_device **device, void **context)
{
	/* Files of memory are buffered: fixed buffers are what is to be checked. */
	const struct hmm_uring_attr attr = {.size = sizeof(attr),
					    .flags = HMM_URING_PIN_ALL};
	struct context *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return hmm_device_error(-ENOMEM, "no memory for an io_uring");
	ret = io_uring_queue_init(64, &c->ring, 0);
	if (ret) {
		no_ring(ret);
		goto err_free;
	}
	c->file = memfd_create("hmm-check", MFD_CLOEXEC);
	if (c->file < 0) {
		ret = hmm_device_error(-errno, "no memfd: %s", strerror(errno));
		goto err_ring;
	}
	ret = hmm_uring_open(hmm, &c->ring, &attr, &c->u);
	if (ret)
		goto err_file;
	pthread_mutex_init(&c->lock, NULL);
	*device = hmm_uring_device(c->u);
	*context = c;
	return 0;

err_file:
	close(c->file);
err_ring:
	io_uring_queue_exit(&c->ring);
err_free:
	free(c);
	return ret;
}

static int check_close(void *context)
{
	struct context *c = context;
	int ret = hmm_uring_close(c->u);

	if (ret)
		return ret;
	io_uring_queue_exit(&c->ring);
	close(c->file);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return 0;
}

/* Wait until @op is done; what else completes meanwhile is marked too. */
static int wait_for_locked(struct context *c, struct operation *op)
{
	while (!op->done) {
		struct io_uring_cqe *cqe;
		struct operation *other;
		int ret = hmm_uring_wait_cqe(c->u, &cqe);

		if (ret == -EINTR)
			continue;
		if (ret)
			return ret;
		other = io_uring_cqe_get_data(cqe);
		if (other) {
			other->res = cqe->res;
			other->done = true;
		}
		hmm_uring_cqe_seen(c->u, cqe);
	}
	return op->res;
}

static void prepare(struct context *c, struct operation *op, bool write, int file, void *at,
		    unsigned int len, uint64_t offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&c->ring);

	if (write)
		hmm_uring_prep_read(c->u, sqe, file, at, len, offset);
	else
		hmm_uring_prep_write(c->u, sqe, file, at, len, offset);
	io_uring_sqe_set_data(sqe, op);
}

/*
 * The device moves [at, at + len) to or from the start of the context's file. A signal that
 * comes while the kernel begins a worker thread has it cancel what that thread was for.
 */
static int move_locked(struct context *c, bool write, char *at, size_t len)
{
	int tries = 100;

	for (size_t moved = 0; moved < len;) {
		struct operation op = {.res = 0};
		size_t piece = len - moved < PIECE ? len - moved : PIECE;
		int ret;

		prepare(c, &op, write, c->file, at + moved, piece, moved);
		ret = hmm_uring_submit(c->u);
		if (ret >= 0)
			ret = wait_for_locked(c, &op);
		if (ret == -ECANCELED && --tries)
			continue;
		if (ret <= 0)
			return ret ? ret : -EIO;
		moved += ret;
	}
	return 0;
}

static int fill_file(int file, const char *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(file, data + done, len - done, done);

		if (n <= 0)
			return n ? -errno : -EIO;
		done += n;
	}
	return 0;
}

static int empty_file(int file, char *out, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(file, out + done, len - done, done);

		if (n <= 0)
			return n ? -errno : -EIO;
		done += n;
	}
	return 0;
}

/* The child of a fork finds no device, and must not take the parent's lock. */
static int no_device(const struct context *c)
{
	struct hmm_device *device = hmm_uring_device(c->u);

	if (!device)
		return -ECHILD;
	if (!hmm_device_mirror(device))
		return hmm_device_error(-ENODEV, "the io_uring has no mirror");
	return 0;
}

static int check_read(void *context, const void *from, void *out, size_t len)
{
	struct context *c = context;
	int ret = no_device(c);

	if (ret)
		return ret;
	pthread_mutex_lock(&c->lock);
	ret = move_locked(c, false, (void *)(uintptr_t)from, len);
	if (!ret)
		ret = empty_file(c->file, out, len);
	pthread_mutex_unlock(&c->lock);
	return ret;
}

static int check_write(void *context, void *to, const void *data, size_t len)
{
	struct context *c = context;
	int ret = no_device(c);

	if (ret)
		return ret;
	pthread_mutex_lock(&c->lock);
	ret = fill_file(c->file, data, len);
	if (!ret)
		ret = move_locked(c, true, to, len);
	pthread_mutex_unlock(&c->lock);
	return ret;
}

/* ---- in two halves --------------------------------------------------------------- */

static void free_operation(struct operation *op)
{
	if (op->gate >= 0)
		close(op->gate);
	if (op->file >= 0)
		close(op->file);
	free(op);
}

static struct operation *new_operation(void *out, const void *data, size_t len)
{
	struct operation *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->out = out;
	op->len = len;
	op->gate = eventfd(0, EFD_CLOEXEC);
	op->file = memfd_create("hmm-check-half", MFD_CLOEXEC);
	if (op->gate < 0 || op->file < 0 || (data && fill_file(op->file, data, len))) {
		free_operation(op);
		return NULL;
	}
	return op;
}

static int start(struct context *c, bool write, void *at, struct operation *op, void **out)
{
	struct io_uring_sqe *sqe;
	int ret;

	if (!op)
		return hmm_device_error(-ENOMEM,
					"no memory or descriptor for an operation");
	pthread_mutex_lock(&c->lock);
	sqe = io_uring_get_sqe(&c->ring);
	io_uring_prep_read(sqe, op->gate, &op->count, sizeof(op->count), 0);
	io_uring_sqe_set_data(sqe, NULL);
	sqe->flags |= IOSQE_IO_LINK;
	prepare(c, op, write, op->file, at, op->len, 0);
	ret = hmm_uring_submit(c->u);
	pthread_mutex_unlock(&c->lock);
	if (ret < 0)
		free_operation(op);
	else
		*out = op;
	return ret < 0 ? ret : 0;
}

static int start_read(void *context, const void *from, void *out, size_t len,
		      void **operation)
{
	int ret = no_device(context);

	return ret ? ret
		   : start(context, false, (void *)(uintptr_t)from,
			   new_operation(out, NULL, len), operation);
}

static int start_write(void *context, void *to, const void *data, size_t len,
		       void **operation)
{
	int ret = no_device(context);

	return ret ? ret
		   : start(context, true, to, new_operation(NULL, data, len), operation);
}

static int finish(void *context, void *operation)
{
	struct context *c = context;
	struct operation *op = operation;
	uint64_t one = 1;
	int ret;

	if (write(op->gate, &one, sizeof(one)) != sizeof(one))
		return -errno;
	pthread_mutex_lock(&c->lock);
	ret = wait_for_locked(c, op);
	pthread_mutex_unlock(&c->lock);
	if (ret >= 0) /* short: the memory behind the rest is gone */
		ret = (size_t)ret == op->len ? 0 : -EFAULT;
	if (!ret && op->out)
		ret = empty_file(op->file, op->out, op->len);
	free_operation(op);
	return ret;
}

const struct hmm_check_device hmm_uring_check = {
	.size = sizeof(hmm_uring_check),
	.name = "uring",
	.modes = 1u << HMM_MODE_PIN | 1u << HMM_MODE_DIRECT,
	.open = check_open,
	.close = check_close,
	.read = check_read,
	.write = check_write,
	.start_read = start_read,
	.start_write = start_write,
	.finish = finish,
};

#ifndef HMM_DEBUG /* one a process where drivers are linked statically */
extern const struct hmm_check_device hmm_check_device
	__attribute__((alias("hmm_uring_check")));
#endif
