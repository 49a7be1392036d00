// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: which fixed buffer of the ring holds which memory?
 *
 * A slot is free, or holds one mapping from uring_slots_map() to uring_slots_release(),
 * which the core calls when no operation names the slot any more (hard rule 6). Clearing it
 * unpins the pages. A ring with IORING_SETUP_SINGLE_ISSUER takes table changes from its own
 * thread only: what another thread releases waits in `deferred` until that thread next
 * submits, reaps or maps.
 *
 * The table is changed through a descriptor of our own (hmm_fd_keep): the application may
 * close its ring first, or have registered its descriptor, which is then good in one thread
 * only. If somebody closes ours, it is made anew from the application's, while that is the
 * ring's; after that nothing is pinned any more, and what is pinned stays so until the ring
 * goes.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

__thread uint32_t uring_slots_pressure;

/* One more of the application's, if it still is the ring's: a handle. */
static int keep_fd(struct uring_slots *slots)
{
	int fd = fcntl(__atomic_load_n(&slots->ring->ring_fd, __ATOMIC_RELAXED),
		       F_DUPFD_CLOEXEC, 3);
	struct stat stat;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &stat) && stat.st_dev == slots->dev && stat.st_ino == slots->ino)
		return hmm_fd_keep(fd);
	close(fd);
	return -EBADF;
}

/* The ring, for one use. */
static int ring_fd(struct uring_slots *slots)
{
	int old = atomic_load(&slots->fd), fd = hmm_fd(old), new;

	if (likely(fd >= 0))
		return fd;
	new = keep_fd(slots);
	if (new < 0)
		return -EBADF;
	/* Somebody else was faster: theirs is as good. */
	hmm_fd_drop(atomic_compare_exchange_strong(&slots->fd, &old, new) ? old : new);
	return hmm_fd(atomic_load(&slots->fd));
}

static int slot_update(struct uring_slots *slots, uint32_t slot, void *start, size_t len)
{
	struct iovec iov = {.iov_base = start, .iov_len = len};
	uint64_t tag = 0;
	struct io_uring_rsrc_update2 update = {
		.offset = slot,
		.data = (uintptr_t)&iov,
		.tags = (uintptr_t)&tag,
		.nr = 1,
	};
	int ret = ring_fd(slots);

	if (ret >= 0)
		ret = io_uring_register(ret, IORING_REGISTER_BUFFERS_UPDATE, &update,
					sizeof(update));
	return ret < 0 ? ret : 0;
}

static void push_free(struct uring_slots *slots, uint32_t slot)
{
	slots->free[slots->nr_free++] = slot;
}

static void clear_deferred_locked(struct uring_slots *slots)
{
	uint32_t n = atomic_load(&slots->waiting);

	while (n && slot_update(slots, slots->deferred[n - 1], NULL, 0) == 0)
		push_free(slots, slots->deferred[--n]);
	atomic_store(&slots->waiting, n);
}

void uring_slots_clear_deferred(struct uring_slots *slots)
{
	pthread_mutex_lock(&slots->lock);
	clear_deferred_locked(slots);
	pthread_mutex_unlock(&slots->lock);
}

static int take_slot(struct uring_slots *slots, uint32_t *slot)
{
	int ret = 0;

	pthread_mutex_lock(&slots->lock);
	clear_deferred_locked(slots);
	if (slots->nr_free)
		*slot = slots->free[--slots->nr_free];
	else
		ret = -ENOSPC;
	pthread_mutex_unlock(&slots->lock);
	return ret;
}

static void give_slot(struct uring_slots *slots, uint32_t slot)
{
	pthread_mutex_lock(&slots->lock);
	push_free(slots, slot);
	pthread_mutex_unlock(&slots->lock);
}

/*
 * -ENOSPC no slot, -ENOMEM RLIMIT_MEMLOCK: the core evicts something and comes again.
 * -EOPNOTSUPP everything else that the kernel does not take: read-only memory and files
 * (EFAULT), DAX (EOPNOTSUPP), another thread's ring (EEXIST): plain operations do.
 */
int uring_slots_map(struct uring_slots *slots, void *start, size_t len, uint32_t *slot)
{
	uint32_t new;
	int ret = take_slot(slots, &new);

	if (!ret) {
		ret = slot_update(slots, new, start, len);
		if (ret)
			give_slot(slots, new);
	}
	uring_slots_pressure += ret == -ENOMEM || ret == -ENOSPC;
	if (ret == -EBADF)
		hmm_device_error(ret, "the library's descriptor of the ring was closed, "
				      "and the ring's own, too: nothing can be pinned");
	if (ret)
		return ret == -ENOMEM || ret == -ENOSPC ? ret : -EOPNOTSUPP;
	*slot = new;
	return 0;
}

void uring_slots_release(struct uring_slots *slots, uint32_t slot)
{
	int ret = slot_update(slots, slot, NULL, 0);
	uint32_t n;

	uring_slots_pressure++;

	pthread_mutex_lock(&slots->lock);
	n = atomic_load(&slots->waiting);
	if (ret) {
		slots->deferred[n] = slot;
		atomic_store(&slots->waiting, n + 1);
	} else {
		push_free(slots, slot);
	}
	pthread_mutex_unlock(&slots->lock);
}

uint32_t uring_slots_used(struct uring_slots *slots)
{
	uint32_t used;

	pthread_mutex_lock(&slots->lock);
	used = slots->nr - slots->nr_free;
	pthread_mutex_unlock(&slots->lock);
	return used;
}

/* A table of empty slots; kernels 5.13 to 5.18 take it as a list of empty buffers. */
static int register_table(int fd, uint32_t nr)
{
	struct io_uring_rsrc_register sparse = {.nr = nr,
						.flags = IORING_RSRC_REGISTER_SPARSE};
	struct io_uring_rsrc_register listed = {.nr = nr};
	struct iovec *none;
	int ret;

	ret = io_uring_register(fd, IORING_REGISTER_BUFFERS2, &sparse, sizeof(sparse));
	if (ret != -EINVAL)
		return ret;
	none = calloc(nr, sizeof(*none) + sizeof(uint64_t));
	if (!none)
		return -ENOMEM;
	listed.data = (uintptr_t)none;
	listed.tags = (uintptr_t)(none + nr);
	ret = io_uring_register(fd, IORING_REGISTER_BUFFERS2, &listed, sizeof(listed));
	free(none);
	return ret;
}

/* One page goes into a table and out again: has the kernel told that it is free? */
static bool is_late(struct io_uring *ring, void *page, size_t size)
{
	struct iovec iov = {.iov_base = page, .iov_len = size};
	struct io_uring_cqe *cqe;
	__u64 tag = 1;

	if (io_uring_register_buffers_update_tag(ring, 0, &iov, &tag, 1) != 1)
		return false; /* nothing can be pinned */
	iov = (struct iovec){.iov_base = NULL};
	tag = 0;
	if (io_uring_register_buffers_update_tag(ring, 0, &iov, &tag, 1) != 1)
		return false;
	return io_uring_peek_cqe(ring, &cqe) != 0;
}

/*
 * Kernels before 6.4 let go of what was in a table a second later, all at once. It is tried
 * on a ring of our own, since the kernel tells by a completion.
 */
bool uring_slots_late(void)
{
	static _Atomic(int) known; /* 1: no, 2: yes */
	size_t size = sysconf(_SC_PAGESIZE);
	struct io_uring ring;
	bool late = false;
	void *page;

	if (atomic_load(&known))
		return atomic_load(&known) == 2;
	if (io_uring_queue_init(2, &ring, 0))
		return false;
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED) {
		if (!register_table(ring.ring_fd, 1))
			late = is_late(&ring, page, size);
		munmap(page, size);
	}
	io_uring_queue_exit(&ring);
	atomic_store(&known, late ? 2 : 1);
	return late;
}

/* The arrays are the caller's. nr 0: no table. */
int uring_slots_init(struct uring_slots *slots, struct io_uring *ring, uint32_t nr)
{
	struct stat stat;
	int ret = 0;

	slots->ring = ring;
	atomic_store(&slots->fd, -1);
	if (nr) {
		if (fstat(ring->ring_fd, &stat))
			return -errno;
		slots->dev = stat.st_dev;
		slots->ino = stat.st_ino;
		ret = keep_fd(slots);
		if (ret < 0)
			return ret;
		atomic_store(&slots->fd, ret);
		ret = register_table(ring_fd(slots), nr);
	}
	if (ret) {
		hmm_fd_drop(atomic_load(&slots->fd));
		return ret;
	}
	pthread_mutex_init(&slots->lock, NULL);
	slots->nr = nr;
	while (nr)
		push_free(slots, --nr);
	return 0;
}

void uring_slots_fini(struct uring_slots *slots)
{
	int fd;

	if (slots->nr) {
		uring_slots_clear_deferred(slots);
		fd = ring_fd(slots);
		if (fd >= 0)
			io_uring_register(fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
		hmm_fd_drop(atomic_load(&slots->fd));
	}
	pthread_mutex_destroy(&slots->lock);
}
