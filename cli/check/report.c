// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what came out of it?
 *
 * For a person a table a device (a row a change, a column a kind of memory), for a
 * program JSON, for docs/contract.md the list of what proves what.
 */
#include "suite.h"

#include "../cli.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {"not run", "pass", "fail", "skip", "limit"};

static char mark(const struct check_result *result)
{
	switch (result->status) {
	case CHECK_PASS:
		return '+';
	case CHECK_FAIL:
		return 'F';
	case CHECK_SKIP:
		return 's';
	case CHECK_LIMIT:
		return (char)('0' + result->limit);
	default:
		return '?';
	}
}

/* The worse of two marks: a row that stands for several ways shows the worst. */
static char worse(char a, char b)
{
	const char *order = ".s+123456789?F";

	return strchr(order, a) > strchr(order, b) ? a : b;
}

/* ---- table
 * ------------------------------------------------------------------------------- */

struct row {
	char name[48];
	char marks[64];
	bool any;
};

static void row_add(struct row *row, const struct check_cell *cell)
{
	char *at = &row->marks[cell->kind];

	*at = worse(*at, mark(cell->result));
	row->any = true;
}

static struct row row_make(const struct check_plan *plan, unsigned int device, int change,
			   int way)
{
	struct row row = {.any = false};

	memset(row.marks, '.', kit_nr_kinds);
	if (way < 0)
		snprintf(row.name, sizeof(row.name), "%s", kit_changes[change].name);
	else
		snprintf(row.name, sizeof(row.name), "%s %s", kit_changes[change].name,
			 kit_way_names[way]);
	for (unsigned int i = 0; i < plan->nr; i++) {
		const struct check_cell *cell = &plan->cells[i];

		if (cell->device == device && cell->change == change &&
		    (way < 0 || cell->way == way))
			row_add(&row, cell);
	}
	return row;
}

static void print_row(const struct row *row)
{
	if (!row->any)
		return;
	printf("  %-24s", row->name);
	for (unsigned int k = 0; k < kit_nr_kinds; k++)
		printf(" %c", row->marks[k]);
	printf("\n");
}

static char letter(unsigned int kind)
{
	return (char)(kind < 26 ? 'a' + kind : 'A' + (kind - 26));
}

static void print_heads(void)
{
	for (unsigned int k = 0; k < kit_nr_kinds; k++)
		printf("%s%c %s", k % 6 ? "  " : "\n  ", letter(k), kit_kinds[k].name);
	printf("\n\n  %-24s", "");
	for (unsigned int k = 0; k < kit_nr_kinds; k++)
		printf(" %c", letter(k));
	printf("\n");
}

static bool has_cells(const struct check_plan *plan, unsigned int device, bool cases)
{
	for (unsigned int i = 0; i < plan->nr; i++) {
		if (plan->cells[i].device == device && (plan->cells[i].test >= 0) == cases)
			return true;
	}
	return false;
}

/* How the memory was made reachable; more than one way where it depended on its state. */
static char mode_mark(uint8_t modes)
{
	static const char letters[] = "dfps";

	if (!modes)
		return '.';
	if (modes & (modes - 1))
		return '*';
	return letters[__builtin_ctz(modes)];
}

static void print_modes(const struct check_plan *plan, unsigned int device)
{
	uint8_t modes[64] = {0};

	for (unsigned int i = 0; i < plan->nr; i++) {
		const struct check_cell *cell = &plan->cells[i];

		if (cell->device == device && cell->kind >= 0)
			modes[cell->kind] |= cell->result->modes;
	}
	if (kit_devices[device].usual)
		return;
	printf("  %-24s", "(mode)");
	for (unsigned int k = 0; k < kit_nr_kinds; k++)
		printf(" %c", mode_mark(modes[k]));
	printf("\n");
}

static void print_changes(const struct check_plan *plan, unsigned int device)
{
	print_heads();
	print_modes(plan, device);
	for (int c = 0; c < (int)kit_nr_changes; c++) {
		for (int way = check_options.verbose ? 0 : -1;
		     way < (check_options.verbose ? NR_WAYS : 0); way++) {
			struct row row = row_make(plan, device, c, way);

			print_row(&row);
		}
	}
}

static void print_cases(const struct check_plan *plan, unsigned int device)
{
	printf("\n");
	for (unsigned int i = 0; i < plan->nr; i++) {
		const struct check_cell *cell = &plan->cells[i];

		if (cell->device != device || cell->test < 0)
			continue;
		printf("  %-3s %-20s %c  %s\n", check_cell_promise(cell),
		       check_cases[cell->test].name, mark(cell->result),
		       cell->result->status == CHECK_PASS && !cell->result->detail[0]
			       ? check_cases[cell->test].about
			       : cell->result->detail);
	}
}

/* ---- what is behind the marks
 * --------------------------------------------------------------- */

static void print_details(const struct check_plan *plan, uint8_t status, const char *title)
{
	bool first = true;

	for (unsigned int i = 0; i < plan->nr; i++) {
		const struct check_result *result = &plan->results[i];
		unsigned int same = 0;
		char name[128];
		bool seen = false;

		if (result->status != status)
			continue;
		for (unsigned int j = 0; j < plan->nr && !check_options.verbose; j++) {
			if (plan->results[j].status != status ||
			    strcmp(plan->results[j].detail, result->detail))
				continue;
			seen = seen || j < i;
			same++;
		}
		if (seen)
			continue;
		if (first)
			printf("\n%s\n", title);
		first = false;
		check_cell_name(&plan->cells[i], name, sizeof(name));
		printf("  %s", name);
		if (same > 1)
			printf(" and %u more", same - 1);
		printf(": %s\n", result->detail);
	}
}

static void count(const struct check_plan *plan, unsigned int counts[5])
{
	memset(counts, 0, 5 * sizeof(*counts));
	for (unsigned int i = 0; i < plan->nr; i++)
		counts[plan->results[i].status]++;
}

static void print_limits(const struct check_plan *plan)
{
	for (unsigned int l = 0; l < kit_nr_limits; l++) {
		unsigned int n = 0;

		for (unsigned int i = 0; i < plan->nr; i++)
			n += plan->results[i].status == CHECK_LIMIT &&
			     plan->results[i].limit == kit_limits[l].id;
		if (n)
			printf("\nL%u (%u cells): %s: %s; %s\n", kit_limits[l].id, n,
			       kit_limits[l].what, kit_limits[l].why, kit_limits[l].remedy);
	}
}

void check_report_table(const struct check_plan *plan)
{
	unsigned int counts[5];

	for (unsigned int d = 0; d < kit_nr_devices; d++) {
		bool changes = has_cells(plan, d, false), cases = has_cells(plan, d, true);

		if (!changes && !cases)
			continue;
		printf("\ndevice %s%s%s\n", kit_devices[d].name,
		       kit_devices[d].file ? " of " : "",
		       kit_devices[d].file ? kit_devices[d].file : "");
		if (changes)
			print_changes(plan, d);
		if (cases)
			print_cases(plan, d);
	}
	printf("\n  + pass  F fail  s skipped  1..9 limit L1..L9  . does not apply\n"
	       "  mode: d direct  f fault  p pin  s stage  * by the memory's state\n");
	print_details(plan, CHECK_FAIL, "Failed:");
	print_details(plan, CHECK_SKIP, "Skipped:");
	print_limits(plan);
	count(plan, counts);
	printf("\n%u cells: %u pass, %u fail, %u limit, %u skipped; calls %s\n", plan->nr,
	       counts[CHECK_PASS], counts[CHECK_FAIL] + counts[CHECK_TODO],
	       counts[CHECK_LIMIT], counts[CHECK_SKIP],
	       kit_interposed() ? "interposed" : "not interposed");
}

int check_report_status(const struct check_plan *plan)
{
	unsigned int counts[5];

	count(plan, counts);
	if (counts[CHECK_FAIL] || counts[CHECK_TODO])
		return 1;
	return counts[CHECK_PASS] || counts[CHECK_LIMIT] ? 0 : 77;
}

/* ---- JSON
 * ------------------------------------------------------------------------------------ */

static json_t *modes_json(uint8_t modes)
{
	json_t *json = json_array();

	for (int mode = 0; mode < HMM_MODES; mode++) {
		if (modes & (1u << mode))
			json_array_append_new(json, json_string(hmm_mode_name(mode)));
	}
	return json;
}

static json_t *cell_json(const struct check_cell *cell)
{
	const struct check_result *result = cell->result;
	json_t *json = json_object();
	char name[128];

	check_cell_name(cell, name, sizeof(name));
	json_object_set_new(json, "cell", json_string(name));
	json_object_set_new(json, "promise", json_string(check_cell_promise(cell)));
	json_object_set_new(json, "device", json_string(kit_devices[cell->device].name));
	if (cell->test < 0) {
		json_object_set_new(json, "kind", json_string(kit_kinds[cell->kind].name));
		json_object_set_new(json, "change",
				    json_string(kit_changes[cell->change].name));
		json_object_set_new(json, "way", json_string(kit_way_names[cell->way]));
	} else {
		json_object_set_new(json, "case",
				    json_string(check_cases[cell->test].name));
	}
	json_object_set_new(json, "status", json_string(status_names[result->status]));
	if (result->limit)
		json_object_set_new(json, "limit", json_sprintf("L%u", result->limit));
	if (result->detail[0])
		json_object_set_new(json, "detail", json_string(result->detail));
	json_object_set_new(json, "modes", modes_json(result->modes));
	json_object_set_new(json, "ms", json_integer(result->ms));
	return json;
}

int check_report_json(const struct check_plan *plan)
{
	json_t *root = json_object(), *cells = json_array(), *sums = json_object();
	unsigned int counts[5];

	count(plan, counts);
	for (unsigned int i = 0; i < plan->nr; i++)
		json_array_append_new(cells, cell_json(&plan->cells[i]));
	for (unsigned int s = 0; s < 5; s++)
		json_object_set_new(sums, status_names[s], json_integer(counts[s]));
	json_object_set_new(root, "interposed", json_boolean(kit_interposed()));
	json_object_set_new(root, "counts", sums);
	json_object_set_new(root, "cells", cells);
	return cli_print_json(root);
}
