// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does `hmm check --driver` see what is wrong with a driver?
 *
 * A device in software that is as hard as hardware: it reaches memory through its windows
 * alone, by /proc/self/mem, whatever the CPU may do there; its addresses are offsets in a
 * window, whose number is the key; a revoke has two halves. BAD_DRIVER in the environment
 * names a fault, see below. The second device of the file has one by itself: it takes every
 * refusal for final.
 */
#include <hmm/check.h>
#include <hmm/driver.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOWS 64
#define ACCESS  (HMM_READ | HMM_WRITE)

struct window {
	uint64_t start, size;
	unsigned int access; /* 0: closed */
	bool used, closing;
};

struct bad {
	struct hmm_device *device;
	pthread_rwlock_t lock; /* read: an access is under way; write: windows change */
	struct window windows[WINDOWS];
	int memory, leaked;
};

static bool bad(const char *fault)
{
	const char *wanted = getenv("BAD_DRIVER");

	return wanted && !strcmp(wanted, fault);
}

static int bad_map(struct hmm_device *device, struct hmm_mapping *m)
{
	struct bad *b = hmm_device_priv(device);
	uint32_t key = 0;

	pthread_rwlock_wrlock(&b->lock);
	while (key < WINDOWS && b->windows[key].used)
		key++;
	if (key < WINDOWS)
		b->windows[key] = (struct window){
			.start = (uintptr_t)m->memory,
			.size = m->end - m->start,
			.access = bad("all-access") ? ACCESS : m->access,
			.used = true,
		};
	pthread_rwlock_unlock(&b->lock);
	m->key = key;
	m->addr = 0;
	return key < WINDOWS ? 0 : hmm_device_error(-EIO, "called beyond max_entries");
}

/* The windows of both halves: those that are to be closed. */
static void bad_revoke(struct hmm_device *device, struct hmm_mapping *m)
{
	struct bad *b = hmm_device_priv(device);

	b->windows[m->key].closing = !bad("no-revoke");
}

static void bad_revoke_wait(struct hmm_device *device)
{
	struct bad *b = hmm_device_priv(device);

	if (bad("no-wait"))
		return;
	pthread_rwlock_wrlock(&b->lock);
	for (unsigned int key = 0; key < WINDOWS; key++) {
		struct window *w = &b->windows[key];

		if (!w->closing)
			continue;
		w->closing = false;
		w->access = 0;
		w->used &= !bad("early-key");
	}
	pthread_rwlock_unlock(&b->lock);
}

static void bad_release(struct hmm_device *device, struct hmm_mapping *m)
{
	struct bad *b = hmm_device_priv(device);

	if (bad("no-release"))
		return;
	pthread_rwlock_wrlock(&b->lock);
	b->windows[m->key].access = 0;
	b->windows[m->key].used = false;
	pthread_rwlock_unlock(&b->lock);
}

static const struct hmm_driver_ops bad_ops = {
	.size = sizeof(bad_ops),
	.map = bad_map,
	.revoke = bad_revoke,
	.revoke_wait = bad_revoke_wait,
	.release = bad_release,
};

static const struct hmm_driver bad_driver = {
	.size = sizeof(bad_driver),
	.abi = HMM_DRIVER_ABI,
	.name = "bad",
	.license = "GPL-2.0-or-later",
	.ops = &bad_ops,
	.modes = {HMM_MODE_DIRECT, HMM_MODE_STAGE},
	.nr_modes = 2,
	.max_entries = WINDOWS,
};

/* ---- the device ---------------------------------------------------------------------- */

static ssize_t through_window(struct bad *b, uint64_t addr, uint32_t key,
			      unsigned int access, void *buffer, size_t len)
{
	const struct window *w = &b->windows[key];
	off_t at = (off_t)(w->start + addr);
	ssize_t n;

	if ((w->access & access) != access || addr + len > w->size)
		return -EFAULT;
	n = access == HMM_READ ? pread(b->memory, buffer, len, at)
			       : pwrite(b->memory, buffer, len, at);
	return n > 0 ? n : -EFAULT;
}

static ssize_t bad_move(void *context, uint64_t addr, uint32_t key, unsigned int access,
			void *buffer, size_t len)
{
	struct bad *b = context;
	sigset_t all, before;
	ssize_t n;

	if (bad("crash") && len == 14)
		raise(SIGSEGV);
	while (bad("hang") && len == 14)
		pause();
	if (bad("lie"))
		return (ssize_t)len;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_rwlock_rdlock(&b->lock);
	n = key < WINDOWS ? through_window(b, addr, key, access, buffer, len) : -EFAULT;
	pthread_rwlock_unlock(&b->lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (n == (ssize_t)len && bad("stale") && access == HMM_READ && len <= 64) {
		static unsigned char last[64];
		unsigned char now[64];

		memcpy(now, buffer, len);
		memcpy(buffer, last, len);
		memcpy(last, now, len);
	}
	return n;
}

static int bad_open(struct hmm *hmm, struct hmm_device **device, void **context)
{
	pthread_rwlockattr_t fair;
	struct bad *b;
	int err;

	if (bad("absent"))
		return hmm_device_error(-ENODEV, "no such hardware in this machine");
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	pthread_rwlockattr_init(&fair);
	pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&b->lock, &fair);
	b->memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	b->leaked = bad("leak") ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
	err = b->memory < 0
		      ? hmm_device_error(-ENODEV, "/proc/self/mem: %s", strerror(errno))
		      : hmm_device_register(hmm, &bad_driver, b, &b->device);
	if (err) {
		close(b->memory);
		free(b);
		return err;
	}
	*device = b->device;
	*context = b;
	return 0;
}

static int bad_close(void *context)
{
	struct bad *b = context;
	int err = hmm_device_unregister(b->device);

	if (err)
		return err;
	close(b->memory);
	free(b);
	return 0;
}

/* ---- one that does not try again --------------------------------------------------- */

static int once(struct bad *b, unsigned int access, const void *ptr, void *buffer,
		size_t len)
{
	struct hmm_translation t;
	int err = hmm_translate(hmm_device_mirror(b->device), ptr, len, access, &t), put;
	ssize_t n;

	if (err)
		return err;
	usleep(20); /* it is no fast one */
	n = bad_move(b, t.addr, t.key, access, buffer, len);
	put = hmm_translation_put(&t);
	return n < 0 ? (int)n : put;
}

static int once_read(void *context, const void *from, void *out, size_t len)
{
	return once(context, HMM_READ, from, out, len);
}

static int once_write(void *context, void *to, const void *data, size_t len)
{
	return once(context, HMM_WRITE, to, (void *)(uintptr_t)data, len);
}

static const struct hmm_check_device once_device = {
	.size = sizeof(once_device),
	.name = "once",
	.modes = 1u << HMM_MODE_DIRECT | 1u << HMM_MODE_STAGE,
	.open = bad_open,
	.close = bad_close,
	.read = once_read,
	.write = once_write,
};

HMM_API const struct hmm_check_device hmm_check_device = {
	.size = sizeof(struct hmm_check_device),
	.name = "bad",
	.modes = 1u << HMM_MODE_DIRECT | 1u << HMM_MODE_STAGE,
	.open = bad_open,
	.close = bad_close,
	.move = bad_move,
	.next = &once_device,
};
