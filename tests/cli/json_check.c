// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Does JSON on stdin parse, and do its numbers hold? For the shell tests, on machines
 * that have neither jq nor python.
 *
 *	json_check [KEY | KEY=NUMBER | KEY>NUMBER]...	KEY of the outermost object
 */
#include <jansson.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool holds(const json_t *root, const char *rule)
{
	size_t len = strcspn(rule, "=>");
	const json_t *value;
	char key[64];
	double want;

	snprintf(key, sizeof(key), "%.*s", (int)len, rule);
	value = json_object_get(root, key);
	if (!value || !rule[len])
		return value;
	want = strtod(rule + len + 1, NULL);
	if (!json_is_number(value))
		return false;
	return rule[len] == '=' ? json_number_value(value) == want
				: json_number_value(value) > want;
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *root = json_loadf(stdin, 0, &error);
	int status = 0;

	if (!root) {
		printf("not JSON: line %d: %s\n", error.line, error.text);
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		if (holds(root, argv[i]))
			continue;
		printf("does not hold: %s\n", argv[i]);
		status = 1;
	}
	json_decref(root);
	return status;
}
