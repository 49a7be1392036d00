// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: does memory that is not mirrored cost anything (Y13)?
 *
 * No fault, no event, no system call more. Events and interposed changes are counted by
 * the library, faults by the kernel, system calls by a tracer: this process, which runs
 * the same work twice in a child, without a mirror and with one.
 */
#include "cases.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 200
#define LEN    (16 * KIT_PAGE)

/* What an unmirrored part of a program does all day. */
static void daily_work(uint8_t *zone, const struct kit_calls *calls)
{
	void *block;

	mallopt(M_MMAP_THRESHOLD, 256 * 1024); /* the large block is a mapping each time */
	for (int i = 0; i < ROUNDS; i++) {
		if (calls->mmap(zone, LEN, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != zone)
			return;
		memset(zone, i, LEN);
		calls->madvise(zone, LEN, MADV_DONTNEED);
		zone[5] = 1;
		calls->mprotect(zone, KIT_PAGE, PROT_READ);
		calls->mremap(zone, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, zone + LEN);
		calls->munmap(zone + LEN, LEN);
		block = malloc(1 << 20);
		if (block)
			memset(block, 1, KIT_PAGE);
		__asm__ volatile("" : : "r"(block) : "memory"); /* not optimised away */
		free(block);
	}
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

void case_quiet(struct check_run *run)
{
	uint8_t *zone = kit_zone(4 * KIT_HUGE) + KIT_HUGE, *mirrored = case_map(LEN);
	struct hmm_stats before, after;
	long plain, with;

	/* The mirror is at work elsewhere. */
	if (!mirrored || case_both_ways(run, mirrored, LEN, "mirrored memory"))
		return;
	daily_work(zone, kit_calls(WAY_LIBC, 0)); /* what is only done once is done */
	plain = minor_faults();
	daily_work(zone, kit_calls(WAY_RAW, 0));
	plain = minor_faults() - plain;
	hmm_stats_read(run->env->hmm, NULL, &before, sizeof(before));
	with = minor_faults();
	daily_work(zone, kit_calls(WAY_LIBC, 0));
	with = minor_faults() - with;
	daily_work(zone, kit_calls(WAY_RAW, 0));
	hmm_stats_read(run->env->hmm, NULL, &after, sizeof(after));
	if (after.events != before.events)
		check_fail(run, "%llu events for memory that is not mirrored",
			   (unsigned long long)(after.events - before.events));
	if (after.revoked != before.revoked || after.misses != before.misses)
		check_fail(run, "changes of unmirrored memory ended %llu translations",
			   (unsigned long long)(after.revoked - before.revoked));
	/* A handful may come by themselves (a stack page, a page of the heap). */
	if (with > plain + ROUNDS / 20)
		check_fail(run, "%ld page faults, without the wrappers %ld", with, plain);
	munmap(mirrored, LEN);
}

/* ---- system calls
 * ------------------------------------------------------------------------ */

#define MARK SYS_getppid /* nobody else makes it here */

static __attribute__((noreturn)) void traced(struct check_run *run, bool mirror)
{
	uint8_t *zone = kit_zone(4 * KIT_HUGE) + KIT_HUGE, *mirrored = case_map(LEN);
	struct check_env env;
	uint8_t byte;

	if (mirror && check_env_open(&env, run->env->dev, NULL, NULL))
		_exit(2);
	if (mirror && kit_read(&env.use, mirrored, &byte, 1))
		_exit(3);
	daily_work(zone, kit_calls(WAY_LIBC, 0));
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(4);
	raise(SIGSTOP);
	syscall(MARK);
	daily_work(zone, kit_calls(WAY_LIBC, 0));
	syscall(MARK);
	_exit(0);
}

/* The system calls between the two marks, by number; false: it could not be traced. */
static bool trace(pid_t pid, long counts[512])
{
	struct __ptrace_syscall_info info;
	bool counting = false;
	int status;

	memset(counts, 0, 512 * sizeof(*counts));
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
		return false;
	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) ||
		    waitpid(pid, &status, 0) != pid)
			return false;
		++*check_beat;
		if (!WIFSTOPPED(status))
			return WIFEXITED(status) && !WEXITSTATUS(status);
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		/* Where a call's number is kept is the processor's own. */
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
			return false;
		if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
			continue;
		if (info.entry.nr == MARK)
			counting = !counting;
		else if (counting && info.entry.nr < 512)
			counts[info.entry.nr]++;
	}
}

static bool count_calls(struct check_run *run, bool mirror, long counts[512])
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		traced(run, mirror);
	if (pid < 0)
		return false;
	if (trace(pid, counts))
		return true;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return false;
}

void case_system_calls(struct check_run *run)
{
	long without[512], with[512], sum = 0;

	if (!count_calls(run, false, without)) {
		check_skip(run, "no child can be traced: %s", strerror(errno));
		return;
	}
	if (!count_calls(run, true, with)) {
		check_fail(run, "the work was not done with a mirror");
		return;
	}
	for (int nr = 0; nr < 512; nr++) {
		sum += with[nr];
		if (with[nr] > without[nr])
			check_fail(run, "system call %d: %ld times, without a mirror %ld",
				   nr, with[nr], without[nr]);
	}
	if (!run->failed && sum < 7 * ROUNDS)
		check_fail(run, "only %ld system calls were counted", sum);
}
