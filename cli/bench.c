/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `hmm bench`: where is the program that measures?
 *
 * Benchmarks link what the command does not need (peers, drivers of their own), so they
 * are a program beside it: in the build tree, or in libexec.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* What lies at `relative` from this program's folder; false: nothing that runs. */
static bool beside(const char *relative, char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (len < 0)
		return false;
	self[len] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	*slash = 0;
	if (snprintf(path, size, "%s/%s", self, relative) >= (int)size)
		return false;
	return access(path, X_OK) == 0;
}

int cmd_bench(int argc, char **argv)
{
	static const char *const places[] = {"../bench/hmm-bench",
					     "../libexec/hmm/hmm-bench"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (beside(places[i], path, sizeof(path))) {
			argv[0] = (char *)"hmm-bench";
			execv(path, argv);
		}
	cli_error("the program hmm-bench is not beside this one: build all of the tree, or "
		  "install its benchmarks");
	return CLI_NOTHING;
}
