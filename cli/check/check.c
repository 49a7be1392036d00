// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm check: does the contract hold, on this machine, with these devices?
 *
 * The conformance suite of docs/contract.md. A driver author runs it on a new driver:
 * `hmm check --driver ./libhmm-new.so`.
 */
#include "suite.h"

#include "../cli.h"
#include "../../kit/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct check_options check_options = {
	.race_cycles = 20000, .deadlock_seconds = 3, .pairs_seconds = 4, .timeout_s = 60};

enum option_key {
	OPT_DRIVER = 256,
	OPT_DEVICE,
	OPT_KIND,
	OPT_CHANGE,
	OPT_WAY,
	OPT_ONLY,
	OPT_RACE,
	OPT_DEADLOCK,
	OPT_TIMEOUT,
	OPT_SECONDS,
	OPT_DIR,
	OPT_DAX,
	OPT_DEVDAX,
	OPT_BRIEF,
	OPT_NO_PERF,
	OPT_JSON,
	OPT_LIST,
};

static const struct argp_option argp_options[] = {
	{"driver", OPT_DRIVER, "FILE", 0,
	 "check the device of a loadable driver, too; may be given again", 0},
	{"device", OPT_DEVICE, "LIST", 0,
	 "only these devices (a,b,...); \"usual\" is the way without libhmm, which has to "
	 "fail: it shows that the suite can",
	 0},
	{"kind", OPT_KIND, "LIST", 0, "only these kinds of memory", 0},
	{"change", OPT_CHANGE, "LIST", 0, "only these changes", 0},
	{"way", OPT_WAY, "LIST", 0,
	 "only changes made by these ways: libc, raw, inner, alias, other, uring", 0},
	{"only", OPT_ONLY, "LIST", 0,
	 "only these promises (Y1, ...), changes or cases; \"all\" for all", 0},
	{"race", OPT_RACE, "N", 0,
	 "only the race of fills with changes, N cycles; with --only, only say how many",
	 0},
	{"deadlock", OPT_DEADLOCK, "S", 0,
	 "only the deadlock case, S seconds; with --only, only say how long", 0},
	{"seconds", OPT_SECONDS, "S", 0,
	 "how long each of the cases \"pairs\" takes, in seconds (4)", 0},
	{"no-perf", OPT_NO_PERF, NULL, 0,
	 "do not watch for mprotect by raw system call, as where perf is not allowed", 0},
	{"timeout", OPT_TIMEOUT, "S", 0,
	 "a cell that makes no progress for so many seconds has hung (60)", 0},
	{"dir", OPT_DIR, "DIR", 0, "make files here (default: TMPDIR, else /var/tmp, /tmp)",
	 0},
	{"dax", OPT_DAX, "DIR", 0,
	 "check persistent memory in files here, too; may be given again (default: "
	 "HMM_DAX_EXT4, HMM_DAX_XFS)",
	 0},
	{"devdax", OPT_DEVDAX, "NODE", 0,
	 "check a device-DAX node, too; WHAT IT HOLDS IS OVERWRITTEN (default: "
	 "HMM_DEV_DAX)",
	 0},
	{"brief", OPT_BRIEF, NULL, 0,
	 "run each cell in two of its eight variants: for slow machines", 0},
	{"json", OPT_JSON, NULL, 0, "print the result as JSON", 0},
	{"list", OPT_LIST, NULL, 0,
	 "run nothing; print what proves what, as docs/contract.md has it", 0},
	{"verbose", 'v', NULL, 0, "a row for every way, and every cell's own detail", 0},
	{"quiet", 'q', NULL, 0, "show no progress", 0},
	{0},
};

/* Who asks for one of the long ones wants it alone, unless --only says more. */
static const char *implied;

/* Lists that are given twice add up. */
static void add_to(struct argp_state *state, const char **list, const char *more)
{
	char *both;

	if (!*list)
		*list = more;
	else if (asprintf(&both, "%s,%s", *list, more) < 0)
		argp_failure(state, CLI_FAILED, ENOMEM, "the options are too long");
	else
		*list = both;
}

static void take_number(struct argp_state *state, int key, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || *text == '-' || !n || n > 1000000000) {
		argp_error(state, "'%s' is no number from 1 to 1000000000", text);
		return;
	}
	if (key == OPT_RACE)
		check_options.race_cycles = n;
	else if (key == OPT_SECONDS)
		check_options.pairs_seconds = (double)n;
	else if (key == OPT_DEADLOCK)
		check_options.deadlock_seconds = (unsigned int)n;
	else
		check_options.timeout_s = (unsigned int)n;
	if (key == OPT_RACE)
		add_to(state, &implied, "race-libc,race-raw");
	else if (key == OPT_DEADLOCK)
		add_to(state, &implied, "deadlock");
}

static void load_driver(struct argp_state *state, const char *file)
{
	char error[512];

	if (kit_device_load(file, error, sizeof(error)))
		argp_error(state, "%s", error);
}

static void add_place(struct argp_state *state, int key, const char *arg)
{
	char error[512];

	if (key == OPT_DAX ? place_add_dax(arg, error, sizeof(error))
			   : place_set_device(arg, error, sizeof(error)))
		argp_error(state, "%s", error);
}

static error_t parse_list(int key, const char *arg, struct argp_state *state)
{
	switch (key) {
	case OPT_DEVICE:
		add_to(state, &check_options.device, arg);
		return 0;
	case OPT_KIND:
		add_to(state, &check_options.kind, arg);
		return 0;
	case OPT_CHANGE:
		add_to(state, &check_options.change, arg);
		return 0;
	case OPT_WAY:
		add_to(state, &check_options.way, arg);
		return 0;
	case OPT_ONLY:
		add_to(state, &check_options.only, arg);
		return 0;
	case OPT_DIR:
		if (access(arg, W_OK | X_OK))
			argp_error(state, "--dir: no file can be made in %s: %s", arg,
				   strerror(errno));
		return setenv("HMM_CHECK_DIR", arg, 1) ? ENOMEM : 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case OPT_DRIVER:
		load_driver(state, arg);
		return 0;
	case OPT_RACE:
	case OPT_DEADLOCK:
	case OPT_TIMEOUT:
	case OPT_SECONDS:
		take_number(state, key, arg);
		return 0;
	case OPT_DAX:
	case OPT_DEVDAX:
		add_place(state, key, arg);
		return 0;
	case OPT_BRIEF:
		check_options.brief = true;
		return 0;
	case OPT_NO_PERF:
		check_options.no_perf = true;
		return 0;
	case OPT_JSON:
		check_options.json = true;
		return 0;
	case OPT_LIST:
		check_options.list = true;
		return 0;
	case 'v':
		check_options.verbose = true;
		return 0;
	case 'q':
		check_options.quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is '%s'?", arg);
		return EINVAL;
	default:
		return parse_list(key, arg, state);
	}
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.doc = "Put this machine's devices through the contract: every promise, by kind of "
	       "memory, by change, by device.\v"
	       "Exit status: 0 all well, 1 a cell failed, 2 wrong usage, 77 nothing could "
	       "be run.",
};

static int run_plan(void)
{
	struct check_plan plan;
	int err = check_plan_make(&plan);

	if (!err && !plan.nr) {
		cli_error("nothing is left of the suite by these options; `hmm check "
			  "--list` has the names");
		return CLI_USAGE;
	}
	if (!err)
		err = check_run_all(&plan);
	if (err == -EINTR) {
		cli_error("interrupted: this is what was run so far");
	} else if (err) {
		cli_error("the suite could not be run: %s", strerror(-err));
		return CLI_FAILED;
	}
	if (check_options.json && check_report_json(&plan))
		return CLI_FAILED;
	if (!check_options.json)
		check_report_table(&plan);
	return check_report_status(&plan);
}

int cmd_check(int argc, char **argv)
{
	char error[512];

	kit_devices_init();
	if (argp_parse(&argp, argc, argv, 0, NULL, NULL))
		return CLI_USAGE;
	if (check_options.list) {
		kit_kinds_init();
		check_report_list();
		return CLI_OK;
	}
	if (places_from_environment(error, sizeof(error))) {
		cli_error("%s", error);
		return CLI_USAGE;
	}
	kit_kinds_init();
	if (!check_options.only)
		check_options.only = implied;
	if (check_plan_unknown(error, sizeof(error))) {
		cli_error("%s; `hmm check --list` has the names", error);
		return CLI_USAGE;
	}
	return run_plan();
}
