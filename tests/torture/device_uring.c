// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how does io_uring read and write through libhmm?
 *
 * Each thread has a ring, with a mirror of its own.
 */
#include "space.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <hmm/uring.h>

struct uring_ctx {
	struct io_uring ring;
	struct hmm_uring *u;
	int fd;
	char *buffers;
};

static int uring_open(bool raw)
{
	return space_open(raw);
}

static void uring_close(void)
{
	space_close();
}

static void *uring_attach(void)
{
	static _Atomic unsigned int count;
	struct uring_ctx *c = calloc(1, sizeof(*c));
	const struct hmm_uring_attr all = {.size = sizeof(all), .flags = HMM_URING_PIN_ALL};
	struct hmm_mirror_attr attr = {.size = sizeof(attr)};
	unsigned int nr = atomic_fetch_add(&count, 1);
	struct hmm_mirror *mirror;

	if (!c || io_uring_queue_init(2 * DEVICE_DEPTH, &c->ring, 0))
		return NULL;
	c->fd = memfd_create("uring", MFD_CLOEXEC);
	if (c->fd < 0 || ftruncate(c->fd, DEVICE_DEPTH * DEVICE_BUFFER))
		return NULL;
	c->buffers = space_buffers(c->fd);
	space_must("hmm_uring_open", hmm_uring_open(space, &c->ring, &all, &c->u));
	/* of every second ring: larger pieces; of every third: little may be pinned */
	attr.granule = nr % 2 ? 65536 : 0;
	attr.max_pinned = nr % 3 == 2 ? 512 * 1024 : 0;
	space_must("hmm_mirror_create",
		   hmm_mirror_create(hmm_uring_device(c->u), &attr, &mirror));
	return c->buffers ? c : NULL;
}

static void uring_detach(void *ctx)
{
	struct uring_ctx *c = ctx;

	space_must("hmm_uring_close", hmm_uring_close(c->u));
	io_uring_queue_exit(&c->ring);
	munmap(c->buffers, DEVICE_DEPTH * DEVICE_BUFFER);
	close(c->fd);
	free(c);
}

static char *uring_buffer(void *ctx, unsigned int slot)
{
	return ((struct uring_ctx *)ctx)->buffers + (size_t)slot * DEVICE_BUFFER;
}

static void uring_prep(struct uring_ctx *c, const struct op *op, uint64_t id)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&c->ring);
	uint64_t at = (uint64_t)(op->data - c->buffers);

	if (op->write)
		hmm_uring_prep_read(c->u, sqe, c->fd, op->ptr, (unsigned int)op->len, at);
	else
		hmm_uring_prep_write(c->u, sqe, c->fd, op->ptr, (unsigned int)op->len, at);
	io_uring_sqe_set_data64(sqe, id);
}

static void uring_run(void *ctx, struct op *ops, unsigned int nr)
{
	struct uring_ctx *c = ctx;
	struct io_uring_cqe *cqe;
	int done;

	/* prepared before op_begin: what counts is when it is submitted */
	for (unsigned int i = 0; i < nr; i++)
		uring_prep(c, &ops[i], i);
	for (unsigned int i = 0; i < nr; i++)
		op_begin(&ops[i]);
	done = hmm_uring_submit_and_wait(c->u, nr);
	space_must("hmm_uring_submit_and_wait", done < 0 ? done : 0);
	for (unsigned int i = 0; i < nr; i++) {
		space_must("hmm_uring_wait_cqe", hmm_uring_wait_cqe(c->u, &cqe));
		op_end(&ops[io_uring_cqe_get_data64(cqe)], cqe->res);
		hmm_uring_cqe_seen(c->u, cqe);
	}
}

static void uring_peek(void *ctx, const void *at, size_t len)
{
	struct uring_ctx *c = ctx;
	struct io_uring_cqe *cqe;
	struct op op = {.ptr = (void *)at, .len = len, .data = c->buffers};

	uring_prep(c, &op, 0);
	space_must("hmm_uring_submit", hmm_uring_submit(c->u) < 0 ? -EIO : 0);
	space_must("hmm_uring_wait_cqe", hmm_uring_wait_cqe(c->u, &cqe));
	hmm_uring_cqe_seen(c->u, cqe);
}

const struct device device_uring = {
	.name = "uring",
	.open = uring_open,
	.close = uring_close,
	.attach = uring_attach,
	.detach = uring_detach,
	.buffer = uring_buffer,
	.run = uring_run,
	.tell = space_tell,
	.in_child = space_in_child,
	.peek = uring_peek,
};
