// SPDX-License-Identifier: GPL-2.0-or-later
/* A complete driver: "toy", a device in software that reaches memory through 64 windows. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <hmm/check.h>
#include <hmm/driver.h>

enum state { FREE, OPEN, CLOSED };
struct toy {
	struct hmm_device *device;
	pthread_rwlock_t lock; /* read: an access is under way; write: change a window */
	enum state window[64];
};

static int toy_map(struct hmm_device *device, struct hmm_mapping *m)
{
	struct toy *toy = hmm_device_priv(device);
	uint32_t key = 0;

	pthread_rwlock_wrlock(&toy->lock);
	while (key < 64 && toy->window[key] != FREE)
		key++;
	if (key < 64)
		toy->window[key] = OPEN;
	pthread_rwlock_unlock(&toy->lock);
	m->key = key;
	m->addr = m->start; /* this device uses the CPU's own addresses */
	return key < 64 ? 0
			: -ENOSPC; /* then another is released, and we are asked again */
}

static void set_state(struct hmm_device *device, struct hmm_mapping *m, enum state state)
{
	struct toy *toy = hmm_device_priv(device);

	pthread_rwlock_wrlock(&toy->lock);
	toy->window[m->key] = state;
	pthread_rwlock_unlock(&toy->lock);
}

/* The mirror lock is held: no malloc, no free. Waits for the accesses under way. */
static void toy_revoke(struct hmm_device *device, struct hmm_mapping *m)
{
	set_state(device, m, CLOSED);
}

/* Nobody names the key any more: it may be used again. */
static void toy_release(struct hmm_device *device, struct hmm_mapping *m)
{
	set_state(device, m, FREE);
}

static const struct hmm_driver_ops toy_ops = {
	.size = sizeof(toy_ops),
	.map = toy_map,
	.revoke = toy_revoke,
	.release = toy_release,
};

static const struct hmm_driver toy_driver = {
	.size = sizeof(toy_driver),
	.abi = HMM_DRIVER_ABI,
	.name = "toy",
	.license = "GPL-2.0-or-later",
	.ops = &toy_ops,
	.modes = {HMM_MODE_DIRECT},
	.nr_modes = 1,
};

/* The device itself: through an open window only; an error, never a signal. */
static ssize_t dma(struct toy *toy, struct hmm_translation *t, struct iovec local,
		   bool read)
{
	struct iovec remote = {(void *)(uintptr_t)t->addr, local.iov_len};
	ssize_t n = -1;

	pthread_rwlock_rdlock(&toy->lock);
	if (toy->window[t->key] == OPEN)
		n = read ? process_vm_readv(getpid(), &local, 1, &remote, 1, 0)
			 : process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	pthread_rwlock_unlock(&toy->lock);
	return n;
}

static int toy_access(struct toy *toy, const void *ptr, struct iovec local, bool read)
{
	struct hmm_mirror *mirror = hmm_device_mirror(toy->device);
	unsigned int access = read ? HMM_READ : HMM_WRITE;
	int err = mirror ? -EAGAIN : -ENODEV;

	for (int attempt = 0; err == -EAGAIN && attempt < 1000; attempt++) {
		struct hmm_translation t;

		err = hmm_translate(mirror, ptr, local.iov_len, access, &t);
		if (err)
			return err;
		if (dma(toy, &t, local, read) != (ssize_t)local.iov_len)
			err = hmm_translation_valid(mirror, &t) ? -EFAULT : -EAGAIN;
		hmm_translation_put(mirror, &t); /* fails with HMM_MODE_STAGE only */
	}
	return err == -EAGAIN ? -EBUSY : err;
}

/* What `hmm check --driver` uses. */
static int toy_open(struct hmm *hmm, struct hmm_device **device, void **context)
{
	struct toy *toy = calloc(1, sizeof(*toy));
	int err = toy ? hmm_device_register(hmm, &toy_driver, toy, &toy->device) : -ENOMEM;

	if (err)
		return free(toy), err;
	pthread_rwlock_init(&toy->lock, NULL);
	*device = toy->device;
	*context = toy;
	return 0;
}

static int toy_close(void *context)
{
	int err = hmm_device_unregister(((struct toy *)context)->device);

	if (!err)
		free(context);
	return err;
}

static int toy_read(void *context, const void *from, void *out, size_t len)
{
	return toy_access(context, from, (struct iovec){out, len}, true);
}

static int toy_write(void *context, void *to, const void *data, size_t len)
{
	return toy_access(context, to, (struct iovec){(void *)(uintptr_t)data, len}, false);
}

const struct hmm_check_device hmm_check_device = {
	.size = sizeof(hmm_check_device),
	.name = "toy",
	.modes = 1u << HMM_MODE_DIRECT,
	.open = toy_open,
	.close = toy_close,
	.read = toy_read,
	.write = toy_write,
};
