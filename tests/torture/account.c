// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how is it found out what this process holds?
 */
#include "account.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

/* Without the kernel's own for io_uring: they stay as long as the thread they work for. */
static long count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	long nr = 0;

	while (dir && (entry = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		f = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (!f)
			continue;
		nr += fgets(comm, sizeof(comm), f) && strncmp(comm, "iou-", 4);
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return nr;
}

/*
 * Neighbours that only differ in how they came about count as one: malloc grows an arena
 * piece by piece, and the kernel does not join pieces that were watched and not watched
 * when they were first touched.
 */
static long count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512], perms[8], last_perms[8] = "";
	unsigned long long start, end, last_end = 0;
	long nr = 0;

	while (f && fgets(line, sizeof(line), f)) {
		int path = 0;

		if (sscanf(line, "%llx-%llx %7s %*s %*s %*s %n", &start, &end, perms,
			   &path) < 3)
			continue;
		if (start != last_end || strcmp(perms, last_perms) || line[path])
			nr++;
		last_end = line[path] ? 0 : end;
		strcpy(last_perms, perms);
	}
	if (f)
		fclose(f);
	return nr;
}

static void take(struct account *a)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];

	memset(a, 0, sizeof(*a));
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "VmRSS: %ld", &a->rss_kb);
		sscanf(line, "VmPin: %ld", &a->pinned_kb);
		sscanf(line, "VmLck: %ld", &a->locked_kb);
	}
	if (f)
		fclose(f);
	a->threads = count_threads();
	a->mappings = count_mappings();
	a->descriptors = count_entries("/proc/self/fd");
}

/* A thread that was joined is still counted for a moment. */
void account_take(struct account *a)
{
	long threads = -1;

	for (int i = 0; i < 50; i++) {
		take(a);
		if (a->threads == 1 || a->threads == threads)
			return;
		threads = a->threads;
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
}

static bool same(const char *what, long before, long after, long slack)
{
	if (after <= before + slack)
		return true;
	fprintf(stderr, "LEAK: %s: %ld before, %ld after\n", what, before, after);
	return false;
}

/* malloc keeps up to 8 arenas a processor, of two mappings each; libc keeps some stacks. */
static long malloc_mappings(void)
{
	return 2 * 8 * sysconf(_SC_NPROCESSORS_ONLN) + 16;
}

bool account_same(const struct account *before, const struct account *after)
{
	bool ok = same("descriptors", before->descriptors, after->descriptors, 0);

	ok &= same("threads", before->threads, after->threads, 0);
	ok &= same("VmPin (kB)", before->pinned_kb, after->pinned_kb, 0);
	ok &= same("VmLck (kB)", before->locked_kb, after->locked_kb, 0);
	ok &= same("mappings", before->mappings, after->mappings, malloc_mappings());
	ok &= same("VmRSS (kB)", before->rss_kb, after->rss_kb, 8 * 1024);
	return ok;
}
