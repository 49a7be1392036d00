// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm demo: how is a device driven: the usual way, and with libhmm?
 *
 * The usual way is io_uring's fixed buffers as programs use them: all buffers registered
 * once at the start, and looked up by address from then on. A block at an address that was
 * not registered is registered then, as a registration cache would do. Nobody tells such
 * a program or cache that the memory behind an address has changed.
 *
 * Two more ways are there to compare with on persistent memory: to register for each batch
 * of operations anew, and not to register at all.
 *
 * With libhmm the same operations take plain pointers, by io_uring and by the reference
 * device.
 */
#include "demo.h"

#include <hmm/hmm.h>
#include <hmm/ref.h>
#include <hmm/uring.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES  64
#define WHY_SIZE 256
#define GRANULE  (256u << 10) /* as hmm/uring.h advises */

struct device {
	const struct stage *stage;
	struct io_uring ring; /* not the reference device's */

	/* the usual way */
	struct iovec registered[2 * BUFFERS_MAX]; /* the second half is empty at first */
	unsigned int used[2 * BUFFERS_MAX];       /* the last batch that used it */
	unsigned int count, oldest, batch;
	bool each, plain; /* registered for each batch; never */

	/* libhmm's */
	struct hmm *hmm;
	struct hmm_mirror *mirror;
	struct hmm_uring *uring;
	struct hmm_ref *ref;
};

/* What libhmm says of its last error. */
static void *refuse(struct device *device, char *why, int err)
{
	const char *text = hmm_error();

	snprintf(why, WHY_SIZE, "libhmm: %s", *text ? text : strerror(-err));
	free(device);
	return NULL;
}

static struct device *make_device(const struct stage *stage, char *why)
{
	struct device *device = calloc(1, sizeof(*device));

	if (device)
		device->stage = stage;
	else
		snprintf(why, WHY_SIZE, "no memory");
	return device;
}

static struct device *make_ring(const struct stage *stage, char *why)
{
	struct device *device = make_device(stage, why);
	int err;

	if (!device)
		return NULL;
	err = io_uring_queue_init(ENTRIES, &device->ring, 0);
	if (!err)
		return device;
	snprintf(why, WHY_SIZE, "this machine has no io_uring for us: %s", strerror(-err));
	free(device);
	return NULL;
}

static void free_ring(struct device *device)
{
	io_uring_queue_exit(&device->ring);
	free(device);
}

/* ---- the usual way ------------------------------------------------------------------ */

/* What an earlier ring had pinned is given back a little later: try again for a second. */
static int register_buffers(struct device *device)
{
	int err = -ENOMEM;

	for (int tries = 0; tries < 100 && err == -ENOMEM; tries++) {
		if (tries)
			usleep(10000);
		err = io_uring_register_buffers(&device->ring, device->registered,
						device->count);
	}
	return err;
}

static void *usual_open(const struct stage *stage, struct buffer *buffers,
			unsigned int count, char *why)
{
	struct device *device = make_ring(stage, why);
	int err;

	if (!device)
		return NULL;
	device->count = 2 * count;
	device->oldest = count;
	for (unsigned int i = 0; i < count; i++)
		device->registered[i] = (struct iovec){buffers[i].addr, buffers[i].len};
	err = register_buffers(device);
	if (err) {
		snprintf(why, WHY_SIZE, "the kernel refuses to register it: %s",
			 strerror(-err));
		free_ring(device);
		return NULL;
	}
	return device;
}

/* Whether it can be registered at all is tried once, as above. */
static void *each_open(const struct stage *stage, struct buffer *buffers,
		       unsigned int count, char *why)
{
	struct device *device = usual_open(stage, buffers, count, why);

	if (!device)
		return NULL;
	device->each = true;
	io_uring_unregister_buffers(&device->ring);
	memset(device->registered, 0, sizeof(device->registered));
	if (!register_buffers(device))
		return device;
	snprintf(why, WHY_SIZE, "the kernel takes no empty table of buffers");
	free_ring(device);
	return NULL;
}

static void *plain_open(const struct stage *stage, struct buffer *buffers,
			unsigned int count, char *why)
{
	struct device *device = make_ring(stage, why);

	if (device)
		device->plain = true;
	return device;
}

static void usual_close(void *arg)
{
	free_ring(arg);
}

/* The slot of an address; a new address takes the place of the oldest. -errno. */
static int find_slot(struct device *device, const struct buffer *buffer)
{
	struct iovec iov = {buffer->addr, buffer->len};
	__u64 tag = 0;
	unsigned int slot;
	int done;

	for (slot = 0; slot < device->count; slot++) {
		if (device->registered[slot].iov_base == iov.iov_base)
			goto found;
	}
	do {
		slot = device->oldest++ % device->count;
	} while (device->used[slot] == device->batch);
	done = io_uring_register_buffers_update_tag(&device->ring, slot, &iov, &tag, 1);
	if (done < 0)
		return done;
	device->registered[slot] = iov;
found:
	device->used[slot] = device->batch;
	return (int)slot;
}

static int take_slot(struct device *device, const struct buffer *buffer, unsigned int n)
{
	struct iovec iov = {buffer->addr, buffer->len};
	__u64 tag = 0;
	int done;

	if (!device->each)
		return find_slot(device, buffer);
	done = io_uring_register_buffers_update_tag(&device->ring, n, &iov, &tag, 1);
	return done < 0 ? done : (int)n;
}

static void give_slots(struct device *device, unsigned int count)
{
	struct iovec none[BATCH] = {{NULL, 0}};
	__u64 tags[BATCH] = {0};

	io_uring_register_buffers_update_tag(&device->ring, 0, none, tags, count);
}

/* ---- operations on a ring, both ways ------------------------------------------------- */

static void prepare_usual(struct device *device, struct io_uring_sqe *sqe,
			  const struct operation *op, int fd, uint64_t offset,
			  unsigned int n)
{
	void *at = op->buffer->addr + op->from;
	int slot = device->plain ? 0 : take_slot(device, op->buffer, n);
	unsigned int len = (unsigned int)op->len;

	if (device->plain && op->what == OP_READ)
		io_uring_prep_read(sqe, fd, at, len, offset);
	else if (device->plain)
		io_uring_prep_write(sqe, fd, at, len, offset);
	else if (slot < 0)
		io_uring_prep_nop(sqe); /* its result, 0, is a failure */
	else if (op->what == OP_READ)
		io_uring_prep_read_fixed(sqe, fd, at, len, offset, slot);
	else
		io_uring_prep_write_fixed(sqe, fd, at, len, offset, slot);
}

static void prepare_hmm(struct device *device, struct io_uring_sqe *sqe,
			const struct operation *op, int fd, uint64_t offset)
{
	void *at = op->buffer->addr + op->from;
	unsigned int len = (unsigned int)op->len;

	if (op->what == OP_READ)
		hmm_uring_prep_read(device->uring, sqe, fd, at, len, offset);
	else
		hmm_uring_prep_write(device->uring, sqe, fd, at, len, offset);
}

static void prepare(struct device *device, struct operation *op, unsigned int n)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&device->ring);
	const struct stage *stage = device->stage;
	uint64_t offset = 0;
	int fd;

	if (op->what == OP_READ) {
		fd = stage->data_fd;
		offset = (uint64_t)op->block * BLOCK_MAX;
	} else if (op->what == OP_WRITE) {
		fd = stage->out_fd;
		offset = (uint64_t)op->buffer->slot * BLOCK_MAX;
	} else {
		fd = stage->pipes[op->buffer->slot][1];
	}
	if (device->uring)
		prepare_hmm(device, sqe, op, fd, offset);
	else
		prepare_usual(device, sqe, op, fd, offset, n);
	io_uring_sqe_set_data64(sqe, n);
}

static int submit(struct device *device, unsigned int count)
{
	if (device->uring)
		return hmm_uring_submit_and_wait(device->uring, count);
	return io_uring_submit_and_wait(&device->ring, count);
}

static int reap(struct device *device, struct operation *ops, unsigned int count)
{
	struct io_uring_cqe *cqe;
	int err;

	if (device->uring)
		err = hmm_uring_wait_cqe(device->uring, &cqe);
	else
		err = io_uring_wait_cqe(&device->ring, &cqe);
	if (err)
		return err;
	if (cqe->user_data < count)
		ops[cqe->user_data].result = cqe->res;
	if (device->uring)
		hmm_uring_cqe_seen(device->uring, cqe);
	else
		io_uring_cqe_seen(&device->ring, cqe);
	return 0;
}

static void ring_run(void *arg, struct operation *ops, unsigned int count)
{
	struct device *device = arg;
	int err;

	device->batch++;
	for (unsigned int i = 0; i < count; i++) {
		ops[i].result = -EIO;
		prepare(device, &ops[i], i);
	}
	do {
		err = submit(device, count);
	} while (err == -EINTR);
	for (unsigned int done = 0; err >= 0 && done < count;) {
		err = reap(device, ops, count);
		done += !err;
		if (err == -EINTR)
			err = 0;
	}
	for (unsigned int i = 0; err < 0 && i < count; i++)
		ops[i].result = err;
	if (device->each)
		give_slots(device, count);
	/* Nothing was moved: what could not be registered was refused. */
	for (unsigned int i = 0; device->each && i < count; i++) {
		if (!ops[i].result)
			ops[i].result = -EFAULT;
	}
}

/* ---- with libhmm: io_uring ----------------------------------------------------------- */

static void *hmm_ring_open(const struct stage *stage, struct buffer *buffers,
			   unsigned int count, char *why)
{
	const struct hmm_uring_attr all = {.size = sizeof(all), .flags = HMM_URING_PIN_ALL};
	const struct hmm_mirror_attr attr = {.size = sizeof(attr), .granule = GRANULE};
	struct device *device = make_ring(stage, why);
	int err;

	(void)buffers, (void)count;
	if (!device)
		return NULL;
	err = hmm_open(NULL, &device->hmm);
	if (err)
		goto err_ring;
	err = hmm_uring_open(device->hmm, &device->ring, &all, &device->uring);
	if (err)
		goto err_hmm;
	err = hmm_mirror_create(hmm_uring_device(device->uring), &attr, &device->mirror);
	if (!err)
		return device;
	hmm_uring_close(device->uring);
err_hmm:
	hmm_close(device->hmm);
err_ring:
	io_uring_queue_exit(&device->ring);
	return refuse(device, why, err);
}

static const char *hmm_ring_mode(void *arg)
{
	struct hmm_uring_stats stats;
	struct device *device = arg;

	if (hmm_uring_stats(device->uring, &stats, sizeof(stats)))
		return NULL;
	if (stats.plain < (stats.plain + stats.fixed) / 10)
		return hmm_mode_name(HMM_MODE_PIN);
	if (stats.fixed < (stats.plain + stats.fixed) / 10)
		return hmm_mode_name(HMM_MODE_DIRECT);
	return "pin, direct";
}

static void hmm_ring_close(void *arg)
{
	struct device *device = arg;

	hmm_mirror_destroy(device->mirror);
	hmm_uring_close(device->uring);
	hmm_close(device->hmm);
	free_ring(device);
}

/* ---- with libhmm: the reference device ----------------------------------------------- */

static void *ref_open(const struct stage *stage, struct buffer *buffers, unsigned int count,
		      char *why)
{
	struct device *device = make_device(stage, why);
	int err;

	(void)buffers, (void)count;
	if (!device)
		return NULL;
	err = hmm_open(NULL, &device->hmm);
	if (err)
		return refuse(device, why, err);
	err = hmm_ref_open(device->hmm, NULL, &device->ref);
	if (err)
		goto err_hmm;
	err = hmm_mirror_create(hmm_ref_device(device->ref), NULL, &device->mirror);
	if (!err)
		return device;
	hmm_ref_close(device->ref);
err_hmm:
	hmm_close(device->hmm);
	return refuse(device, why, err);
}

static long ref_operate(struct device *device, struct operation *op)
{
	unsigned char *at = op->buffer->addr + op->from;

	switch (op->what) {
	case OP_READ:
		return hmm_ref_write(device->ref, at,
				     device->stage->data + (size_t)op->block * BLOCK_MAX,
				     op->len);
	case OP_WALK:
		return hmm_ref_walk(device->ref, list_head(op->buffer), LIST_NEXT,
				    LIST_VALUE, &op->count, &op->sum);
	default:
		return hmm_ref_read(device->ref, at, op->out, op->len);
	}
}

static void ref_run(void *arg, struct operation *ops, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		ops[i].result = ref_operate(arg, &ops[i]);
		if (ops[i].result < 0)
			snprintf(ops[i].error, sizeof(ops[i].error), "%s", hmm_error());
		else
			ops[i].result = (long)ops[i].len;
	}
}

static const char *ref_mode(void *arg)
{
	struct device *device = arg;
	struct hmm_stats stats;
	unsigned int most = 0;

	if (hmm_stats_read(device->hmm, device->mirror, &stats, sizeof(stats)))
		return NULL;
	for (unsigned int mode = 0; mode < HMM_MODES; mode++) {
		if (stats.by_mode[mode] > stats.by_mode[most])
			most = mode;
	}
	return hmm_mode_name((enum hmm_mode)most);
}

static void ref_close(void *arg)
{
	struct device *device = arg;

	hmm_mirror_destroy(device->mirror);
	hmm_ref_close(device->ref);
	hmm_close(device->hmm);
	free(device);
}

const struct engine engines[ENGINES] = {
	{"usual", "the usual way", false, usual_open, ring_run, NULL, usual_close, false},
	{"each", "registered each time", false, each_open, ring_run, NULL, usual_close,
	 false, true},
	{"plain", "plain io_uring", false, plain_open, ring_run, NULL, usual_close, false,
	 true},
	{"uring", "libhmm, io_uring", true, hmm_ring_open, ring_run, hmm_ring_mode,
	 hmm_ring_close, false},
	{"ref", "libhmm, reference device", true, ref_open, ref_run, ref_mode, ref_close,
	 true},
};
