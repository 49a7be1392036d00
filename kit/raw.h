/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does a program make a system call that no library hears of?
 *
 * Not by libc's syscall(), which libhmm interposes: by an instruction of its own, as
 * programs do that have no libc, or bring one along.
 */
#ifndef KIT_RAW_H
#define KIT_RAW_H

#include "../src/sys/raw.h"

/* As syscall(): -1 and errno, with one argument to six, of any type that fits a register.
 */
#define raw_call(nr, ...) RAW_CALL(nr, __VA_ARGS__, 0, 0, 0, 0, 0)
#define RAW_CALL(nr, a, b, c, d, e, f, ...)                                        \
	raw_answer(raw6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), \
			(long)(f)))

static inline long raw_answer(long ret)
{
	if (ret >= 0 || ret < -4095)
		return ret;
	errno = (int)-ret;
	return -1;
}

#endif
