// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: does the CPU reach this memory, and what if it does not?
 *
 * A guarded access that faults returns the signal instead of ending the process.
 */
#include "kit.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>

static __thread sigjmp_buf guard;
static __thread volatile sig_atomic_t guarded;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	if (guarded)
		siglongjmp(guard, signal);
	/* Not ours: die of it, as without us; the runner reports it. */
	sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

void kit_catch_faults(void)
{
	struct sigaction action = {.sa_sigaction = on_fault,
				   .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static __attribute__((noinline)) int guarded_copy(void *to, const void *from, size_t len)
{
	int signal = sigsetjmp(guard, 0);

	if (!signal) {
		guarded = 1;
		memcpy(to, from, len);
		__asm__ volatile("" ::: "memory");
	}
	guarded = 0;
	return signal;
}

int guarded_read(void *out, const void *from, size_t len)
{
	return guarded_copy(out, from, len);
}

int guarded_write(void *to, const void *data, size_t len)
{
	return guarded_copy(to, data, len);
}
