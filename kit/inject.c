// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: how does another process change this one's address space?
 *
 * The kernel lets no other process unmap or discard, but a tracer can have a thread make
 * any system call. A process that was forked before the library was opened stops the thread
 * that asks, has it make the call at an instruction of its own, and lets it go on.
 */
#include "places.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

enum { IDLE, ORDERED, DONE };

struct order {
	_Atomic int state;
	pid_t thread;
	long nr, arg[5], result;
};

static struct order *order; /* shared with the other process */

/* Where the thread is sent: it makes the call and stops. */
extern const char kit_inject_call[] __attribute__((visibility("hidden")));
__asm__(".text\n"
	"kit_inject_call:\n"
	"	syscall\n"
	"	int3\n");

static int stopped(pid_t thread)
{
	int status;

	return waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status) ? 0
										: -ESRCH;
}

static void load(struct user_regs_struct *regs)
{
	regs->rip = (unsigned long long)(uintptr_t)kit_inject_call;
	regs->orig_rax = (unsigned long long)-1; /* no call to be made again */
	regs->rax = (unsigned long long)order->nr;
	regs->rdi = (unsigned long long)order->arg[0];
	regs->rsi = (unsigned long long)order->arg[1];
	regs->rdx = (unsigned long long)order->arg[2];
	regs->r10 = (unsigned long long)order->arg[3];
	regs->r8 = (unsigned long long)order->arg[4];
}

static long make_call(pid_t thread)
{
	struct user_regs_struct before, regs;

	if (ptrace(PTRACE_GETREGS, thread, NULL, &before))
		return -errno;
	regs = before;
	load(&regs);
	if (ptrace(PTRACE_SETREGS, thread, NULL, &regs) ||
	    ptrace(PTRACE_CONT, thread, NULL, NULL) || stopped(thread) ||
	    ptrace(PTRACE_GETREGS, thread, NULL, &regs) ||
	    ptrace(PTRACE_SETREGS, thread, NULL, &before))
		return -EIO;
	return (long)regs.rax;
}

static long obey(void)
{
	pid_t thread = order->thread;
	long result;

	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL))
		return -errno;
	if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) || stopped(thread))
		return -ESRCH;
	result = make_call(thread);
	ptrace(PTRACE_DETACH, thread, NULL, NULL);
	return result;
}

static void serve(void)
{
	for (;;) {
		int state = order->state;

		if (state != ORDERED) {
			syscall(SYS_futex, &order->state, FUTEX_WAIT, state, NULL, NULL, 0);
			continue;
		}
		order->result = obey();
		order->state = DONE;
	}
}

int kit_inject_start(void)
{
	pid_t pid;

	if (order)
		return 0;
	order = mmap(NULL, sizeof(*order), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (order == MAP_FAILED) {
		order = NULL;
		return -ENOMEM;
	}
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve();
	}
	if (pid > 0)
		prctl(PR_SET_PTRACER, pid, 0, 0, 0);
	return pid < 0 ? -errno : 0;
}

/* The thread spins where it can be stopped at any instruction; one at a time. */
long kit_inject(long nr, long a, long b, long c, long d, long e)
{
	if (!order)
		return -ENOSYS;
	order->thread = (pid_t)syscall(SYS_gettid);
	order->nr = nr;
	order->arg[0] = a;
	order->arg[1] = b;
	order->arg[2] = c;
	order->arg[3] = d;
	order->arg[4] = e;
	order->state = ORDERED;
	syscall(SYS_futex, &order->state, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (order->state != DONE)
		__builtin_ia32_pause();
	order->state = IDLE;
	return order->result;
}

#else

int kit_inject_start(void)
{
	return 0;
}

long kit_inject(long nr, long a, long b, long c, long d, long e)
{
	return -ENOSYS;
}

#endif
