/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The `hmm` command: what do its subcommands share?
 *
 * A subcommand is one file with one function; main.c has the table of them. argv[0] is
 * "hmm NAME", so that argp's messages name the subcommand.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <argp.h>
#include <jansson.h>

/* Exit codes, the same for every subcommand; documented in hmm(1). */
enum cli_exit {
	CLI_OK = 0,       /* done, and everything was right */
	CLI_FAILED = 1,   /* something was wrong; it was said on stderr */
	CLI_USAGE = 2,    /* the command line was wrong */
	CLI_NOTHING = 77, /* nothing could be run here; it was said why */
};

int cmd_info(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_run(int argc, char **argv);

/* One line on stderr: "hmm NAME: ...". */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Print a value as JSON on stdout, and drop the reference; CLI_OK or CLI_FAILED. */
int cli_print_json(json_t *value);

#endif
