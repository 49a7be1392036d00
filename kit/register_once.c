// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: what does a program do without libhmm, and would the suite notice?
 *
 * The usual way: memory is registered with the io_uring when it is first used, and the
 * registration is believed from then on. `hmm check --device usual` has to fail on every
 * change that a registration does not survive: it shows that each cell can fail, and for
 * the reason that it is there for. Nothing else uses this device.
 */
#include "kit.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 64

struct usual {
	pthread_mutex_t lock; /* one operation at a time */
	struct io_uring ring;
	int scratch; /* a file: where the device's data comes from and goes to */
	unsigned int used;
	struct {
		uintptr_t lo, hi;
	} slots[SLOTS];
};

static int usual_open(struct hmm *hmm, struct hmm_device **device, void **context)
{
	struct usual *usual = calloc(1, sizeof(*usual));
	int err;

	if (!usual)
		return -ENOMEM;
	pthread_mutex_init(&usual->lock, NULL);
	usual->scratch = memfd_create("hmm-check-usual", MFD_CLOEXEC);
	err = usual->scratch < 0 ? -errno : io_uring_queue_init(8, &usual->ring, 0);
	if (!err) {
		err = io_uring_register_buffers_sparse(&usual->ring, SLOTS);
		if (err)
			io_uring_queue_exit(&usual->ring);
	}
	if (err) {
		if (usual->scratch >= 0)
			close(usual->scratch);
		free(usual);
		return err;
	}
	*device = NULL;
	*context = usual;
	return 0;
}

static int usual_close(void *context)
{
	struct usual *usual = context;

	io_uring_queue_exit(&usual->ring);
	close(usual->scratch);
	free(usual);
	return 0;
}

/* The slot of the range: an old one that holds it, else a new one; -1: cannot be had. */
static int find_slot(struct usual *usual, uintptr_t lo, uintptr_t hi)
{
	struct iovec iov;
	__u64 tag = 0;

	for (unsigned int i = 0; i < usual->used; i++) {
		if (usual->slots[i].lo <= lo && hi <= usual->slots[i].hi)
			return (int)i;
	}
	lo &= ~(KIT_PAGE - 1);
	hi = (hi + KIT_PAGE - 1) & ~(KIT_PAGE - 1);
	iov = (struct iovec){(void *)lo, hi - lo};
	if (usual->used == SLOTS || io_uring_register_buffers_update_tag(
					    &usual->ring, usual->used, &iov, &tag, 1) != 1)
		return -1;
	usual->slots[usual->used].lo = lo;
	usual->slots[usual->used].hi = hi;
	return (int)usual->used++;
}

static int transfer(struct usual *usual, uintptr_t at, size_t len, bool into_memory)
{
	int slot = find_slot(usual, at, at + len);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&usual->ring);
	struct io_uring_cqe *cqe;
	int rc;

	if (slot >= 0 && into_memory)
		io_uring_prep_read_fixed(sqe, usual->scratch, (void *)at, (unsigned int)len,
					 0, slot);
	else if (slot >= 0)
		io_uring_prep_write_fixed(sqe, usual->scratch, (void *)at,
					  (unsigned int)len, 0, slot);
	else if (into_memory)
		io_uring_prep_read(sqe, usual->scratch, (void *)at, (unsigned int)len, 0);
	else
		io_uring_prep_write(sqe, usual->scratch, (void *)at, (unsigned int)len, 0);
	rc = io_uring_submit_and_wait(&usual->ring, 1);
	if (rc >= 0)
		rc = io_uring_wait_cqe(&usual->ring, &cqe);
	if (rc < 0)
		return rc;
	rc = cqe->res;
	io_uring_cqe_seen(&usual->ring, cqe);
	if (rc < 0)
		return rc;
	return (size_t)rc == len ? 0 : -EFAULT;
}

static int usual_read(void *context, const void *from, void *out, size_t len)
{
	struct usual *usual = context;
	int err;

	pthread_mutex_lock(&usual->lock);
	err = transfer(usual, (uintptr_t)from, len, false);
	if (!err && pread(usual->scratch, out, len, 0) != (ssize_t)len)
		err = -EIO;
	pthread_mutex_unlock(&usual->lock);
	return err;
}

static int usual_write(void *context, void *to, const void *data, size_t len)
{
	struct usual *usual = context;
	int err = 0;

	pthread_mutex_lock(&usual->lock);
	if (pwrite(usual->scratch, data, len, 0) != (ssize_t)len)
		err = -EIO;
	if (!err)
		err = transfer(usual, (uintptr_t)to, len, true);
	pthread_mutex_unlock(&usual->lock);
	return err;
}

const struct hmm_check_device kit_register_once = {
	.size = sizeof(struct hmm_check_device),
	.name = "usual",
	.modes = 1u << HMM_MODE_PIN,
	.open = usual_open,
	.close = usual_close,
	.read = usual_read,
	.write = usual_write,
};
