// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what becomes of a mirror when the process forks (Y9)?
 *
 * The parent's goes on. The child has none, is told so, and sees its own copy of memory,
 * which no device ever touches; it may open one of its own.
 */
#include "cases.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEN (8 * KIT_PAGE)

/* In the child: every answer is an exit status, for there is nobody to print. */
enum answer {
	ANSWER_OK,
	ANSWER_TRANSLATE,
	ANSWER_READ,
	ANSWER_STATS,
	ANSWER_COPY,
	ANSWER_OPEN,
	ANSWER_OWN,
	ANSWER_CLOSE
};

static const char *const answers[] = {
	"",
	"translate on the parent's mirror did not give -ECHILD",
	"the parent's device did not give -ECHILD",
	"stats of the parent's hmm did not give -ECHILD",
	"the child's copy of memory changed",
	"hmm_open in the child failed",
	"a device of the child's own is wrong",
	"closing the child's own device failed",
};

static int all_bytes(const uint8_t *at, uint8_t byte)
{
	for (size_t i = 0; i < LEN; i++) {
		if (at[i] != byte)
			return 0;
	}
	return 1;
}

static enum answer ask_parents(struct check_run *run, uint8_t *at)
{
	struct hmm_translation t;
	struct hmm_stats stats;
	uint8_t byte = 0;

	if (hmm_translate(run->env->mirror, at, 1, HMM_READ, &t) != -ECHILD)
		return ANSWER_TRANSLATE;
	if (hmm_stats_read(run->env->hmm, NULL, &stats, sizeof(stats)) != -ECHILD)
		return ANSWER_STATS;
	if (kit_read(&run->env->use, at, &byte, 1) != -ECHILD)
		return ANSWER_READ;
	return ANSWER_OK;
}

static enum answer own_device(struct check_run *run, uint8_t *at)
{
	const struct kit_device *dev = run->env->dev;
	struct check_env env;
	struct check_run own = {.env = &env, .result = run->result};
	uint8_t byte = 0;
	enum answer answer = ANSWER_OK;

	if (check_env_open(&env, dev, NULL, NULL))
		return ANSWER_OPEN;
	at[5] = 0x77;
	if (case_read(&own, at + 5, &byte, 1) || byte != 0x77)
		answer = ANSWER_OWN;
	byte = 0x78;
	if (case_write(&own, at + 6, &byte, 1) || at[6] != 0x78)
		answer = ANSWER_OWN;
	munmap(at, KIT_PAGE);
	(void)mmap(at, KIT_PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (case_read(&own, at + 5, &byte, 1) || byte)
		answer = ANSWER_OWN;
	if (check_env_close(&env))
		return ANSWER_CLOSE;
	return answer;
}

static __attribute__((noreturn)) void child(struct check_run *run, uint8_t *at, int go,
					    bool raw)
{
	enum answer answer = ask_parents(run, at);
	char byte;

	while (read(go, &byte, 1) < 0 && errno == EINTR)
		continue;
	if (!answer && !all_bytes(at, 0x31))
		answer = ANSWER_COPY;
	/* After a raw clone libc's locks may be held by threads that are not here. */
	if (!answer && !raw)
		answer = own_device(run, at);
	_exit((int)answer);
}

static int parent(struct check_run *run, uint8_t *at, pid_t pid, int go)
{
	uint8_t data[8 * KIT_PAGE_MAX];
	int status = -1;

	/* While the child looks at its copy, the device writes the parent's. */
	memset(data, 0x32, LEN);
	if (case_write(run, at, data, LEN) || !all_bytes(at, 0x32))
		check_stale(run, "the parent does not see the device's write after fork");
	memset(at, 0x33, LEN);
	if (!run->failed && (case_read(run, at, data, LEN) || !all_bytes(data, 0x33)))
		check_stale(run, "the device does not see the parent's write after fork");
	if (write(go, "g", 1) != 1)
		check_fail(run, "the child is gone");
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return check_fail(run, "the child was killed by SIG%s",
				  sigabbrev_np(WTERMSIG(status)));
	if (WEXITSTATUS(status))
		return check_stale(run, "%s", answers[WEXITSTATUS(status) % 8]);
	return 0;
}

static void fork_once(struct check_run *run, uint8_t *at, const struct kit_calls *calls,
		      bool raw)
{
	int go[2];
	pid_t pid;

	memset(at, 0x31, LEN);
	if (case_both_ways(run, at, LEN, "before fork"))
		return;
	memset(at, 0x31, LEN);
	if (pipe(go)) {
		check_fail(run, "pipe: %s", strerror(errno));
		return;
	}
	pid = calls->fork();
	if (!pid) {
		alarm(20); /* a child that hangs is a child that was killed */
		child(run, at, go[0], raw);
	}
	if (pid < 0)
		check_fail(run, "fork: %s", strerror(errno));
	else
		parent(run, at, pid, go[1]);
	close(go[0]);
	close(go[1]);
}

static void fork_often(struct check_run *run, bool raw)
{
	uint8_t *at = case_map(LEN);

	for (unsigned int i = 0; at && i < 6 && !run->failed; i++)
		fork_once(run, at, kit_calls(raw ? WAY_RAW : WAY_LIBC, i), raw);
	munmap(at, LEN);
}

void case_fork(struct check_run *run)
{
	fork_often(run, false);
}

void case_fork_raw(struct check_run *run)
{
	fork_often(run, true);
}

/* ---- forks while the device is at work
 * ---------------------------------------------------- */

static atomic_bool forking;

static void *fork_on(void *arg)
{
	atomic_uint *nr = arg;

	for (unsigned int i = 0; atomic_load(&forking); i++) {
		pid_t pid = kit_calls(i & 1 ? WAY_RAW : WAY_LIBC, i)->fork();

		if (!pid)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		atomic_fetch_add(nr, 1);
	}
	return NULL;
}

void case_fork_busy(struct check_run *run)
{
	uint8_t *at = case_map(LEN);
	atomic_uint forks = 0;
	pthread_t thread;

	atomic_store(&forking, true);
	if (!at || pthread_create(&thread, NULL, fork_on, &forks)) {
		check_fail(run, "no memory or no thread");
		return;
	}
	/* The parent's pages are copied away from under the device again and again. */
	for (unsigned int i = 0; !run->failed && (i < 2000 || atomic_load(&forks) < 100);
	     i++) {
		uint8_t *p = at + i % (LEN - 64);
		uint8_t byte = (uint8_t)(i | 1), got = 0;

		*p = byte;
		if (case_read(run, p, &got, 1) || got != byte)
			check_stale(run, "the device reads %02x, the CPU wrote %02x", got,
				    byte);
		byte = (uint8_t)(i + 77) | 1;
		if (case_write(run, p, &byte, 1) || *p != byte)
			check_stale(run, "the CPU reads %02x, the device wrote %02x", *p,
				    byte);
	}
	atomic_store(&forking, false);
	pthread_join(thread, NULL);
	munmap(at, LEN);
}
