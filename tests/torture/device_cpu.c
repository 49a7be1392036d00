// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: what does the CPU itself see?
 *
 * The kernel's copy between two ranges of this process: the CPU's permissions, never a
 * signal, always right. The torture looks at memory with it, and is tested against it.
 */
#include "device.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static int cpu_open(bool raw)
{
	return 0;
}

static void cpu_close(void)
{
}

static void *cpu_attach(void)
{
	void *at = mmap(NULL, DEVICE_DEPTH * DEVICE_BUFFER, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void cpu_detach(void *ctx)
{
	munmap(ctx, DEVICE_DEPTH * DEVICE_BUFFER);
}

static char *cpu_buffer(void *ctx, unsigned int slot)
{
	return (char *)ctx + (size_t)slot * DEVICE_BUFFER;
}

static void cpu_run(void *ctx, struct op *ops, unsigned int nr)
{
	pid_t self = getpid();

	for (unsigned int i = 0; i < nr; i++) {
		struct iovec here = {ops[i].data, ops[i].len};
		struct iovec there = {ops[i].ptr, ops[i].len};
		ssize_t done;

		op_begin(&ops[i]);
		/* The other way round: the kernel pins the remote side (src/sys/sys.c). */
		if (ops[i].write)
			done = process_vm_readv(self, &there, 1, &here, 1, 0);
		else
			done = process_vm_writev(self, &there, 1, &here, 1, 0);
		op_end(&ops[i], done < 0 ? -errno : done);
	}
}

const struct device device_cpu = {
	.name = "cpu",
	.open = cpu_open,
	.close = cpu_close,
	.attach = cpu_attach,
	.detach = cpu_detach,
	.buffer = cpu_buffer,
	.run = cpu_run,
};
