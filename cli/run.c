// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm run: how does a command get libhmm's interposed calls from its very start, and how
 * does one see afterwards what they did?
 *
 * The command runs with libhmm in LD_PRELOAD and with HMM_STATS naming a temporary file,
 * to which every process of the command adds one line as it ends (see hmm(1)). An
 * HMM_STATS that is set already is left alone.
 */
#include "cli.h"

#include <hmm/hmm.h>

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct options {
	bool quiet, all;
	const char *output;
	char **command;
};

static const struct argp_option argp_options[] = {
	{"output", 'o', "FILE", 0, "add the statistics to FILE instead of stderr", 0},
	{"all", 'a', NULL, 0, "name the processes that did not use the library, too", 0},
	{"quiet", 'q', NULL, 0, "no statistics", 0},
	{0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'o':
		if (options->output)
			argp_error(state, "--output may be given once");
		options->output = arg;
		return 0;
	case 'a':
		options->all = true;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case ARGP_KEY_ARGS:
		options->command = state->argv + state->next;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which command?");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "-- COMMAND [ARGUMENT...]",
	.doc = "Run a command with libhmm preloaded, so that its calls are interposed from "
	       "the start, and print at its end what the library saw and did: a line for "
	       "each process that used it, and how many did."
	       "\vThe exit status is the command's own: 128 and the signal's number if a "
	       "signal ended it, 126 if it could not be executed, 127 if it was not found.",
};

/* The libhmm that this very command uses: where it was built, or where it is installed. */
static int find_library(char *path)
{
	Dl_info info;

	if (!dladdr((const void *)hmm_version, &info) || !info.dli_fname ||
	    !realpath(info.dli_fname, path))
		return -ENOENT;
	/* Linked into the command itself (a static build): nothing to preload. */
	return strstr(path, ".so") ? 0 : -ENOENT;
}

static int preload(void)
{
	const char *old = getenv("LD_PRELOAD");
	char path[PATH_MAX], *list;
	int err = find_library(path);

	if (err) {
		cli_error("libhmm.so is not to be found next to this command");
		return err;
	}
	if (strpbrk(path, " :")) {
		cli_error("%s cannot be preloaded: LD_PRELOAD takes no blanks and colons",
			  path);
		return -EINVAL;
	}
	if (asprintf(&list, "%s%s%s", path, old && *old ? ":" : "", old ? old : "") < 0)
		return -ENOMEM;
	err = setenv("LD_PRELOAD", list, 1) ? -errno : 0;
	free(list);
	return err;
}

/* Signals from the terminal reach the command too: it decides, we wait for its status. */
static const struct {
	int number;
	bool terminal;
} caught[] = {{SIGINT, true},   {SIGQUIT, true},  {SIGTERM, false}, {SIGHUP, false},
	      {SIGUSR1, false}, {SIGUSR2, false}, {SIGALRM, false}};

#define CAUGHT (sizeof(caught) / sizeof(caught[0]))

static struct sigaction before[CAUGHT];
static volatile pid_t child;

static void forward(int number)
{
	if (child > 0)
		kill(child, number);
}

static void catch_signals(void)
{
	for (size_t i = 0; i < CAUGHT; i++) {
		struct sigaction action = {.sa_handler = SIG_IGN};

		if (!caught[i].terminal)
			action.sa_handler = forward;
		sigaction(caught[i].number, &action, &before[i]);
	}
}

/* The variables are for the command only: this process has the library in it, too. */
static int exec_command(char **command, const char *stats)
{
	int err;

	if (preload())
		_exit(CLI_FAILED);
	if (stats)
		setenv("HMM_STATS", stats, 1);

	for (size_t i = 0; i < CAUGHT; i++)
		sigaction(caught[i].number, &before[i], NULL);
	execvp(command[0], command);
	err = errno;
	cli_error("could not execute %s: %s", command[0], strerror(err));
	_exit(err == ENOENT ? 127 : 126);
}

static int wait_for_command(void)
{
	int status;

	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return CLI_FAILED;
	}
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

static int run_command(char **command, const char *stats)
{
	catch_signals();
	child = fork();
	if (child < 0) {
		cli_error("could not fork: %s", strerror(errno));
		return CLI_FAILED;
	}
	if (child == 0)
		return exec_command(command, stats);
	unsetenv("HMM_STATS");
	return wait_for_command();
}

static bool says_not_used(const char *line)
{
	static const char end[] = ": not used\n";
	size_t len = strlen(line);

	return len >= sizeof(end) - 1 && !strcmp(line + len - (sizeof(end) - 1), end);
}

/* Copy what the processes wrote to @out, and sum up; false if they wrote nothing. */
static bool print_statistics(const char *path, FILE *out, bool all)
{
	FILE *in = fopen(path, "re");
	unsigned int processes = 0, used = 0;
	char line[1024];

	if (!in)
		return false;
	while (fgets(line, sizeof(line), in)) {
		processes++;
		used += !says_not_used(line);
		if (all || !says_not_used(line))
			fputs(line, out);
	}
	fclose(in);
	if (processes)
		fprintf(out, "libhmm: used by %u of %u processes\n", used, processes);
	return processes > 0;
}

static void show(const char *path, const struct options *options, FILE *out)
{
	bool any = print_statistics(path, out, options->all);

	if (ferror(out) || (out == stderr ? fflush(out) : fclose(out)))
		cli_error("the statistics could not be written to %s",
			  options->output ? options->output : "stderr");
	else if (!any)
		cli_error("no statistics of %s: no process of it got as far as exit() with "
			  "the library in it (a signal ended it, it never ran, or it is "
			  "statically linked or set-user-ID)",
			  options->command[0]);
}

/* Where the lines go, opened before the command runs; NULL: said why. */
static FILE *open_output(const struct options *options)
{
	FILE *out = options->output ? fopen(options->output, "ae") : stderr;

	if (!out)
		cli_error("could not open %s: %s", options->output, strerror(errno));
	return out;
}

/* The name of a temporary file for the lines; NULL: no statistics of ours are wanted. */
static char *make_statistics(const struct options *options)
{
	const char *dir = getenv("TMPDIR");
	char *path;
	int fd;

	if (options->quiet || getenv("HMM_STATS"))
		return NULL;
	if (asprintf(&path, "%s/hmm-run-XXXXXX", dir && *dir ? dir : "/tmp") < 0)
		return NULL;
	fd = mkstemp(path);
	if (fd < 0) {
		cli_error("no statistics: could not make %s: %s", path, strerror(errno));
		free(path);
		return NULL;
	}
	close(fd);
	return path;
}

int cmd_run(int argc, char **argv)
{
	struct options options = {0};
	FILE *out;
	char *path;
	int status;

	/* ARGP_IN_ORDER: the options behind the command are the command's. */
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
	if (options.output && getenv("HMM_STATS"))
		cli_error("--output is not used: HMM_STATS names %s already",
			  getenv("HMM_STATS"));
	path = make_statistics(&options);
	out = path ? open_output(&options) : NULL;
	if (path && !out) {
		unlink(path);
		free(path);
		return CLI_FAILED;
	}
	status = run_command(options.command, path);
	if (path) {
		show(path, &options, out);
		unlink(path);
		free(path);
	}
	return status;
}
