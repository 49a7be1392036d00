/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A system call, and nothing else.
 *
 * The question this file answers: how does the library reach the kernel without libc?
 * Without: because libc's munmap and syscall may be our own, because errno belongs to the
 * application, and because the interposed functions are called before libc is ready.
 */
#ifndef SYS_RAW_H
#define SYS_RAW_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RAW_IS_SYSCALL 0

#if defined(__x86_64__) && defined(__LP64__)

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

#elif defined(__aarch64__) && defined(__LP64__)

static inline long raw6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "cc", "memory");
	return x0;
}

#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)

/* Failure is told by a bit of its own, with the number positive. */
static inline long raw6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r0 __asm__("r0") = nr;
	register long r3 __asm__("r3") = a;
	register long r4 __asm__("r4") = b;
	register long r5 __asm__("r5") = c;
	register long r6 __asm__("r6") = d;
	register long r7 __asm__("r7") = e;
	register long r8 __asm__("r8") = f;

	__asm__ volatile("sc\n\t"
			 "bns+ 1f\n\t"
			 "neg %1, %1\n"
			 "1:"
			 : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7),
			   "+r"(r8)
			 :
			 : "r9", "r10", "r11", "r12", "cr0", "ctr", "memory");
	return r3;
}

#else

#undef RAW_IS_SYSCALL
#define RAW_IS_SYSCALL 1 /* of libc, which is not interposed there */

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
