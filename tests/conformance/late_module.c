// SPDX-License-Identifier: LGPL-2.1-or-later
/* `hmm check` as a module: what it takes from the command, and its way in. */
#include "../../cli/cli.h"

#include <hmm/hmm.h>

#include <stdarg.h>
#include <stdio.h>

HMM_API int late_check(int argc, char **argv);

void cli_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int cli_print_json(json_t *value)
{
	int err = json_dumpf(value, stdout, JSON_INDENT(1));

	json_decref(value);
	return err ? CLI_FAILED : CLI_OK;
}

int late_check(int argc, char **argv)
{
	return cmd_check(argc, argv);
}
