/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is application memory read and written without a signal?
 *
 * By process_vm_readv and process_vm_writev on the process itself: the kernel checks the
 * mapping's permissions as for a load or a store, and says EFAULT where those would be a
 * signal. (/proc/self/mem would write through a read-only mapping.) Where a seccomp filter
 * refuses them, the bytes go through a pipe, whose write and read check the same.
 */
#include <errno.h>
#include <stdatomic.h>

#include "linux/address_space.h"
#include "sys/sys.h"

#define PIECE 65536u /* a pipe takes no more at a time, and perhaps less */

static _Atomic bool refused; /* until the process ends: a filter never goes away */

static int whole(long got, size_t len)
{
	if (got < 0)
		return (int)got;
	return (size_t)got == len ? 0 : -EFAULT;
}

static int drain_pipe(int fd, char *to, size_t len)
{
	while (len) {
		long got = sys_read(fd, to, len);

		if (got <= 0)
			return got ? (int)got : -EFAULT;
		to += got;
		len -= (size_t)got;
	}
	return 0;
}

static int through_pipe(char *to, const char *from, size_t len)
{
	int ends[2], err = sys_pipe(ends);

	if (err)
		return err;
	while (len && !err) {
		long put = sys_write(ends[1], from, len < PIECE ? len : PIECE);

		if (put <= 0) {
			err = put ? (int)put : -EFAULT;
			break;
		}
		err = drain_pipe(ends[0], to, (size_t)put);
		from += put;
		to += put;
		len -= (size_t)put;
	}
	sys_close(ends[0]);
	sys_close(ends[1]);
	return err;
}

/* Not for want of memory, nor because of the addresses. */
static bool refuses(long got)
{
	if (got != -EPERM && got != -ENOSYS && got != -EACCES)
		return false;
	refused = true;
	return true;
}

int copy_in(void *source, void *to, uint64_t from, size_t len)
{
	long got = refused ? -EPERM : sys_process_vm_read(to, from, len);

	return refuses(got) ? through_pipe(to, (const void *)(uintptr_t)from, len)
			    : whole(got, len);
}

int copy_out(void *source, uint64_t to, const void *from, size_t len)
{
	long got = refused ? -EPERM : sys_process_vm_write(to, from, len);

	return refuses(got) ? through_pipe((void *)(uintptr_t)to, from, len)
			    : whole(got, len);
}

bool copy_refused(void)
{
	uint64_t from = 1, to;

	copy_in(NULL, &to, (uintptr_t)&from, sizeof(from));
	return refused;
}
