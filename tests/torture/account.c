// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how is it found out what this process holds?
 */
#include "account.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static long count_entries(const char *folder)
{
	DIR *dir = opendir(folder);
	long nr = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static long count_lines(const char *file)
{
	FILE *f = fopen(file, "re");
	long nr = 0;
	int c;

	if (!f)
		return -1;
	while ((c = getc(f)) != EOF)
		nr += c == '\n';
	fclose(f);
	return nr;
}

void account_take(struct account *a)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];

	memset(a, 0, sizeof(*a));
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "VmRSS: %ld", &a->rss_kb);
		sscanf(line, "VmPin: %ld", &a->pinned_kb);
		sscanf(line, "VmLck: %ld", &a->locked_kb);
		sscanf(line, "Threads: %ld", &a->threads);
	}
	if (f)
		fclose(f);
	a->mappings = count_lines("/proc/self/maps");
	a->descriptors = count_entries("/proc/self/fd");
}

static bool same(const char *what, long before, long after, long slack)
{
	if (after <= before + slack)
		return true;
	fprintf(stderr, "LEAK: %s: %ld before, %ld after\n", what, before, after);
	return false;
}

bool account_same(const struct account *before, const struct account *after)
{
	bool ok = same("descriptors", before->descriptors, after->descriptors, 0);

	ok &= same("threads", before->threads, after->threads, 0);
	ok &= same("VmPin (kB)", before->pinned_kb, after->pinned_kb, 0);
	ok &= same("VmLck (kB)", before->locked_kb, after->locked_kb, 0);
	/* malloc's arenas and their trims come and go */
	ok &= same("mappings", before->mappings, after->mappings, 16);
	ok &= same("VmRSS (kB)", before->rss_kb, after->rss_kb, 8 * 1024);
	return ok;
}
