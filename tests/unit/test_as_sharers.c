/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of translations while another process shares the address space, one that was
 * made with CLONE_VM and is no thread?
 *
 * Nothing records its mprotect. So it has to be found before it can change anything that
 * matters: nothing is pinned while it is there, and what was pinned before it came is not
 * valid any more, even if it is gone when somebody asks.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test_as.h"

#define LEN    (16 * PAGE)
#define STACK  (64ul << 10)
#define SHARED (CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD)

static struct plain plain;
static char *memory;
static _Atomic int go, done;

static char *map(size_t len)
{
	char *p =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return memset(p, 1, len);
}

static pid_t start(int (*body)(void *), int flags)
{
	static char *stack;
	pid_t pid;

	if (!stack)
		stack = map(STACK);
	go = done = 0;
	pid = clone(body, stack + STACK, flags, NULL);
	CHECK(pid > 0);
	return pid;
}

static void end(pid_t pid)
{
	go = 1;
	CHECK(waitpid(pid, NULL, 0) == pid);
}

static enum hmm_mode mode_of(const char *p)
{
	struct hmm_stats before, after;
	struct hmm_translation t;

	CHECK(hmm_invalidate(plain.hmm, p, 1) == 0);
	CHECK(hmm_stats_read(plain.hmm, plain.mirror, &before, sizeof(before)) == 0);
	CHECK(hmm_translate(plain.mirror, p, 1, HMM_WRITE, &t) == 0);
	CHECK(hmm_stats_read(plain.hmm, plain.mirror, &after, sizeof(after)) == 0);
	CHECK(hmm_translation_put(&t) == 0);
	for (int mode = 0; mode < HMM_MODES; mode++)
		if (after.by_mode[mode] > before.by_mode[mode])
			return (enum hmm_mode)mode;
	CHECK(!"a translation was made");
	return HMM_MODES;
}

/* A test that fails leaves nobody behind. */
static void end_with_parent(void)
{
	raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
}

static int wait_there(void *arg)
{
	end_with_parent();
	while (!go)
		sched_yield();
	_exit(0);
}

static int protect(void *arg)
{
	raw_call(SYS_mprotect, memory, PAGE, PROT_READ);
	done = 1;
	_exit(0);
}

/* While it is there nothing is pinned, and no range is looked at; then again. */
static void while_it_is_there(void)
{
	struct hmm_range range = {.size = sizeof(range),
				  .mirror = plain.mirror,
				  .start = (uintptr_t)memory,
				  .end = (uintptr_t)memory + LEN};
	pid_t pid;

	CHECK(mode_of(memory) == HMM_MODE_PIN && hmm_range_begin(&range) == 0);
	pid = start(wait_there, SHARED);
	CHECK(hmm_range_retry(&range));
	CHECK(mode_of(memory) == HMM_MODE_DIRECT);
	CHECK(hmm_range_begin(&range) == -EOPNOTSUPP && strstr(hmm_error(), "shares"));
	end(pid);
	CHECK(mode_of(memory) == HMM_MODE_PIN && hmm_range_begin(&range) == 0);
}

/* What it changed before anybody looked is not believed in, though it is gone. */
static void came_and_went(void)
{
	struct hmm_translation t, u;

	CHECK(hmm_translate(plain.mirror, memory, 1, HMM_WRITE, &t) == 0);
	end(start(protect, SHARED));
	CHECK(done && !hmm_translation_valid(&t));
	CHECK(hmm_translate(plain.mirror, memory, 1, HMM_WRITE, &u) == -EACCES);
	CHECK(hmm_translation_put(&t) == 0);
	CHECK(mprotect(memory, PAGE, PROT_READ | PROT_WRITE) == 0);
}

/* One that was there before the library was opened. */
static void was_there_before(void)
{
	pid_t pid;

	plain_close(&plain);
	pid = start(wait_there, SHARED);
	plain_open(&plain, 0);
	CHECK(mode_of(memory) == HMM_MODE_DIRECT);
	end(pid);
	CHECK(mode_of(memory) == HMM_MODE_PIN);
}

static int make_another(void *arg)
{
	static char stack[16384];

	if (clone(wait_there, stack + sizeof(stack), SHARED | CLONE_PARENT, NULL) > 0)
		done = 1;
	_exit(0);
}

/* Nothing records what such a process starts. */
static void grandchild(void)
{
	pid_t pid = start(make_another, SHARED);

	CHECK(waitpid(pid, NULL, 0) == pid && done);
	CHECK(mode_of(memory) == HMM_MODE_DIRECT);
	go = 1;
	CHECK(waitpid(-1, NULL, 0) > 0);
	CHECK(mode_of(memory) == HMM_MODE_PIN);
}

/* It has the words of the thread that made it, and calls libc all the same. */
static int call_libc(void *arg)
{
	char *own = arg;

	end_with_parent();
	while (!go) {
		mprotect(own, PAGE, PROT_READ);
		madvise(own, PAGE, MADV_DONTNEED);
		syscall(SYS_mprotect, own, PAGE, PROT_READ | PROT_WRITE);
		done++;
	}
	_exit(0);
}

static void calls_of_libc(void)
{
	static char stack[64 << 10];
	char *own = map(LEN);
	pid_t pid;

	CHECK(mode_of(own) == HMM_MODE_PIN);
	go = done = 0;
	pid = clone(call_libc, stack + sizeof(stack), SHARED, own);
	CHECK(pid > 0);
	for (int i = 0; i < 2000 || done < 200; i++) {
		CHECK(mprotect(memory, PAGE, PROT_READ) == 0);
		CHECK(mprotect(memory, PAGE, PROT_READ | PROT_WRITE) == 0);
		CHECK(mode_of(memory) == HMM_MODE_DIRECT);
	}
	end(pid);
	CHECK(munmap(own, LEN) == 0);
	CHECK(mode_of(memory) == HMM_MODE_PIN);
}

/* What shares nothing costs nothing. */
static void plain_forks(void)
{
	struct hmm_translation t;
	pid_t pid;

	CHECK(hmm_translate(plain.mirror, memory, 1, HMM_WRITE, &t) == 0);
	pid = fork();
	if (!pid)
		_exit(0);
	CHECK(pid > 0 && hmm_translation_valid(&t));
	CHECK(waitpid(pid, NULL, 0) == pid && hmm_translation_valid(&t));
	CHECK(hmm_translation_put(&t) == 0);
}

int main(void)
{
	plain_open(&plain, 0);
	if (!is_on("perf") || !is_on("userfaultfd")) {
		plain_close(&plain);
		return 77;
	}
	memory = map(LEN);
	while_it_is_there();
	came_and_went();
	was_there_before();
	grandchild();
	if (!SANITIZED) /* which shares the thread's words with the process */
		calls_of_libc();
	plain_forks();
	plain_close(&plain);
	return 0;
}
