// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: by which ways can an address space be changed?
 *
 * Through libc's functions (each under every name that libc has for it, and by its number
 * through libc's syscall(): the turns), by raw system calls, and by the kernel on behalf of
 * an io_uring. Every call answers as libc's does: -1 and errno.
 */
#include "kit.h"
#include "raw.h"

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

const char *const kit_way_names[NR_WAYS] = {
	[WAY_LIBC] = "libc",   [WAY_RAW] = "raw",     [WAY_INNER] = "inner",
	[WAY_ALIAS] = "alias", [WAY_OTHER] = "other", [WAY_URING] = "uring",
};

/* The same functions under their plain names: a build with 64-bit offsets renames them. */
extern void *plain_mmap(void *, size_t, int, int, int, off_t) __asm__("mmap");
extern void *wide_mmap(void *, size_t, int, int, int, off_t) __asm__("mmap64");
extern int plain_ftruncate(int, off_t) __asm__("ftruncate");
extern int wide_ftruncate(int, off_t) __asm__("ftruncate64");
extern int plain_fallocate(int, int, off_t, off_t) __asm__("fallocate");
extern int wide_fallocate(int, int, off_t, off_t) __asm__("fallocate64");

static int own_pidfd(void)
{
	static int fd = -1;
	static pid_t of;

	if (fd < 0 || of != getpid()) {
		fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
		of = getpid();
	}
	return fd;
}

/* process_madvise answers with a count. */
static int counted(ssize_t n, size_t len)
{
	if (n >= 0 && (size_t)n != len)
		errno = EAGAIN;
	return n == (ssize_t)len ? 0 : -1;
}

/* ---- libc ------------------------------------------------------------------------ */

static void *libc_mremap(void *old, size_t old_len, size_t len, int flags, void *to)
{
	return mremap(old, old_len, len, flags, to);
}

static int libc_process_madvise(void *at, size_t len, int advice)
{
	struct iovec iov = {at, len};

	return counted(process_madvise(own_pidfd(), &iov, 1, advice, 0), len);
}

static int libc_sbrk(void *end)
{
	return sbrk((char *)end - (char *)sbrk(0)) == (void *)-1 ? -1 : 0;
}

static int libc_truncate(int fd, off_t len)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return truncate(path, len);
}

/* By number. */
static int number_munmap(void *at, size_t len)
{
	return (int)syscall(SYS_munmap, at, len);
}

static void *number_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
}

static void *number_mremap(void *old, size_t old_len, size_t len, int flags, void *to)
{
	return (void *)syscall(SYS_mremap, old, old_len, len, flags, to);
}

static int number_madvise(void *at, size_t len, int advice)
{
	return (int)syscall(SYS_madvise, at, len, advice);
}

static int number_process_madvise(void *at, size_t len, int advice)
{
	struct iovec iov = {at, len};

	return counted(syscall(SYS_process_madvise, own_pidfd(), &iov, 1, advice, 0), len);
}

static int number_mprotect(void *at, size_t len, int prot)
{
	return (int)syscall(SYS_mprotect, at, len, prot);
}

static int number_pkey_mprotect(void *at, size_t len, int prot, int pkey)
{
	return (int)syscall(SYS_pkey_mprotect, at, len, prot, pkey);
}

static int number_brk(void *end)
{
	return (void *)syscall(SYS_brk, end) == end ? 0 : -1;
}

static void *number_shmat(int id, const void *at, int flags)
{
	return (void *)syscall(SYS_shmat, id, at, flags);
}

static int number_shmdt(const void *at)
{
	return (int)syscall(SYS_shmdt, at);
}

static int number_ftruncate(int fd, off_t len)
{
	return (int)syscall(SYS_ftruncate, fd, len);
}

static int number_fallocate(int fd, int mode, off_t offset, off_t len)
{
	return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

static int number_remap_file_pages(void *at, size_t len, int prot, size_t pgoff, int flags)
{
	return (int)syscall(SYS_remap_file_pages, at, len, prot, pgoff, flags);
}

#define TURNS 4

/* Those that have one name. */
#define LIBC_CALLS                                                      \
	.munmap = munmap, .mremap = libc_mremap, .madvise = madvise,    \
	.process_madvise = libc_process_madvise, .mprotect = mprotect,  \
	.pkey_mprotect = pkey_mprotect, .shmat = shmat, .shmdt = shmdt, \
	.remap_file_pages = remap_file_pages

static const struct kit_calls libc_calls[TURNS] = {
	{
		LIBC_CALLS,
		.mmap = plain_mmap,
		.brk = brk,
		.ftruncate = plain_ftruncate,
		.fallocate = plain_fallocate,
		.fork = fork,
	},
	{
		LIBC_CALLS,
		.mmap = wide_mmap,
		.brk = libc_sbrk,
		.ftruncate = wide_ftruncate,
		.fallocate = wide_fallocate,
		.fork = _Fork,
	},
	{
		LIBC_CALLS,
		.mmap = plain_mmap,
		.brk = libc_sbrk,
		.ftruncate = libc_truncate,
		.fallocate = plain_fallocate,
		.fork = fork,
	},
	{
		.munmap = number_munmap,
		.mmap = number_mmap,
		.mremap = number_mremap,
		.madvise = number_madvise,
		.process_madvise = number_process_madvise,
		.mprotect = number_mprotect,
		.pkey_mprotect = number_pkey_mprotect,
		.brk = number_brk,
		.shmat = number_shmat,
		.shmdt = number_shmdt,
		.ftruncate = number_ftruncate,
		.fallocate = number_fallocate,
		.remap_file_pages = number_remap_file_pages,
		.fork = fork,
	},
};

/* ---- raw ------------------------------------------------------------------------- */

static int raw_munmap(void *at, size_t len)
{
	return (int)raw_call(SYS_munmap, at, len);
}

static void *raw_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	return (void *)raw_call(SYS_mmap, at, len, prot, flags, fd, offset);
}

static void *raw_mremap(void *old, size_t old_len, size_t len, int flags, void *to)
{
	return (void *)raw_call(SYS_mremap, old, old_len, len, flags, to);
}

static int raw_madvise(void *at, size_t len, int advice)
{
	return (int)raw_call(SYS_madvise, at, len, advice);
}

static int raw_process_madvise(void *at, size_t len, int advice)
{
	struct iovec iov = {at, len};

	return counted(raw_call(SYS_process_madvise, own_pidfd(), &iov, 1, advice, 0), len);
}

static int raw_mprotect(void *at, size_t len, int prot)
{
	return (int)raw_call(SYS_mprotect, at, len, prot);
}

static int raw_pkey_mprotect(void *at, size_t len, int prot, int pkey)
{
	return (int)raw_call(SYS_pkey_mprotect, at, len, prot, pkey);
}

static int raw_brk(void *end)
{
	return (void *)raw_call(SYS_brk, end) == end ? 0 : -1;
}

static void *raw_shmat(int id, const void *at, int flags)
{
	return (void *)raw_call(SYS_shmat, id, at, flags);
}

static int raw_shmdt(const void *at)
{
	return (int)raw_call(SYS_shmdt, at);
}

static int raw_ftruncate(int fd, off_t len)
{
	return (int)raw_call(SYS_ftruncate, fd, len);
}

static int raw_fallocate(int fd, int mode, off_t offset, off_t len)
{
	return (int)raw_call(SYS_fallocate, fd, mode, offset, len);
}

static int raw_remap_file_pages(void *at, size_t len, int prot, size_t pgoff, int flags)
{
	return (int)raw_call(SYS_remap_file_pages, at, len, prot, pgoff, flags);
}

static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, 0, 0, 0, 0);
}

static const struct kit_calls raw_calls = {
	.munmap = raw_munmap,
	.mmap = raw_mmap,
	.mremap = raw_mremap,
	.madvise = raw_madvise,
	.process_madvise = raw_process_madvise,
	.mprotect = raw_mprotect,
	.pkey_mprotect = raw_pkey_mprotect,
	.brk = raw_brk,
	.shmat = raw_shmat,
	.shmdt = raw_shmdt,
	.ftruncate = raw_ftruncate,
	.fallocate = raw_fallocate,
	.remap_file_pages = raw_remap_file_pages,
	.fork = raw_fork,
};

/* ---- io_uring ---------------------------------------------------------------------- */

static int ring_answer(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int err = io_uring_submit_and_wait(ring, 1);

	if (err >= 0)
		err = io_uring_peek_cqe(ring, &cqe);
	if (err >= 0) {
		err = cqe->res;
		io_uring_cqe_seen(ring, cqe);
	}
	io_uring_queue_exit(ring);
	if (err >= 0)
		return 0;
	errno = -err;
	return -1;
}

static struct io_uring_sqe *ring_open(struct io_uring *ring)
{
	int err = io_uring_queue_init(4, ring, 0);

	if (err < 0) {
		errno = -err;
		return NULL;
	}
	return io_uring_get_sqe(ring);
}

static int uring_madvise(void *at, size_t len, int advice)
{
	struct io_uring ring;
	struct io_uring_sqe *sqe = ring_open(&ring);

	if (!sqe)
		return -1;
	io_uring_prep_madvise(sqe, at, (off_t)len, advice);
	return ring_answer(&ring);
}

static int uring_fallocate(int fd, int mode, off_t offset, off_t len)
{
	struct io_uring ring;
	struct io_uring_sqe *sqe = ring_open(&ring);

	if (!sqe)
		return -1;
	io_uring_prep_fallocate(sqe, fd, mode, offset, len);
	return ring_answer(&ring);
}

static const struct kit_calls uring_calls = {
	.munmap = raw_munmap,
	.mmap = raw_mmap,
	.mprotect = raw_mprotect,
	.madvise = uring_madvise,
	.fallocate = uring_fallocate,
};

const struct kit_calls *kit_calls(enum kit_way way, unsigned int turn)
{
	if (way == WAY_RAW)
		return &raw_calls;
	if (way == WAY_URING)
		return &uring_calls;
	return &libc_calls[turn % TURNS];
}

bool kit_interposed(void)
{
	Dl_info info;

	/* Where this program's calls end up is where the linker has bound them. */
	return dladdr((void *)munmap, &info) && info.dli_fname &&
	       strstr(info.dli_fname, "libhmm");
}
