/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is there an instruction at which a thread of the library may not be stopped, diverted, or
 * ended?
 *
 *	step [EVERY [FROM]]	every EVERYth instruction (1: all), from the FROMth
 *
 * Where the thread has signals open it may be stopped for as long as anybody likes, and the
 * others have to get on without it: that is what a garbage collector relies on. Where it
 *has them blocked it holds a lock: there it is let go at once, and the others after it.
 */
#include "step.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS   20000 /* a loaded machine may be slow */
#define ENDLESS    1000000ul
#define DEFAULT_BY 997 /* instructions from point to point */

static const char *const events[NR_EVENTS] = {"nothing",
					      "others change it",
					      "others change it, raw",
					      "mirror destroyed",
					      "handler and fork",
					      "cancelled",
					      "killed"};

static struct shared *shared;
static pid_t child;
static unsigned long runs, points, locked, failures;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void pause_a_little(void)
{
	const struct timespec t = {.tv_nsec = 50000};

	nanosleep(&t, NULL);
}

static void wrong(const char *what, unsigned long at)
{
	printf("FAIL %s, %s, instruction %lu: %s\n", operations[shared->operation],
	       events[shared->event], at, what);
	fflush(stdout);
	failures++;
	kill(child, SIGKILL);
}

/* Would a signal be handled by the thread now? */
static bool signals_open(pid_t tid)
{
	char path[64], line[256];
	unsigned long long mask = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", child, tid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "SigBlk: %llx", &mask) == 1)
			break;
	if (file)
		fclose(file);
	return !(mask & 1ull << (SIGUSR1 - 1));
}

/* One step of the thread; false: it has ended. A call that waits is waited for. */
static bool step(pid_t tid)
{
	int status;

	return ptrace(PTRACE_SINGLESTEP, tid, NULL, NULL) == 0 &&
	       waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status);
}

static int attach(pid_t tid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) ||
	    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return -errno;
	return waitpid(tid, &status, __WALL) == tid ? 0 : -errno;
}

static bool wait_happened(void)
{
	double end = now() + LIMIT_MS;

	while (!shared->happened && now() < end)
		pause_a_little();
	return shared->happened;
}

/* At the point, with the thread stopped. */
static void take_place(pid_t tid, unsigned long at)
{
	bool open = signals_open(tid);

	points++;
	locked += !open;
	shared->happen = true;
	if (shared->event == KILL) {
		kill(child, SIGKILL);
		return;
	}
	if (shared->event == SIGNAL)
		syscall(SYS_tgkill, child, tid, SIGUSR1);
	else if (open && !wait_happened())
		wrong("the others wait for a thread that is stopped with signals open", at);
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
}

static int await_end(unsigned long at)
{
	double end = now() + LIMIT_MS;
	int status;

	for (;;) {
		/* A thread that is traced has an end of its own. */
		pid_t got = waitpid(-1, &status, WNOHANG | __WALL);

		if (got == child)
			break;
		if (now() > end) {
			wrong("the process hangs", at);
			end += LIMIT_MS;
		}
		pause_a_little();
	}
	if (shared->event == KILL && WIFSIGNALED(status))
		return 0;
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77))
		return WEXITSTATUS(status);
	wrong(shared->said[0]       ? shared->said
	      : WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
				    : "it failed",
	      at);
	return 1;
}

static void start(unsigned int operation, enum event event)
{
	*shared = (struct shared){
		.operation = operation, .event = event, .perf = runs++ % 4 == 0};
	child = fork();
	if (!child)
		_exit(scene(shared));
	for (siginfo_t info = {0}; !shared->stepped && !info.si_pid; pause_a_little())
		waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT);
}

/* Steps to the @at-th instruction; returns how many there were, or -errno. */
static long run(unsigned int operation, enum event event, unsigned long at)
{
	unsigned long count = 0;
	pid_t tid;
	int err;

	start(operation, event);
	tid = shared->stepped;
	err = tid ? attach(tid) : 0;
	if (err) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		return err;
	}
	shared->go = true;
	while (tid && shared->phase < 2 && count < at && step(tid))
		count += shared->phase == 1;
	if (!tid)
		shared->happen = true;
	else if (shared->phase < 2 && event)
		take_place(tid, at);
	else
		ptrace(PTRACE_DETACH, tid, NULL, NULL);
	err = await_end(at);
	return err == 77 ? -ENOSYS : (long)count;
}

static int one_operation(unsigned int n, unsigned long every, unsigned long from)
{
	unsigned long before = points, locked_before = locked;
	long length = run(n, NOTHING, ENDLESS);

	if (length < 0)
		return (int)length;
	for (enum event event = OTHERS; event < NR_EVENTS; event++)
		for (unsigned long at = 1 + (from + event * 41) % every;
		     at < (unsigned long)length; at += every)
			if (run(n, event, at) < 0)
				return -EIO;
	printf("%-18s %6ld instructions, %6lu points, %lu of them with a lock held\n",
	       operations[n], length, points - before, locked - locked_before);
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long every = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_BY;
	unsigned long from = argc > 2 ? strtoul(argv[2], NULL, 0) : (unsigned long)getpid();

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || !every)
		return 1;
	printf("every %lu, from %lu\n", every, from);
	for (unsigned int n = 0; n < nr_operations; n++) {
		int err = one_operation(n, every, from);

		if (err == -EPERM || err == -ESRCH || err == -ENOSYS) {
			printf("skip: %s\n", err == -ENOSYS
						     ? "the library cannot be opened here"
						     : "a thread of one's own cannot be "
						       "traced here (ptrace)");
			return 77;
		}
		if (err)
			return 1;
	}
	printf("%lu points in all, %lu with a lock held, %lu wrong\n", points, locked,
	       failures);
	return failures != 0;
}
