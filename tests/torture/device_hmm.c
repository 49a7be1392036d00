// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how do the reference device and io_uring read and
 * write through libhmm?
 *
 * "ref" follows the CPU's mapping, "stage" is the same device restricted to bounce
 * buffers, "slow" takes its time, runs out of entries and fails; one of each a process.
 * "uring" is one ring, with a mirror of its own, for each thread.
 */
#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <hmm/hmm.h>
#include <hmm/ref.h>
#include <hmm/uring.h>

static struct hmm *hmm;
static unsigned int hmm_users;

static int say(const char *what, int err)
{
	fprintf(stderr, "torture: %s: %s (%s)\n", what, strerror(-err), hmm_error());
	return err;
}

static int space_open(bool raw)
{
	struct hmm_attr attr = {.size = sizeof(attr), .flags = raw ? HMM_NO_INTERPOSE : 0};
	int err = 0;

	if (!hmm_users)
		err = hmm_open(&attr, &hmm);
	if (err)
		return say("hmm_open", err);
	hmm_users++;
	return 0;
}

static void space_close(void)
{
	if (--hmm_users)
		return;
	hmm_close(hmm);
	hmm = NULL;
}

static void tell(void *at, size_t len)
{
	int err = hmm_invalidate(hmm, at, len);

	if (err) {
		say("hmm_invalidate", err);
		abort();
	}
}

static int in_child(void)
{
	struct hmm_stats stats;

	return hmm_stats_read(hmm, NULL, &stats) == -ECHILD ? 0 : -1;
}

static void must(const char *what, int err)
{
	if (!err)
		return;
	say(what, err);
	abort();
}

static void *map_buffers(int fd)
{
	void *at = mmap(NULL, DEVICE_DEPTH * DEVICE_BUFFER, PROT_READ | PROT_WRITE,
			fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* ---- the reference device ------------------------------------------------------- */

enum { REF_PLAIN, REF_STAGE, REF_SLOW, REF_NR };
static struct hmm_ref *refs[REF_NR];
static const struct hmm_ref_attr ref_attrs[REF_NR] = {
	[REF_PLAIN] = {.size = sizeof(struct hmm_ref_attr)},
	[REF_STAGE] = {.size = sizeof(struct hmm_ref_attr), .modes = 1u << HMM_MODE_STAGE},
	[REF_SLOW] = {.size = sizeof(struct hmm_ref_attr),
		      .max_entries = 64,
		      .delay_ns = 20000,
		      .fail_map_every = 13},
};

struct ref_ctx {
	struct hmm_ref *ref;
	char *buffers;
};

static int ref_open(unsigned int which, bool raw)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr)};
	struct hmm_mirror *mirror;
	int err = space_open(raw);

	if (err)
		return err;
	err = hmm_ref_open(hmm, &ref_attrs[which], &refs[which]);
	if (err) {
		say("hmm_ref_open", err);
		space_close();
		return err;
	}
	if (which == REF_STAGE)
		attr.max_translations = 200;
	must("hmm_mirror_create",
	     hmm_mirror_create(hmm_ref_device(refs[which]), &attr, &mirror));
	return 0;
}

static void ref_close(unsigned int which)
{
	must("hmm_ref_close", hmm_ref_close(refs[which]));
	refs[which] = NULL;
	space_close();
}

static void *ref_attach(unsigned int which)
{
	struct ref_ctx *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ref = refs[which];
	c->buffers = map_buffers(-1);
	return c->buffers ? c : NULL;
}

static void ref_detach(void *ctx)
{
	struct ref_ctx *c = ctx;

	munmap(c->buffers, DEVICE_DEPTH * DEVICE_BUFFER);
	free(c);
}

static char *ref_buffer(void *ctx, unsigned int slot)
{
	return ((struct ref_ctx *)ctx)->buffers + (size_t)slot * DEVICE_BUFFER;
}

static void ref_run(void *ctx, struct op *ops, unsigned int nr)
{
	struct ref_ctx *c = ctx;

	for (unsigned int i = 0; i < nr; i++) {
		struct op *op = &ops[i];
		int err;

		op_begin(op);
		if (op->write)
			err = hmm_ref_write(c->ref, op->ptr, op->data, op->len);
		else
			err = hmm_ref_read(c->ref, op->ptr, op->data, op->len);
		op_end(op, err ? err : (long)op->len);
	}
}

static void ref_peek(void *ctx, const void *at, size_t len)
{
	struct ref_ctx *c = ctx;

	(void)hmm_ref_read(c->ref, at, c->buffers, len);
}

#define REF_DEVICE(id, text, which)                \
	static int id##_open(bool raw)             \
	{                                          \
		return ref_open(which, raw);       \
	}                                          \
	static void id##_close(void)               \
	{                                          \
		ref_close(which);                  \
	}                                          \
	static void *id##_attach(void)             \
	{                                          \
		return ref_attach(which);          \
	}                                          \
	static const struct device device_##id = { \
		.name = text,                      \
		.open = id##_open,                 \
		.close = id##_close,               \
		.attach = id##_attach,             \
		.detach = ref_detach,              \
		.buffer = ref_buffer,              \
		.run = ref_run,                    \
		.tell = tell,                      \
		.in_child = in_child,              \
		.peek = ref_peek,                  \
	}

REF_DEVICE(exact, "ref", REF_PLAIN);
REF_DEVICE(stage, "stage", REF_STAGE);
REF_DEVICE(slow, "slow", REF_SLOW);

/* ---- io_uring ------------------------------------------------------------------- */

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
	struct hmm_mirror_attr attr = {.size = sizeof(attr)};
	unsigned int nr = atomic_fetch_add(&count, 1);
	struct hmm_mirror *mirror;

	if (!c || io_uring_queue_init(2 * DEVICE_DEPTH, &c->ring, 0))
		return NULL;
	c->fd = memfd_create("uring", MFD_CLOEXEC);
	if (c->fd < 0 || ftruncate(c->fd, DEVICE_DEPTH * DEVICE_BUFFER))
		return NULL;
	c->buffers = map_buffers(c->fd);
	must("hmm_uring_open", hmm_uring_open(hmm, &c->ring, NULL, &c->u));
	/* of every second ring: larger pieces; of every third: little may be pinned */
	attr.granule = nr % 2 ? 65536 : 0;
	attr.max_pinned = nr % 3 == 2 ? 512 * 1024 : 0;
	must("hmm_mirror_create",
	     hmm_mirror_create(hmm_uring_device(c->u), &attr, &mirror));
	return c->buffers ? c : NULL;
}

static void uring_detach(void *ctx)
{
	struct uring_ctx *c = ctx;

	must("hmm_uring_close", hmm_uring_close(c->u));
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
	must("hmm_uring_submit_and_wait", done < 0 ? done : 0);
	for (unsigned int i = 0; i < nr; i++) {
		must("hmm_uring_wait_cqe", hmm_uring_wait_cqe(c->u, &cqe));
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
	must("hmm_uring_submit", hmm_uring_submit(c->u) < 0 ? -EIO : 0);
	must("hmm_uring_wait_cqe", hmm_uring_wait_cqe(c->u, &cqe));
	hmm_uring_cqe_seen(c->u, cqe);
}

static const struct device device_uring = {
	.name = "uring",
	.open = uring_open,
	.close = uring_close,
	.attach = uring_attach,
	.detach = uring_detach,
	.buffer = uring_buffer,
	.run = uring_run,
	.tell = tell,
	.in_child = in_child,
	.peek = uring_peek,
};

const struct device *const devices[] = {&device_exact,   &device_stage, &device_slow,
					&device_uring, &device_cpu,   NULL};
