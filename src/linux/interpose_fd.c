/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which libc calls close descriptors, or put others in their place?
 *
 * A program that closes everything it does not know (daemons do, and who starts others) has
 * no wish to end the library: its descriptors are left alone, as if nothing were there. A
 * program that wants a number gets it: what the library has there moves away. What raw
 * system calls do is found out at the next use (util/own.h).
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <unistd.h>

#include "linux/interpose.h"
#include "sys/sys.h"

#if INTERPOSE

static int (*next_close)(int);

/* Not at the first call: that may come in a signal handler. */
static __attribute__((constructor)) void find_next(void)
{
	next_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
}

bool interpose_keeps(int fd)
{
	return unlikely(interpose_open()) && own_is(fd);
}

INTERPOSED int close(int fd)
{
	if (interpose_keeps(fd)) {
		errno = EBADF;
		return -1;
	}
	if (likely(next_close))
		return next_close(fd);
	return (int)interpose_result(raw1(SYS_close, fd));
}

/* Around what is ours. UNSHARE is for the first piece: then the table is the caller's. */
long interpose_close_around(unsigned int first, unsigned int last, int flags)
{
	long ret = 0;
	int own;

	if (flags & CLOSE_RANGE_UNSHARE && own_next(first) >= 0) {
		ret = raw1(SYS_unshare, CLONE_FILES);
		flags &= ~(int)CLOSE_RANGE_UNSHARE;
	}
	while (!ret && first <= last && (own = own_next(first)) >= 0 &&
	       (unsigned int)own <= last) {
		if ((unsigned int)own > first)
			ret = raw3(SYS_close_range, first, (unsigned int)own - 1, flags);
		first = (unsigned int)own + 1;
	}
	if (!ret && first <= last)
		ret = raw3(SYS_close_range, first, last, flags);
	return ret;
}

INTERPOSED int close_range(unsigned int first, unsigned int last, int flags)
{
	if (!interpose_open() || first > last)
		return (int)interpose_result(raw3(SYS_close_range, first, last, flags));
	return (int)interpose_result(interpose_close_around(first, last, flags));
}

/* glibc's has no way to fail; where the kernel has no close_range each one is closed. */
INTERPOSED void closefrom(int low)
{
	unsigned int first = low < 0 ? 0 : (unsigned int)low;

	if (close_range(first, UINT_MAX, 0) == 0)
		return;
	for (long i = first, max = sysconf(_SC_OPEN_MAX); i < max; i++)
		close((int)i);
}

void interpose_make_way(int fd)
{
	if (unlikely(interpose_open()) && fd > STDERR_FILENO)
		own_make_way(fd);
}

INTERPOSED int dup2(int old, int new)
{
	interpose_make_way(new == old ? -1 : new);
#ifdef SYS_dup2
	return (int)interpose_result(raw2(SYS_dup2, old, new));
#else
	if (old == new)
		return fcntl(old, F_GETFD) < 0 ? -1 : old;
	return (int)interpose_result(raw3(SYS_dup3, old, new, 0));
#endif
}

INTERPOSED int dup3(int old, int new, int flags)
{
	interpose_make_way(new == old ? -1 : new);
	return (int)interpose_result(raw3(SYS_dup3, old, new, flags));
}

#endif
