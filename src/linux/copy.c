/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is application memory read and written without a signal?
 *
 * By process_vm_readv and process_vm_writev on the process itself: the kernel checks the
 * mapping's permissions as for a load or a store, and says EFAULT where those would be a
 * signal. (/proc/self/mem would write through a read-only mapping.)
 */
#include <errno.h>

#include "linux/address_space.h"
#include "sys/sys.h"

static int whole(long got, size_t len)
{
	if (got < 0)
		return (int)got;
	return (size_t)got == len ? 0 : -EFAULT;
}

int copy_in(void *source, void *to, uint64_t from, size_t len)
{
	return whole(sys_process_vm_read(to, from, len), len);
}

int copy_out(void *source, uint64_t to, const void *from, size_t len)
{
	return whole(sys_process_vm_write(to, from, len), len);
}
