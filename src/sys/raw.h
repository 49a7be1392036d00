/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A system call, and nothing else.
 *
 * The question this file answers: how does the library reach the kernel without libc?
 * Without: because libc's munmap may be our own, because errno belongs to the
 * application, and because the interposed functions are called before libc is ready.
 */
#ifndef SYS_RAW_H
#define SYS_RAW_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__LP64__)

#define RAW_IS_SYSCALL 0

static inline long raw6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#else

#define RAW_IS_SYSCALL 1 /* of libc */

static inline long raw6(long nr, long a, long b, long c, long d, long e, long f)
{
	int saved = errno;
	long ret = syscall(nr, a, b, c, d, e, f);

	if (ret == -1) {
		ret = -errno;
		errno = saved;
	}
	return ret;
}

#endif

#define raw5(nr, a, b, c, d, e) raw6(nr, a, b, c, d, e, 0)
#define raw4(nr, a, b, c, d)    raw6(nr, a, b, c, d, 0, 0)
#define raw3(nr, a, b, c)       raw6(nr, a, b, c, 0, 0, 0)
#define raw2(nr, a, b)          raw6(nr, a, b, 0, 0, 0, 0)
#define raw1(nr, a)             raw6(nr, a, 0, 0, 0, 0, 0)

#endif
