// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * inject: every allocation and every system call fails, one after the other (Y2, Y3, Y5,
 * Y10 with a fault in the way).
 *
 * The question this file answers: is the library right, and does it hold on to nothing,
 * when the Nth thing that can fail does?
 *
 *	inject [--error NAME] [--from N] [--to N] [--every N]
 *
 * The scenario runs once undisturbed in a child process, which counts what can fail. Then
 * for each N: run it with the Nth failing; look at descriptors, mappings, threads and
 * pinned memory; run it once more undisturbed, where nothing may fail. A child process
 * does some N after the other and reports in shared memory, so that a crash or a hang
 * tells which N it was.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../torture/account.h"
#include "scenario.h"
#include "util/debug.h"

#define BATCH    16
#define LIMIT_S  60
#define NAMES    128
#define NAME_LEN 40

static struct shared {
	uint64_t calls, now, refused, unnoticed;
	char name[NAMES][NAME_LEN];
	uint64_t hits[NAMES];
} * shared;

static struct {
	int error;
	uint64_t from, to, every;
} opt = {.error = -ENOMEM, .from = 1, .every = 1};

static void note(const char *what)
{
	for (unsigned int i = 0; i < NAMES; i++) {
		if (!shared->name[i][0])
			snprintf(shared->name[i], NAME_LEN, "%s", what);
		if (!strncmp(shared->name[i], what, NAME_LEN - 1)) {
			shared->hits[i]++;
			return;
		}
	}
}

static bool clean(const struct account *before)
{
	struct account after;

	account_take(&after);
	return account_same(before, &after);
}

/* In a child. */
static int undisturbed(const char *when)
{
	int ret = scenario_run();

	if (!ret)
		return 0;
	fprintf(stderr, "FAIL: %s: %d calls failed with nothing injected\n", when, ret);
	return 1;
}

static int one(uint64_t nth, const struct account *before)
{
	char what[NAME_LEN];
	int ret;

	shared->now = nth;
	alarm(LIMIT_S);
	debug_inject_nth(nth, opt.error);
	ret = scenario_run();
	snprintf(what, sizeof(what), "%s", debug_inject_failed());
	debug_inject_nth(0, 0);
	if (!what[0])
		return 0; /* a run may make fewer calls than the one that was counted */
	note(what);
	if (ret > 0)
		shared->refused++;
	else
		shared->unnoticed++;
	if (ret < 0 || !clean(before)) {
		fprintf(stderr, "FAIL: with call %llu (%s) failing\n",
			(unsigned long long)nth, what);
		return 1;
	}
	if (undisturbed("the run after")) {
		fprintf(stderr, "FAIL: after call %llu (%s) had failed\n",
			(unsigned long long)nth, what);
		return 1;
	}
	return 0;
}

static int batch(uint64_t first)
{
	struct account before;

	scenario_init();
	alarm(LIMIT_S);
	if (undisturbed("the first run"))
		return 1;
	account_take(&before);
	for (uint64_t i = 0; i < BATCH; i++) {
		uint64_t nth = first + i * opt.every;

		if (nth <= opt.to && one(nth, &before))
			return 1;
	}
	return 0;
}

static int count(uint64_t unused)
{
	scenario_init();
	alarm(LIMIT_S);
	if (undisturbed("the first run"))
		return 1;
	debug_inject_nth(0, 0);
	if (undisturbed("the counting run"))
		return 1;
	shared->calls = debug_inject_calls();
	return 0;
}

/* The status of a child that ran @fn: 0, 1, 77; else it says how it ended. */
static int in_child(int (*fn)(uint64_t), uint64_t arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		exit(fn(arg));
	while (waitpid(pid, &status, 0) != pid)
		;
	if (WIFEXITED(status)) {
		if (WEXITSTATUS(status) > 1)
			fprintf(stderr, "FAIL: with call %llu failing: exit status %d\n",
				(unsigned long long)shared->now, WEXITSTATUS(status));
		return WEXITSTATUS(status);
	}
	fprintf(stderr, "FAIL: with call %llu failing: %s\n",
		(unsigned long long)shared->now,
		WTERMSIG(status) == SIGALRM ? "it hung" : strsignal(WTERMSIG(status)));
	return 1;
}

static void options(int argc, char **argv)
{
	static const struct option longs[] = {
		{"error", required_argument, NULL, 'e'},
		{"from", required_argument, NULL, 'f'},
		{"to", required_argument, NULL, 't'},
		{"every", required_argument, NULL, 'n'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'e')
			opt.error = !strcmp(optarg, "EINTR")    ? -EINTR
				    : !strcmp(optarg, "EPERM")  ? -EPERM
				    : !strcmp(optarg, "EMFILE") ? -EMFILE
								: -ENOMEM;
		else if (c == 'f')
			opt.from = strtoull(optarg, NULL, 10);
		else if (c == 't')
			opt.to = strtoull(optarg, NULL, 10);
		else if (c == 'n')
			opt.every = strtoull(optarg, NULL, 10);
		else
			exit(2);
	}
	if (!opt.every)
		opt.every = 1;
}

int main(int argc, char **argv)
{
	uint64_t bad = 0, done = 0;
	int ret;

	options(argc, argv);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	ret = in_child(count, 0);
	if (ret)
		return ret;
	if (!opt.to)
		opt.to = shared->calls;
	for (uint64_t n = opt.from; n <= opt.to; n += BATCH * opt.every) {
		/* after a failure: the rest of the batch, in a new process */
		for (uint64_t at = n; at < n + BATCH * opt.every && at <= opt.to;) {
			shared->now = at;
			if (!in_child(batch, at))
				break;
			bad++;
			at = shared->now + opt.every;
		}
		if (bad > 40)
			break;
	}
	printf("error %s: %llu calls can fail in one run\n", strerror(-opt.error),
	       (unsigned long long)shared->calls);
	for (unsigned int i = 0; i < NAMES && shared->name[i][0]; i++) {
		printf("  %-40s failed %llu times\n", shared->name[i],
		       (unsigned long long)shared->hits[i]);
		done += shared->hits[i];
	}
	printf("%llu faults: %llu runs had an error, %llu none; %llu were wrong\n",
	       (unsigned long long)done, (unsigned long long)shared->refused,
	       (unsigned long long)shared->unnoticed, (unsigned long long)bad);
	return bad || !done ? 1 : 0;
}
