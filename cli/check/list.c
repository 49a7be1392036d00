// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check --list`: which test proves which promise, and where is one not met?
 *
 * Printed from the tables that the suite runs from, in the form in which docs/contract.md
 * has it; a test compares the two.
 */
#include "suite.h"

#include <stdio.h>
#include <string.h>

static void list_ways(unsigned int ways)
{
	const char *separator = "";

	for (unsigned int way = 0; way < NR_WAYS; way++) {
		if (!(ways & (1u << way)))
			continue;
		printf("%s%s", separator, kit_way_names[way]);
		separator = ", ";
	}
}

static void list_kinds_of(const struct kit_change *change)
{
	unsigned int nr = 0;

	for (unsigned int k = 0; k < kit_nr_kinds; k++)
		nr += kit_change_applies(change, &kit_kinds[k]);
	if (nr == kit_nr_kinds) {
		printf("all");
		return;
	}
	nr = 0;
	for (unsigned int k = 0; k < kit_nr_kinds; k++) {
		if (kit_change_applies(change, &kit_kinds[k]))
			printf("%s%s", nr++ ? ", " : "", kit_kinds[k].name);
	}
}

static void list_changes(void)
{
	printf("| promise | change | what happens | ways | kinds |\n"
	       "| --- | --- | --- | --- | --- |\n");
	for (unsigned int c = 0; c < kit_nr_changes; c++) {
		const struct kit_change *change = &kit_changes[c];

		printf("| %s | %s | %s | ", change->promise, change->name, change->about);
		list_ways(change->ways);
		printf(" | ");
		list_kinds_of(change);
		printf(" |\n");
	}
}

static void list_cases(void)
{
	printf("| promise | case | what it shows |\n| --- | --- | --- |\n");
	for (unsigned int i = 0; i < check_nr_cases; i++)
		printf("| %s | %s | %s |\n", check_cases[i].promise, check_cases[i].name,
		       check_cases[i].about);
}

void check_report_list(void)
{
	printf("| kind | what it is |\n| --- | --- |\n");
	for (unsigned int k = 0; k < kit_nr_kinds; k++)
		printf("| %s | %s |\n", kit_kinds[k].name, kit_kinds[k].about);
	printf("\n");
	list_changes();
	printf("\n");
	list_cases();
	printf("\n| limit | where | why | what to do |\n| --- | --- | --- | --- |\n");
	for (unsigned int l = 0; l < kit_nr_limits; l++)
		printf("| L%u | %s | %s | %s |\n", kit_limits[l].id, kit_limits[l].what,
		       kit_limits[l].why, kit_limits[l].remedy);
}
