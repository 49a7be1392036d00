// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm info: what do this kernel and machine offer, and how is what is missing to be had?
 */
#include "cli.h"
#include "table.h"
#include "../kit/kit.h"

#include <hmm/hmm.h>

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define FEATURES_MAX 128
#define DETAIL_WIDTH 60

struct features {
	struct hmm_feature list[FEATURES_MAX];
	unsigned int count;
};

static const struct {
	const char *name;
	enum table_style style;
} states[] = {
	[HMM_FEATURE_MISSING] = {"missing", TABLE_BAD},
	[HMM_FEATURE_OFF] = {"off", TABLE_WARN},
	[HMM_FEATURE_ON] = {"on", TABLE_GOOD},
};

/* How the groups are called, in the order in which they are shown. */
static const struct {
	const char *group, *title;
} groups[] = {
	{"source", "Sources: how a change of the address space is noticed"},
	{"state", "State: how mappings and pages are read"},
	{"mode", "Modes: how memory is made reachable"},
	{"driver", "Drivers: devices that this machine has"},
};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

static void ask(struct features *features,
		int (*source)(struct hmm_feature *features, unsigned int max, size_t size))
{
	unsigned int room = FEATURES_MAX - features->count;
	int found = source(features->list + features->count, room, sizeof(*features->list));

	if (found < 0)
		cli_error("a list of features is missing: %s", strerror(-found));
	else
		features->count += (unsigned int)found < room ? (unsigned int)found : room;
}

static json_t *feature_json(const struct hmm_feature *feature)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "group", feature->group, "name",
			 feature->name, "state", states[feature->state].name, "detail",
			 feature->detail, "reason", feature->reason, "remedy",
			 feature->remedy);
}

static int print_json(const struct features *features, const struct utsname *kernel)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < features->count; i++)
		json_array_append_new(list, feature_json(&features->list[i]));
	return cli_print_json(json_pack("{s:s, s:s, s:s, s:o}", "version", hmm_version(),
					"kernel", kernel->release, "machine",
					kernel->machine, "features", list));
}

/* How much of text fits on a line: up to a blank. */
static size_t line_length(const char *text)
{
	size_t len = strlen(text), fits = 0;

	if (len <= DETAIL_WIDTH)
		return len;
	for (size_t i = 0; i <= DETAIL_WIDTH; i++) {
		if (text[i] == ' ')
			fits = i;
	}
	return fits ? fits : len;
}

/* A long detail goes on in rows that have nothing else. */
static void add_row(struct table *table, const struct hmm_feature *feature)
{
	const char *detail = feature->detail;
	size_t len = line_length(detail);

	table_cell(table, TABLE_PLAIN, "  %s", feature->name);
	table_cell(table, states[feature->state].style, "%s", states[feature->state].name);
	table_cell(table, TABLE_PLAIN, "%.*s", (int)len, detail);
	while (detail[len]) {
		detail += len + 1;
		len = line_length(detail);
		table_cell(table, TABLE_PLAIN, " ");
		table_cell(table, TABLE_PLAIN, " ");
		table_cell(table, TABLE_PLAIN, "%.*s", (int)len, detail);
	}
}

/* All groups in one table, so that their columns line up. */
static bool print_table(const struct features *features)
{
	struct table *table = table_create("lll");
	bool good;

	if (!table)
		return false;
	for (size_t g = 0; g < GROUPS; g++) {
		bool any = false;

		for (unsigned int i = 0; i < features->count; i++) {
			if (strcmp(features->list[i].group, groups[g].group) != 0)
				continue;
			if (!any)
				table_heading(table, "%s%s", g ? "\n" : "",
					      groups[g].title);
			any = true;
			add_row(table, &features->list[i]);
		}
	}
	good = table_print(table, stdout);
	table_destroy(table);
	return good;
}

/* For each thing that is not on: why, and how to get it. */
static void print_remedies(const struct features *features)
{
	bool any = false;

	for (unsigned int i = 0; i < features->count; i++) {
		const struct hmm_feature *feature = &features->list[i];

		if (feature->state == HMM_FEATURE_ON)
			continue;
		if (!any)
			table_text(stdout, TABLE_HEAD,
				   "\nWhat is not in use, why, and how to get it\n");
		any = true;
		table_text(stdout, states[feature->state].style, "  %s", feature->name);
		printf(" (%s)\n", states[feature->state].name);
		if (feature->reason[0])
			table_wrap(stdout, 6, 88, feature->reason);
		if (feature->remedy[0])
			table_wrap(stdout, 6, 88, feature->remedy);
	}
}

struct options {
	bool json;
};

static const struct argp_option argp_options[] = {
	{"json", 'j', NULL, 0, "print JSON, for a program to read", 0},
	{0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'j':
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is one argument too many", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.doc = "What this kernel and machine offer to libhmm: each source of changes, each "
	       "reader of state, each mode and each driver; and for what is missing, why, "
	       "and how to get it.",
};

int cmd_info(int argc, char **argv)
{
	struct options options = {0};
	struct features features = {.count = 0};
	struct utsname kernel;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	ask(&features, hmm_features);
	for (int i = 0; kit_driver_features[i]; i++)
		ask(&features, kit_driver_features[i]);
	uname(&kernel);
	if (options.json)
		return print_json(&features, &kernel);
	printf("libhmm %s on %s %s (%s)\n\n", hmm_version(), kernel.sysname, kernel.release,
	       kernel.machine);
	if (!print_table(&features)) {
		cli_error("could not print the table");
		return CLI_FAILED;
	}
	print_remedies(&features);
	return CLI_OK;
}
