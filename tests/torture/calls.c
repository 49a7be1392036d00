// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how is each change made through libc, and how raw?
 */
#include "calls.h"
#include "../../kit/raw.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

const struct calls *calls;
static int self_fd = -1;

int calls_init(void)
{
	self_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	return self_fd < 0 ? -1 : 0;
}

void calls_fini(void)
{
	close(self_fd);
	self_fd = -1;
}

static void *libc_mremap(void *from, size_t old, size_t len, int flags, void *to)
{
	return mremap(from, old, len, flags, to);
}

static int libc_process_madvise(void *at, size_t len, int advice)
{
	struct iovec iov = {at, len};

	return process_madvise(self_fd, &iov, 1, advice, 0) == (ssize_t)len ? 0 : -1;
}

static int libc_pkey_mprotect(void *at, size_t len, int prot)
{
	return pkey_mprotect(at, len, prot, -1);
}

static int libc_shmdt(void *at)
{
	return shmdt(at);
}

static void *libc_shmat(int id, void *at, int flags)
{
	return shmat(id, at, flags);
}

const struct calls calls_libc = {
	.name = "libc",
	.mmap = mmap,
	.munmap = munmap,
	.mremap = libc_mremap,
	.madvise = madvise,
	.process_madvise = libc_process_madvise,
	.mprotect = mprotect,
	.pkey_mprotect = libc_pkey_mprotect,
	.shmat = libc_shmat,
	.shmdt = libc_shmdt,
	.ftruncate = ftruncate,
	.fallocate = fallocate,
	.fork = fork,
};

static void *raw_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	return (void *)raw_call(SYS_mmap, at, len, prot, flags, fd, off);
}

static int raw_munmap(void *at, size_t len)
{
	return (int)raw_call(SYS_munmap, at, len);
}

static void *raw_mremap(void *from, size_t old, size_t len, int flags, void *to)
{
	return (void *)raw_call(SYS_mremap, from, old, len, flags, to);
}

static int raw_madvise(void *at, size_t len, int advice)
{
	return (int)raw_call(SYS_madvise, at, len, advice);
}

static int raw_process_madvise(void *at, size_t len, int advice)
{
	struct iovec iov = {at, len};

	return raw_call(SYS_process_madvise, self_fd, &iov, 1, advice, 0) == (long)len ? 0
										       : -1;
}

static int raw_mprotect(void *at, size_t len, int prot)
{
	return (int)raw_call(SYS_mprotect, at, len, prot);
}

static int raw_pkey_mprotect(void *at, size_t len, int prot)
{
	return (int)raw_call(SYS_pkey_mprotect, at, len, prot, -1);
}

static void *raw_shmat(int id, void *at, int flags)
{
	return (void *)raw_call(SYS_shmat, id, at, flags);
}

static int raw_shmdt(void *at)
{
	return (int)raw_call(SYS_shmdt, at);
}

static int raw_ftruncate(int fd, off_t len)
{
	return (int)raw_call(SYS_ftruncate, fd, len);
}

static int raw_fallocate(int fd, int mode, off_t off, off_t len)
{
	return (int)raw_call(SYS_fallocate, fd, mode, off, len);
}

static pid_t raw_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

bool calls_raw_late;

const struct calls calls_raw = {
	.name = "raw",
	.raw = true,
	.mmap = raw_mmap,
	.munmap = raw_munmap,
	.mremap = raw_mremap,
	.madvise = raw_madvise,
	.process_madvise = raw_process_madvise,
	.mprotect = raw_mprotect,
	.pkey_mprotect = raw_pkey_mprotect,
	.shmat = raw_shmat,
	.shmdt = raw_shmdt,
	.ftruncate = raw_ftruncate,
	.fallocate = raw_fallocate,
	.fork = raw_fork,
};
