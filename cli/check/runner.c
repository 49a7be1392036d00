// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: how can one cell crash or hang without taking the others with it?
 *
 * The cells of one device and one kind of memory run in a process of their own, one after
 * the other; a case has one to itself. When such a process dies or stands still, the cell
 * that it was in has failed, and a new process goes on behind it.
 */
#include "suite.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

volatile uint32_t *check_beat;

/* Shared with the process that runs the cells. */
struct progress {
	volatile uint32_t beat;
	volatile uint32_t current; /* the cell that it is in; one past the last: closing */
};

static struct progress *progress;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool same_group(const struct check_cell *a, const struct check_cell *b)
{
	return a->device == b->device && a->test < 0 && b->test < 0 && a->kind == b->kind;
}

static unsigned int group_end(const struct check_plan *plan, unsigned int first)
{
	unsigned int end = first + 1;

	while (end < plan->nr && same_group(&plan->cells[first], &plan->cells[end]))
		end++;
	return end;
}

/* ---- in the process of the cells -------------------------------------------------------
 */

static void set_all(const struct check_plan *plan, unsigned int first, unsigned int end,
		    uint8_t status, const char *detail)
{
	for (unsigned int i = first; i < end; i++) {
		plan->results[i].status = status;
		snprintf(plan->results[i].detail, sizeof(plan->results[i].detail), "%s",
			 detail);
	}
}

static bool cannot_be_had(int err)
{
	return err == -EOPNOTSUPP || err == -EPERM || err == -ENOSYS || err == -ENODEV;
}

static void run_case(const struct check_cell *cell, struct check_env *env)
{
	struct check_run run = {.env = env, .result = cell->result};

	check_cases[cell->test].run(&run);
	if (!run.failed && !cell->result->status)
		cell->result->status = CHECK_PASS;
}

/* By the library's own account: which modes has it used since @before? */
static uint8_t modes_since(struct check_env *env, struct hmm_stats *before)
{
	struct hmm_stats now;
	uint8_t modes = 0;

	if (!env->hmm || hmm_stats_read(env->hmm, NULL, &now, sizeof(now)))
		return 0;
	for (int mode = 0; mode < HMM_MODES; mode++) {
		if (now.by_mode[mode] != before->by_mode[mode])
			modes |= (uint8_t)(1u << mode);
	}
	*before = now;
	return modes;
}

static void run_cells(const struct check_plan *plan, unsigned int first, unsigned int end)
{
	const struct check_cell *cell = &plan->cells[first];
	const struct kit_device *dev = &kit_devices[cell->device];
	bool own = cell->test >= 0 && check_cases[cell->test].own;
	struct check_env env = {.dev = dev};
	struct hmm_stats stats = {0};
	char text[240] = "";
	int err = 0;

	progress->current = first;
	if (!own)
		err = check_env_open(&env, dev, NULL, NULL);
	if (err) {
		snprintf(text, sizeof(text), "the device does not open: %s: %s",
			 strerror(-err), dev->usual ? "" : hmm_error());
		set_all(plan, first, end, cannot_be_had(err) ? CHECK_SKIP : CHECK_FAIL,
			text);
		return;
	}
	for (unsigned int i = first; i < end; i++) {
		uint64_t start = now_ms();

		progress->current = i;
		++*check_beat;
		if (plan->cells[i].test >= 0)
			run_case(&plan->cells[i], &env);
		else
			check_cell_run(&env, &plan->cells[i]);
		plan->results[i].modes = own ? 0 : modes_since(&env, &stats);
		plan->results[i].ms = (uint32_t)(now_ms() - start);
	}
	progress->current = end;
	if (!own)
		err = check_env_close(&env);
	if (err)
		snprintf(plan->results[end - 1].detail, sizeof(plan->results[0].detail),
			 "closing the device afterwards: %s", strerror(-err));
	if (err)
		plan->results[end - 1].status = CHECK_FAIL;
}

static __attribute__((noreturn)) void child_main(const struct check_plan *plan,
						 unsigned int first, unsigned int end)
{
	uint8_t stack[(KIT_PAGES + 1) * KIT_PAGE_MAX];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	kit_main_stack =
		(uint8_t *)(((uintptr_t)stack + KIT_PAGE - 1) & ~(uintptr_t)(KIT_PAGE - 1));
	kit_catch_faults();
	if (kit_other_start())
		_exit(3);
	run_cells(plan, first, end);
	_exit(0);
}

/* ---- in the process that waits for them
 * --------------------------------------------------- */

static void blame(struct check_plan *plan, unsigned int end, const char *what)
{
	unsigned int at = progress->current;
	struct check_result *result = &plan->results[at < end ? at : end - 1];

	result->status = CHECK_FAIL;
	snprintf(result->detail, sizeof(result->detail), "%s%s", what,
		 at < end ? "" : " while the device was being closed");
}

/* Huge pages have to be given back: so a run is ended in its own time. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	interrupted = signal;
}

/* The child's end: true when there was one, or it was made to end. */
static bool look_after(struct check_plan *plan, pid_t pid, unsigned int end, uint32_t *beat,
		       uint64_t *since)
{
	char text[96];
	int status;

	if (waitpid(pid, &status, WNOHANG) == pid) {
		if (WIFSIGNALED(status))
			snprintf(text, sizeof(text), "killed by SIG%s",
				 sigabbrev_np(WTERMSIG(status)));
		else
			snprintf(text, sizeof(text), "exit status %d", WEXITSTATUS(status));
		if (WIFSIGNALED(status) || WEXITSTATUS(status))
			blame(plan, end, text);
		return true;
	}
	if (interrupted) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return true;
	}
	if (*beat != progress->beat) {
		*beat = progress->beat;
		*since = now_ms();
	} else if (now_ms() - *since > check_options.timeout_s * 1000ull) {
		snprintf(text, sizeof(text), "no progress for %u s: hung",
			 check_options.timeout_s);
		blame(plan, end, text);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return true;
	}
	return false;
}

/* Runs from @first on; returns the first cell that has no result yet. */
static int run_process(struct check_plan *plan, unsigned int first, unsigned int end)
{
	uint32_t beat = progress->beat;
	uint64_t since = now_ms();
	pid_t pid;

	progress->current = first;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		child_main(plan, first, end);
	while (!look_after(plan, pid, end, &beat, &since))
		usleep(2000);
	if (interrupted)
		return -EINTR;
	while (first < end && plan->results[first].status)
		first++;
	return (int)first;
}

static bool uses_huge_pages(const struct check_plan *plan)
{
	for (unsigned int i = 0; i < plan->nr; i++) {
		if (plan->cells[i].kind >= 0 &&
		    (kit_kinds[plan->cells[i].kind].traits & T_HUGETLB))
			return true;
	}
	return false;
}

static void show_progress(const struct check_plan *plan, unsigned int first)
{
	const struct check_cell *cell = &plan->cells[first];
	char name[128];

	check_cell_name(cell, name, sizeof(name));
	fprintf(stderr, "\r\033[K%u/%u %s", first, plan->nr, name);
}

int check_run_all(struct check_plan *plan)
{
	bool tty = isatty(STDERR_FILENO) && !check_options.quiet;
	int next = 0;

	progress = mmap(NULL, KIT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (progress == MAP_FAILED)
		return -errno;
	check_beat = &progress->beat;
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	signal(SIGHUP, on_interrupt);
	signal(SIGQUIT, on_interrupt);
	if (uses_huge_pages(plan))
		kit_huge_reserve();
	for (unsigned int first = 0; first < plan->nr && next >= 0;) {
		unsigned int end = group_end(plan, first);

		if (tty)
			show_progress(plan, first);
		next = run_process(plan, first, end);
		if (next >= 0 && (unsigned int)next == first)
			next = -EIO; /* a process that got nowhere and left no blame */
		if (next >= 0)
			first = (unsigned int)next;
	}
	if (tty)
		fprintf(stderr, "\r\033[K");
	kit_huge_give_back();
	return next < 0 ? next : 0;
}
