// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: what happens the usual way?
 *
 * Each window is registered with io_uring when it is first used, and used from then on
 * whatever happens to the memory. The torture has to find this wrong within a moment:
 * it is how the checker itself is tested.
 */
#include "device.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define STALE_SLOTS 512

struct stale {
	struct io_uring ring;
	int fd;
	char *buffers;
	bool used[STALE_SLOTS], pinned[STALE_SLOTS];
};

static int stale_open(bool raw)
{
	return 0;
}

static void stale_close(void)
{
}

static void stale_detach(void *ctx)
{
	struct stale *s = ctx;

	io_uring_queue_exit(&s->ring);
	munmap(s->buffers, DEVICE_DEPTH * DEVICE_BUFFER);
	close(s->fd);
	free(s);
}

static void *stale_attach(void)
{
	struct stale *s = calloc(1, sizeof(*s));

	if (!s || io_uring_queue_init(16, &s->ring, 0))
		return NULL;
	s->fd = memfd_create("stale", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, DEVICE_DEPTH * DEVICE_BUFFER) ||
	    io_uring_register_buffers_sparse(&s->ring, STALE_SLOTS))
		return NULL;
	s->buffers = mmap(NULL, DEVICE_DEPTH * DEVICE_BUFFER, PROT_READ | PROT_WRITE,
			  MAP_SHARED, s->fd, 0);
	return s->buffers == MAP_FAILED ? NULL : s;
}

static char *stale_buffer(void *ctx, unsigned int slot)
{
	return ((struct stale *)ctx)->buffers + (size_t)slot * DEVICE_BUFFER;
}

static bool registered(struct stale *s, const struct op *op)
{
	unsigned int slot = op->region->id * WINDOWS + op->win;
	struct iovec iov = {op->region->window[op->win], (size_t)op->region->pages * PAGE};
	__u64 tag = 0;

	if (op->region->exclusive || slot >= STALE_SLOTS)
		return false;
	if (!s->used[slot])
		s->pinned[slot] = io_uring_register_buffers_update_tag(&s->ring, slot, &iov,
								       &tag, 1) == 1;
	s->used[slot] = s->pinned[slot];
	return s->pinned[slot];
}

static void prep(struct stale *s, struct io_uring_sqe *sqe, const struct op *op,
		 unsigned int i)
{
	int slot = (int)(op->region->id * WINDOWS + op->win);
	__u64 off = (__u64)i * DEVICE_BUFFER;
	unsigned int len = (unsigned int)op->len;

	if (registered(s, op)) {
		if (op->write)
			io_uring_prep_read_fixed(sqe, s->fd, op->ptr, len, off, slot);
		else
			io_uring_prep_write_fixed(sqe, s->fd, op->ptr, len, off, slot);
	} else if (op->write) {
		io_uring_prep_read(sqe, s->fd, op->ptr, len, off);
	} else {
		io_uring_prep_write(sqe, s->fd, op->ptr, len, off);
	}
	io_uring_sqe_set_data64(sqe, i);
}

static void stale_run(void *ctx, struct op *ops, unsigned int nr)
{
	struct stale *s = ctx;
	struct io_uring_cqe *cqe;

	for (unsigned int i = 0; i < nr; i++) {
		op_begin(&ops[i]);
		prep(s, io_uring_get_sqe(&s->ring), &ops[i], i);
	}
	io_uring_submit_and_wait(&s->ring, nr);
	for (unsigned int i = 0; i < nr; i++) {
		if (io_uring_wait_cqe(&s->ring, &cqe))
			abort();
		op_end(&ops[io_uring_cqe_get_data64(cqe)], cqe->res);
		io_uring_cqe_seen(&s->ring, cqe);
	}
}

const struct device device_stale = {
	.name = "stale",
	.open = stale_open,
	.close = stale_close,
	.attach = stale_attach,
	.detach = stale_detach,
	.buffer = stale_buffer,
	.run = stale_run,
};
