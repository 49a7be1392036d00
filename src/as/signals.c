/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is a thread kept from its signal handlers while the event thread may wait for it?
 *
 * A handler may touch memory that is about to be unmapped (uffd_unregister_going), or unmap
 * some: either waits for the event thread. That one must not be waiting for a lock of the
 * thread that the handler interrupted. So signals wait, for as long as a lock is held.
 */
#include "as/as.h"
#include "sys/sys.h"

static __thread int depth __attribute__((tls_model("initial-exec")));
static __thread uint64_t before __attribute__((tls_model("initial-exec")));

void signals_off(void)
{
	/* A handler that runs before the call leaves everything as it was. */
	if (!depth)
		before = sys_signal_mask(UINT64_MAX);
	depth++;
}

void signals_on(void)
{
	if (!--depth)
		sys_signal_mask(before);
}
