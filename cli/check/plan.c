// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: which cells are there, and which of them were asked for?
 */
#include "suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

unsigned int limit_of(const struct check_env *env, const struct kit_change *change,
		      enum kit_way way)
{
	if (env->dev->usual || !change->limit)
		return 0;
	/* Where the library came too late to be asked, libc's calls are raw ones. */
	if (way != WAY_RAW && !(way == WAY_LIBC && !kit_interposed()))
		return 0;
	if (change->limit >= 2 && env->perf)
		return 0;
	return change->limit;
}

/* ---- what was asked for
 * ------------------------------------------------------------------ */

/* Is @name one of the words of @list ("a,b,c")? NULL: everything is. What comes after a
 * colon in a name need not be said. */
static bool wanted(const char *list, const char *name)
{
	size_t len = strlen(name), kind = strcspn(name, ":");

	if (!list || !strcmp(list, "all"))
		return true;
	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, name, len) && (!at[len] || at[len] == ','))
			return true;
		if (!strncmp(at, name, kind) && (!at[kind] || at[kind] == ','))
			return true;
	}
	return false;
}

/* ---- names that there are not
 * ------------------------------------------------------------ */

static bool is_device(const char *word)
{
	for (unsigned int i = 0; i < kit_nr_devices; i++) {
		if (wanted(word, kit_devices[i].name))
			return true;
	}
	return false;
}

/* "dax-shared:xfs" is the name of a kind where there is such a place, and known elsewhere.
 */
static bool is_kind(const char *word)
{
	size_t len = strcspn(word, ":");

	for (unsigned int i = 0; i < kit_nr_kinds; i++) {
		const char *name = kit_kinds[i].name;

		if (wanted(word, name) ||
		    (!strncmp(word, name, len) && strcspn(name, ":") == len))
			return true;
	}
	return false;
}

static bool is_change(const char *word)
{
	for (unsigned int i = 0; i < kit_nr_changes; i++) {
		if (wanted(word, kit_changes[i].name))
			return true;
	}
	return false;
}

static bool is_way(const char *word)
{
	for (unsigned int i = 0; i < NR_WAYS; i++) {
		if (wanted(word, kit_way_names[i]))
			return true;
	}
	return false;
}

static bool is_part(const char *word)
{
	for (unsigned int i = 0; i < kit_nr_changes; i++) {
		if (wanted(word, kit_changes[i].promise))
			return true;
	}
	for (unsigned int i = 0; i < check_nr_cases; i++) {
		if (wanted(word, check_cases[i].promise) ||
		    wanted(word, check_cases[i].name))
			return true;
	}
	return is_change(word);
}

bool check_plan_unknown(char *error, size_t size)
{
	const struct {
		const char *list, *option;
		bool (*known)(const char *word);
	} lists[] = {
		{check_options.device, "--device", is_device},
		{check_options.kind, "--kind", is_kind},
		{check_options.change, "--change", is_change},
		{check_options.way, "--way", is_way},
		{check_options.only, "--only", is_part},
	};
	char word[128];

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (const char *at = lists[i].list; at && *at; at += *at == ',') {
			size_t len = strcspn(at, ",");

			snprintf(word, sizeof(word), "%.*s", (int)len, at);
			at += len;
			if (!lists[i].known(word)) {
				snprintf(error, size, "%s: there is no '%s'",
					 lists[i].option, word);
				return true;
			}
		}
	}
	return false;
}

static bool device_wanted(const struct kit_device *dev)
{
	if (dev->hidden && !check_options.device)
		return false;
	return wanted(check_options.device, dev->name);
}

static void add_cell(struct check_plan *plan, struct check_cell cell)
{
	plan->cells[plan->nr++] = cell;
}

static void add_change(struct check_plan *plan, unsigned int device, unsigned int kind,
		       unsigned int nr)
{
	const struct kit_change *change = &kit_changes[nr];

	/* What is not here has one cell, to say so. */
	if (kit_kinds[kind].missing && nr)
		return;
	if (!kit_change_applies(change, &kit_kinds[kind]) ||
	    !wanted(check_options.change, change->name) ||
	    !(wanted(check_options.only, change->promise) ||
	      wanted(check_options.only, change->name)))
		return;
	for (unsigned int way = 0; way < NR_WAYS; way++) {
		/* Punching through another mapping: memory that is nothing but a file. */
		if (way == WAY_ALIAS && !(kit_kinds[kind].traits & (T_SHMEM | T_DAX)))
			continue;
		if ((change->ways & (1u << way)) &&
		    wanted(check_options.way, kit_way_names[way]))
			add_cell(plan, (struct check_cell){.device = (uint16_t)device,
							   .kind = (int16_t)kind,
							   .change = (int16_t)nr,
							   .test = -1,
							   .way = (uint8_t)way});
	}
}

static void add_cases(struct check_plan *plan, unsigned int device)
{
	if (check_options.kind || check_options.change || check_options.way)
		return;
	for (unsigned int i = 0; i < check_nr_cases; i++) {
		const struct check_case *test = &check_cases[i];

		if (kit_devices[device].usual && !test->usual)
			continue;
		if (wanted(check_options.only, test->promise) ||
		    wanted(check_options.only, test->name))
			add_cell(plan, (struct check_cell){.device = (uint16_t)device,
							   .kind = -1,
							   .change = -1,
							   .test = (int16_t)i});
	}
}

static void *shared_zeroes(size_t len)
{
	void *p =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int check_plan_make(struct check_plan *plan)
{
	size_t most = (size_t)kit_nr_devices *
		      (kit_nr_kinds * kit_nr_changes * NR_WAYS + check_nr_cases);

	plan->nr = 0;
	plan->cells = calloc(most, sizeof(*plan->cells));
	if (!plan->cells)
		return -ENOMEM;
	for (unsigned int d = 0; d < kit_nr_devices; d++) {
		if (!device_wanted(&kit_devices[d]))
			continue;
		for (unsigned int k = 0; k < kit_nr_kinds; k++) {
			if (!wanted(check_options.kind, kit_kinds[k].name))
				continue;
			for (unsigned int c = 0; c < kit_nr_changes; c++)
				add_change(plan, d, k, c);
		}
		add_cases(plan, d);
	}
	plan->results = shared_zeroes((plan->nr + 1) * sizeof(*plan->results));
	if (!plan->results)
		return -ENOMEM;
	for (unsigned int i = 0; i < plan->nr; i++)
		plan->cells[i].result = &plan->results[i];
	return 0;
}

const char *check_cell_promise(const struct check_cell *cell)
{
	return cell->test >= 0 ? check_cases[cell->test].promise
			       : kit_changes[cell->change].promise;
}

void check_cell_name(const struct check_cell *cell, char *out, size_t size)
{
	const char *device = kit_devices[cell->device].name;

	if (cell->test >= 0)
		snprintf(out, size, "%s/%s", device, check_cases[cell->test].name);
	else
		snprintf(out, size, "%s/%s/%s/%s", device, kit_kinds[cell->kind].name,
			 kit_changes[cell->change].name, kit_way_names[cell->way]);
}
