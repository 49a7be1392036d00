// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm demo: how is what was found told to a person, and to a program?
 */
#include "cli.h"
#include "demo.h"
#include "table.h"

#include <hmm/hmm.h>

#include <string.h>

static const char *const verdicts[] = {
	[CELL_NONE] = "-",          [CELL_RAN] = "ran",       [CELL_SKIPPED] = "not here",
	[CELL_REFUSED] = "refused", [CELL_BROKEN] = "broken",
};

static double gigabytes_per_second(uint64_t bytes, double seconds)
{
	return seconds > 0 ? (double)bytes / seconds / 1e9 : 0;
}

static const char head[] =
	"A device moves data between files and this program's memory, while other threads "
	"unmap, remap, discard, move and protect that memory, by libc and by raw system "
	"calls. Every byte is checked.";

void demo_print_head(const struct demo *demo)
{
	table_text(stdout, TABLE_HEAD, "libhmm %s: a device, and memory that changes\n",
		   hmm_version());
	table_wrap(stdout, 0, 92, head);
	if (demo->options.still)
		puts("With --still they change nothing.");
	printf("It takes about %g seconds; temporary files are in %s.\n\n",
	       demo->options.seconds, demo_directory());
	fflush(stdout);
}

/* ---- the table ----------------------------------------------------------------------- */

/* The table of ordinary memory. */
static void add_head(struct table *table)
{
	static const char *const names[] = {"memory", "ops",  "wrong", "GB/s", "ops",
					    "wrong",  "GB/s", "mode",  "ops",  "wrong"};

	table_span(table, 1, "");
	table_span(table, 3, "the usual way");
	table_span(table, 4, "libhmm, io_uring");
	table_span(table, 2, "libhmm, reference device");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		table_cell(table, TABLE_HEAD, "%s", names[i]);
	table_rule(table);
}

static void add_counts(struct table *table, const struct result *result)
{
	uint64_t wrong = counts_wrong(&result->counts);

	if (result->verdict != CELL_RAN) {
		table_cell(table, TABLE_FAINT, "%s", verdicts[result->verdict]);
		table_cell(table, TABLE_FAINT, "-");
		return;
	}
	table_cell(table, TABLE_PLAIN, "%s", table_number(result->counts.operations));
	table_cell(table, wrong ? TABLE_BAD : TABLE_GOOD, "%s", table_number(wrong));
}

static void add_speed(struct table *table, const struct result *result)
{
	if (result->verdict == CELL_RAN)
		table_cell(table, TABLE_PLAIN, "%.1f",
			   gigabytes_per_second(result->counts.still_bytes,
						result->counts.still_busy));
	else
		table_cell(table, TABLE_FAINT, "-");
}

static void add_row(struct table *table, const struct demo *demo, unsigned int k)
{
	const struct result *results = demo->results[k];
	const char *mode = results[URING].mode;

	table_cell(table, TABLE_PLAIN, "%s", kinds[k]->title);
	add_counts(table, &results[USUAL]);
	add_speed(table, &results[USUAL]);
	add_counts(table, &results[URING]);
	add_speed(table, &results[URING]);
	table_cell(table, TABLE_FAINT, "%s", mode ? mode : "-");
	add_counts(table, &results[REF]);
}

/* Persistent memory: there all ways to use io_uring stand side by side. */
static void add_dax_head(struct table *table)
{
	static const char *const names[] = {"persistent memory",
					    "ops",
					    "wrong",
					    "ops",
					    "wrong",
					    "ops",
					    "wrong",
					    "ops",
					    "wrong",
					    "mode",
					    "ops",
					    "wrong"};

	table_span(table, 1, "");
	table_span(table, 2, "fixed buffers");
	table_span(table, 2, "reg. each time");
	table_span(table, 2, "plain io_uring");
	table_span(table, 3, "libhmm, io_uring");
	table_span(table, 2, "libhmm, ref");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		table_cell(table, TABLE_HEAD, "%s", names[i]);
	table_rule(table);
}

static void add_dax_row(struct table *table, const struct demo *demo, unsigned int k)
{
	const struct result *results = demo->results[k];
	const char *mode = results[URING].mode;

	table_cell(table, TABLE_PLAIN, "%s", kinds[k]->title);
	for (unsigned int e = 0; e < ENGINES; e++) {
		add_counts(table, &results[e]);
		if (e == URING)
			table_cell(table, TABLE_FAINT, "%s", mode ? mode : "-");
	}
}

static bool has_any(const struct demo *demo, bool dax)
{
	for (unsigned int k = 0; k < nr_kinds; k++) {
		if (kinds[k]->dax == dax && demo_has(demo, k))
			return true;
	}
	return false;
}

static bool print_rows(const struct demo *demo, bool dax)
{
	struct table *table = table_create(dax ? "lrrrrrrrrlrr" : "lrrrrrrlrr");
	bool good;

	if (!table)
		return false;
	if (dax)
		add_dax_head(table);
	else
		add_head(table);
	for (unsigned int k = 0; k < nr_kinds; k++) {
		if (kinds[k]->dax == dax && demo_has(demo, k))
			(dax ? add_dax_row : add_row)(table, demo, k);
	}
	good = table_print(table, stdout);
	table_destroy(table);
	return good;
}

/* ---- what is said below it ------------------------------------------------------------
 */

static bool same_reason(const struct result *a, const struct result *b)
{
	return a->verdict == b->verdict && !strcmp(a->why, b->why);
}

/* The kinds from @k on that did not run by that engine for the same reason as @k. */
static void print_reason(const struct demo *demo, unsigned int k, unsigned int e)
{
	const struct result *result = &demo->results[k][e];
	char text[1024];
	int len = 0;

	for (unsigned int n = 0; n < nr_kinds; n++) {
		if (!same_reason(result, &demo->results[n][e]))
			continue;
		if (n < k)
			return; /* it was told there */
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%s",
				len ? ", " : "", kinds[n]->title);
	}
	if (result->verdict != CELL_SKIPPED)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "; %s",
				engines[e].title);
	snprintf(text + len, sizeof(text) - (size_t)len, ": %s: %s",
		 verdicts[result->verdict], result->why);
	table_wrap(stdout, 0, 92, text);
}

/* What did not run says why; once for all engines where it is the memory's fault. */
static void print_reasons(const struct demo *demo)
{
	for (unsigned int e = 0; e < ENGINES; e++) {
		for (unsigned int k = 0; k < nr_kinds; k++) {
			enum verdict verdict = demo->results[k][e].verdict;

			bool told =
				e != USUAL && verdict == CELL_SKIPPED &&
				same_reason(&demo->results[k][e], &demo->results[k][USUAL]);

			if (verdict > CELL_RAN && !told)
				print_reason(demo, k, e);
		}
	}
	if (!demo->raw_protect)
		puts("mprotect by raw system call was left out: see perf-at-once in `hmm "
		     "info`");
}

static void print_first_wrong(const struct demo *demo)
{
	for (unsigned int k = 0; k < nr_kinds; k++) {
		for (unsigned int e = 0; e < ENGINES; e++) {
			const struct result *result = &demo->results[k][e];

			if (engines[e].mirrored && result->first[0])
				table_text(stdout, TABLE_BAD, "%s: %s\n", engines[e].title,
					   result->first);
		}
	}
}

static uint64_t mirrored_wrong(const struct demo *demo)
{
	return counts_wrong(&demo->totals[URING]) + counts_wrong(&demo->totals[REF]);
}

static uint64_t mirrored_operations(const struct demo *demo)
{
	return demo->totals[URING].operations + demo->totals[REF].operations;
}

static const char usual_way[] = ", and nobody was told: the kernel reported success, while "
				"the device used pages that "
				"the program had given away since it registered them";

static void print_sentences(const struct demo *demo)
{
	uint64_t usual = counts_wrong(&demo->totals[USUAL]), ours = mirrored_wrong(demo);
	uint64_t operations = demo->totals[USUAL].operations;
	char text[512];

	if (operations) {
		snprintf(text, sizeof(text),
			 "The usual way, %s of %s operations went wrong%s.",
			 usual ? table_number(usual) : "none", table_number(operations),
			 usual ? usual_way : "");
		table_wrap(stdout, 0, 92, text);
	}
	operations = mirrored_operations(demo);
	if (!operations) {
		puts("With libhmm nothing could be run here; why, is above.");
		return;
	}
	snprintf(text, sizeof(text),
		 "With libhmm %s of %s operations went wrong, on the same memory%s, with "
		 "plain pointers that nobody had to register.",
		 ours ? table_number(ours) : "none", table_number(operations),
		 demo->options.still ? "" : " under the same changes");
	table_wrap(stdout, 0, 92, text);
}

/* Broken is wrong only where libhmm was in it. */
static int exit_status(const struct demo *demo)
{
	uint64_t ran =
		mirrored_operations(demo); /* what the usual way does proves nothing */

	for (unsigned int k = 0; k < nr_kinds; k++) {
		for (unsigned int e = 0; e < ENGINES; e++) {
			enum verdict verdict = demo->results[k][e].verdict;

			if (engines[e].mirrored && verdict == CELL_BROKEN)
				return CLI_FAILED;
		}
	}
	if (mirrored_wrong(demo))
		return CLI_FAILED;
	return ran ? CLI_OK : CLI_NOTHING;
}

static const char legend[] =
	"wrong: the device read what is no longer there (stale), wrote where the CPU does "
	"not look (lost), or used memory protected against it. GB/s: while operations were "
	"under way, before the changes began.";

int demo_print_table(const struct demo *demo)
{
	for (int dax = 0; dax < 2; dax++) {
		if (!has_any(demo, dax))
			continue;
		if (!print_rows(demo, dax)) {
			cli_error("could not print the table");
			return CLI_FAILED;
		}
		putchar('\n');
	}
	table_wrap(stdout, 0, 92, legend);
	print_reasons(demo);
	print_first_wrong(demo);
	putchar('\n');
	print_sentences(demo);
	return exit_status(demo);
}

/* ---- for a program --------------------------------------------------------------------
 */

static json_t *result_json(const struct result *result)
{
	const struct counts *counts = &result->counts;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"operations", counts->operations},
		{"changes", counts->changes},
		{"bytes", counts->bytes},
		{"wrong", counts_wrong(counts)},
		{"lost", counts->lost},
		{"stale", counts->stale},
		{"forbidden", counts->forbidden},
		{"foreign", counts->foreign},
		{"failed", counts->failed},
	};
	double still, changing;
	json_t *value = json_pack("{s:s}", "verdict", verdicts[result->verdict]);

	if (result->why[0])
		json_object_set_new(value, "why", json_string(result->why));
	if (result->verdict != CELL_RAN)
		return value;
	if (result->mode)
		json_object_set_new(value, "mode", json_string(result->mode));
	if (result->first[0])
		json_object_set_new(value, "first", json_string(result->first));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(value, numbers[i].name,
				    json_integer((json_int_t)numbers[i].value));
	still = gigabytes_per_second(counts->still_bytes, counts->still_busy);
	changing = gigabytes_per_second(counts->bytes - counts->still_bytes,
					counts->busy - counts->still_busy);
	json_object_set_new(value, "gb_per_s_still", json_real(still));
	json_object_set_new(value, "gb_per_s_changing", json_real(changing));
	return value;
}

static json_t *kinds_json(const struct demo *demo)
{
	json_t *list = json_array();

	for (unsigned int k = 0; k < nr_kinds; k++) {
		json_t *row = json_pack("{s:s}", "kind", kinds[k]->name);

		for (unsigned int e = 0; e < ENGINES; e++) {
			if (kinds[k]->dax || !engines[e].to_compare)
				json_object_set_new(row, engines[e].name,
						    result_json(&demo->results[k][e]));
		}
		if (demo_has(demo, k))
			json_array_append(list, row);
		json_decref(row);
	}
	return list;
}

int demo_print_json(const struct demo *demo)
{
	uint64_t usual = counts_wrong(&demo->totals[USUAL]);
	json_t *value =
		json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:o}", "version", hmm_version(),
			  "raw_mprotect", demo->raw_protect, "usual_operations",
			  (json_int_t)demo->totals[USUAL].operations, "usual_wrong",
			  (json_int_t)usual, "libhmm_operations",
			  (json_int_t)mirrored_operations(demo), "libhmm_wrong",
			  (json_int_t)mirrored_wrong(demo), "kinds", kinds_json(demo));
	int err = cli_print_json(value);

	return err ? err : exit_status(demo);
}
