// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The `hmm` command: which subcommands are there?
 */
#include "cli.h"

#include <hmm/hmm.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct subcommand {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct subcommand subcommands[] = {
	{"demo", "see it work: a device, and memory that changes under it", cmd_demo},
	{"info", "what this kernel and machine offer, and how to get what is missing",
	 cmd_info},
#ifdef HAVE_CHECK
	{"check", "put this machine's devices through the contract", cmd_check},
#endif
#ifdef HAVE_BENCH
	{"bench", "how fast it is here, beside the limits and beside its peers", cmd_bench},
#endif
	{"run", "run a command with libhmm preloaded, and print its statistics", cmd_run},
};

#define SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

/* "hmm" or "hmm NAME": in front of what goes to stderr. */
static char command[32] = "hmm";

void cli_error(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int cli_print_json(json_t *value)
{
	int err = -1;

	if (value)
		err = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	json_decref(value);
	putchar('\n');
	if (err || fflush(stdout)) {
		cli_error("could not write the JSON: %s", strerror(errno));
		return CLI_FAILED;
	}
	return CLI_OK;
}

static void print_help(FILE *out)
{
	fputs("Usage: hmm SUBCOMMAND [OPTION...]\n"
	      "A device uses this process's own pointers, and is right.\n\n",
	      out);
	for (size_t i = 0; i < SUBCOMMANDS; i++)
		fprintf(out, "  %-6s  %s\n", subcommands[i].name, subcommands[i].summary);
	fputs("  help    this text, or that of a subcommand\n\n"
	      "  -?, --help     print this\n"
	      "  -V, --version  print the version of the library\n\n"
	      "Exit status: 0 all right, 1 failed, 2 usage, 77 nothing could be run.\n"
	      "`hmm SUBCOMMAND --help` says more; so does hmm(1).\n",
	      out);
}

static const struct subcommand *find_subcommand(const char *name)
{
	for (size_t i = 0; i < SUBCOMMANDS; i++) {
		if (!strcmp(subcommands[i].name, name))
			return &subcommands[i];
	}
	cli_error("there is no subcommand '%s'; `hmm --help` lists them", name);
	return NULL;
}

static int run_subcommand(int argc, char **argv)
{
	const struct subcommand *subcommand = find_subcommand(argv[0]);

	if (!subcommand)
		return CLI_USAGE;
	snprintf(command, sizeof(command), "hmm %s", subcommand->name);
	argv[0] = command;
	return subcommand->run(argc, argv);
}

/* Output that got lost is a failure, whatever else was right. */
static int flushed(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	cli_error("the output could not be written: %s", strerror(errno));
	return status == CLI_OK ? CLI_FAILED : status;
}

/* hmm help [SUBCOMMAND] */
static int help(int argc, char **argv)
{
	char option[] = "--help";
	char *args[] = {argv[0], option, NULL};

	if (argc == 0) {
		print_help(stdout);
		return CLI_OK;
	}
	if (argc > 1) {
		cli_error("help takes one subcommand");
		return CLI_USAGE;
	}
	return run_subcommand(2, args);
}

static bool is_option(const char *arg, const char *brief, const char *full)
{
	return !strcmp(arg, brief) || !strcmp(arg, full);
}

int main(int argc, char **argv)
{
	argp_err_exit_status = CLI_USAGE;
	if (argc < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	if (is_option(argv[1], "-?", "--help") || is_option(argv[1], "-h", "--help")) {
		print_help(stdout);
		return CLI_OK;
	}
	if (is_option(argv[1], "-V", "--version")) {
		printf("hmm %s\n", hmm_version());
		return CLI_OK;
	}
	if (argv[1][0] == '-') {
		cli_error("unknown option '%s'; `hmm --help` says what there is", argv[1]);
		return CLI_USAGE;
	}
	if (!strcmp(argv[1], "help"))
		return flushed(help(argc - 2, argv + 2));
	return flushed(run_subcommand(argc - 1, argv + 1));
}
