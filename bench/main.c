/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hmm-bench: how fast is the library, beside the limit and beside its peers?
 *
 * `hmm bench` runs this program. Figures are medians; see bench.h.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "place.h"
#include "table.h"

/* ---- the report ---------------------------------------------------------------------- */

static const struct {
	const char *name, *help;
	void (*run)(struct bench *bench);
} benches[] = {
	{"translate", "a translation that is there (hit), and one that is not (miss)",
	 bench_translate},
	{"unmap", "unmapping memory, mirrored or not, by call and by event", bench_unmap},
	{"range", "fault and snapshot of a range", bench_range},
	{"uring", "io_uring reads through the mirror", bench_uring},
	{"memory", "memory of the library", bench_memory},
	{"scale",
	 "how costs grow with translations, mirrors, mappings, threads, processors",
	 bench_scale},
	{"dax", "files on DAX file systems, where some are named", bench_dax},
};
#define BENCHES (sizeof(benches) / sizeof(benches[0]))

#define RUNS_MAX (BENCH_RUNS_MAX / ROUNDS_A_RUN)

static bool aim_met(const struct row *row)
{
	return row->aim_at_least ? row->aim_value >= row->aim : row->aim_value <= row->aim;
}

static void value_cell(struct table *table, double value, const char *name, double part)
{
	if (isnan(value))
		table_cell(table, TABLE_FAINT, "-");
	else if (name && !isnan(part))
		table_cell(table, TABLE_PLAIN, "%.*f %s (%.*f)", value < 10 ? 2 : 1, value,
			   name, part < 10 ? 2 : 1, part);
	else if (name)
		table_cell(table, TABLE_PLAIN, "%.*f %s", value < 10 ? 2 : 1, value, name);
	else
		table_cell(table, TABLE_PLAIN, "%.*f", value < 10 ? 2 : 1, value);
}

static void print_table(const struct bench *bench)
{
	struct table *table = table_create("lrlrrl");
	const char *last = "";

	static const char *const heads[] = {"", "libhmm", "unit", "limit", "peer", "aim"};

	for (int i = 0; i < 6; i++)
		table_cell(table, TABLE_HEAD, "%s", heads[i]);
	for (unsigned int i = 0; i < bench->nr_rows; i++) {
		const struct row *row = &bench->rows[i];

		if (strcmp(last, row->bench))
			table_heading(table, "%s", row->bench);
		last = row->bench;
		table_cell(table, TABLE_PLAIN, "%s", row->what);
		value_cell(table, row->ours, NULL, NAN);
		table_cell(table, TABLE_FAINT, "%s", row->unit);
		value_cell(table, row->limit, row->limit_name, row->of_limit);
		value_cell(table, row->peer, row->peer_name, row->of_peer);
		if (isnan(row->aim) || isnan(row->aim_value))
			table_cell(table, TABLE_FAINT, "-");
		else
			table_cell(table, aim_met(row) ? TABLE_GOOD : TABLE_WARN,
				   "%s: %s (%.3g)", aim_met(row) ? "met" : "missed",
				   row->aim_text, row->aim_value);
	}
	table_print(table, stdout);
	table_destroy(table);
	printf("\nMedians of %u runs. limit: the bare call or structure on the same work; "
	       "peer: "
	       "what programs use today.\nIn brackets: libhmm's figure as a part of it, "
	       "the "
	       "median of the rounds' ratios.\n",
	       bench->runs);
	if (bench->not_measured)
		printf("dax was not measured: %s\n", bench->not_measured);
}

static json_t *number(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static int write_json(const struct bench *bench, const char *path)
{
	struct utsname kernel;
	json_t *rows = json_array(), *root;
	int err;

	uname(&kernel);
	for (unsigned int i = 0; i < bench->nr_rows; i++) {
		const struct row *row = &bench->rows[i];
		json_t *one =
			json_pack("{s:s, s:s, s:s, s:o, s:o, s:s?, s:o, s:o, s:s?, s:o}",
				  "bench", row->bench, "what", row->what, "unit", row->unit,
				  "libhmm", number(row->ours), "limit", number(row->limit),
				  "limit_name", row->limit_name, "of_limit",
				  number(row->of_limit), "peer", number(row->peer),
				  "peer_name", row->peer_name, "of_peer",
				  number(row->of_peer));

		if (!isnan(row->aim) && !isnan(row->aim_value)) {
			json_object_set_new(one, "aim", json_string(row->aim_text));
			json_object_set_new(one, "aim_value", number(row->aim_value));
			json_object_set_new(one, "aim_met", json_boolean(aim_met(row)));
		}
		json_array_append_new(rows, one);
	}
	root = json_pack("{s:s, s:s, s:s, s:i, s:b, s:s?, s:o}", "version", hmm_version(),
			 "kernel", kernel.release, "machine", kernel.machine, "runs",
			 (int)bench->runs, "quick", (int)bench->quick, "dax_not_measured",
			 bench->not_measured, "rows", rows);
	err = strcmp(path, "-") ? json_dump_file(root, path, JSON_INDENT(2))
				: json_dumpf(root, stdout, JSON_INDENT(2));
	if (!strcmp(path, "-"))
		putchar('\n');
	json_decref(root);
	return err;
}

static void help(void)
{
	printf("Usage: hmm bench [OPTION]... [BENCHMARK]...\n"
	       "How fast is libhmm, beside the limit and beside its peers, on this "
	       "machine?\n\n");
	for (size_t i = 0; i < BENCHES; i++)
		printf("  %-10s %s\n", benches[i].name, benches[i].help);
	printf("\n  --runs N     samples of each figure; the median is told (default 9)\n"
	       "  --quick      a tenth of the work: to see that it runs, not to cite\n"
	       "  --dir DIR    where the file for io_uring goes (default /var/tmp)\n"
	       "  --dax DIR    measure files on DAX here, too; may be given again "
	       "(default:\n"
	       "               HMM_DAX_EXT4, HMM_DAX_XFS)\n"
	       "  --json[=F]   write JSON to F (default: standard output) instead of a "
	       "table\n"
	       "  --help       this text\n\n"
	       "Exit status: 0 it ran, 1 it failed, 2 the command line is wrong. Whether "
	       "an aim "
	       "is met\ndoes not change it: timings depend on the machine.\n");
}

static int wanted(char **names, const char *name)
{
	if (!*names)
		return 1;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return 1;
	return 0;
}

static bool names_known(char **names)
{
	for (; *names; names++) {
		bool known = false;

		for (size_t i = 0; i < BENCHES; i++)
			known |= !strcmp(*names, benches[i].name);
		if (!known) {
			fprintf(stderr,
				"hmm bench: no benchmark \"%s\": see hmm bench --help\n",
				*names);
			return false;
		}
	}
	return true;
}

static int parse(struct bench *bench, int argc, char **argv, const char **json)
{
	static const struct option options[] = {
		{"runs", required_argument, NULL, 'r'},
		{"quick", no_argument, NULL, 'q'},
		{"dir", required_argument, NULL, 'd'},
		{"dax", required_argument, NULL, 'x'},
		{"json", optional_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	char error[512];
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		char *end = NULL;
		unsigned long runs;

		switch (c) {
		case 'r':
			runs = optarg ? strtoul(optarg, &end, 10) : 0;
			if (!end || !*optarg || *end || !runs || runs > RUNS_MAX) {
				fprintf(stderr,
					"hmm bench: --runs takes a number from 1 to %d, "
					"not \"%s\"\n",
					RUNS_MAX, optarg);
				return 2;
			}
			bench->runs = (unsigned int)runs;
			break;
		case 'q':
			bench->quick = true;
			break;
		case 'd':
			bench->dir = optarg;
			break;
		case 'x':
			if (place_add_dax(optarg, error, sizeof(error))) {
				fprintf(stderr, "hmm bench: --dax: %s\n", error);
				return 2;
			}
			break;
		case 'j':
			*json = optarg ? optarg : "-";
			break;
		case 'h':
			help();
			exit(0);
		default:
			return 2;
		}
	}
	if (places_from_environment(error, sizeof(error))) {
		fprintf(stderr, "hmm bench: %s\n", error);
		return 2;
	}
	return names_known(argv + optind) ? 0 : 2;
}

int main(int argc, char **argv)
{
	static struct bench bench = {.runs = 0, .dir = "/var/tmp"};
	const char *json = NULL;
	int err = parse(&bench, argc, argv, &json);

	if (err)
		return err;
	if (!bench.runs)
		bench.runs = bench.quick ? 3 : 9;
	for (size_t i = 0; i < BENCHES; i++)
		if (wanted(argv + optind, benches[i].name)) {
			table_progress("%s", benches[i].name);
			benches[i].run(&bench);
		}
	table_progress_done();
	if (json && write_json(&bench, json)) {
		fprintf(stderr, "hmm bench: cannot write %s\n", json);
		return 1;
	}
	if (!json)
		print_table(&bench);
	return 0;
}
