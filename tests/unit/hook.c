/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another library that wraps the program's calls, as memory hooks of communication
 * libraries do: it comes after libhmm, and counts.
 */
#undef _FILE_OFFSET_BITS /* or mmap would be a name of mmap64 */
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

extern int hook_heard; /* test_as_next.c */
int hook_heard;

int munmap(void *addr, size_t len)
{
	hook_heard++;
	return (int)syscall(SYS_munmap, addr, len);
}

int madvise(void *addr, size_t len, int advice)
{
	hook_heard++;
	return (int)syscall(SYS_madvise, addr, len, advice);
}

int mprotect(void *addr, size_t len, int prot)
{
	hook_heard++;
	return (int)syscall(SYS_mprotect, addr, len, prot);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	hook_heard++;
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	hook_heard++;
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

void *mremap(void *addr, size_t old_len, size_t new_len, int flags, ...)
{
	va_list args;
	void *to;

	hook_heard++;
	va_start(args, flags);
	to = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
	va_end(args);
	return (void *)syscall(SYS_mremap, addr, old_len, new_len, flags, to);
}

void *shmat(int id, const void *addr, int flags)
{
	hook_heard++;
	return (void *)syscall(SYS_shmat, id, addr, flags);
}

int shmdt(const void *addr)
{
	hook_heard++;
	return (int)syscall(SYS_shmdt, addr);
}
