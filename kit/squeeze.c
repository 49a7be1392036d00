// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: how is the kernel made to take what it may of this process's memory?
 *
 * By a memory cgroup of the process's own, below the one that it is in: what is in it is
 * reclaimed on demand (memory.reclaim, or with the older hierarchy memory.force_empty), as
 * it would be under pressure. And by moving pages to another node.
 */
#include "squeeze.h"
#include "kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MPOL_MF_MOVE
#define MPOL_MF_MOVE (1 << 1)
#endif
#define EVERYTHING "1G"

static char outside[512], inside[600]; /* folders of the cgroups */
static bool older;

static int put(const char *folder, const char *name, const char *text)
{
	char path[700];
	FILE *file;
	int err = 0;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "we");
	if (!file)
		return -errno;
	if (fputs(text, file) < 0)
		err = -errno;
	if (fclose(file) && !err)
		err = -errno;
	return err;
}

/* "4:memory:/path" of the older hierarchy, or "0::/path". */
static bool find_outside(void)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[512];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *path = strchr(line, ':');

		if (!path)
			continue;
		path[strcspn(path, "\n")] = '\0';
		older = !strncmp(path, ":memory:", 8);
		if (older)
			snprintf(outside, sizeof(outside), "/sys/fs/cgroup/memory%s",
				 path + 8);
		else if (!strncmp(path, "::", 2))
			snprintf(outside, sizeof(outside), "/sys/fs/cgroup%s", path + 2);
		else
			continue;
		found = !access(outside, W_OK | X_OK);
	}
	if (file)
		fclose(file);
	return found;
}

static bool can_reclaim(void)
{
	char path[700];

	snprintf(path, sizeof(path), "%s/%s", inside,
		 older ? "memory.force_empty" : "memory.reclaim");
	return !access(path, W_OK);
}

int kit_squeeze_begin(void)
{
	int err;

	if (!find_outside())
		return -ENOENT;
	snprintf(inside, sizeof(inside), "%s/hmm-check-%d", outside, (int)getpid());
	if (mkdir(inside, 0700))
		return -errno;
	err = can_reclaim() ? put(inside, "cgroup.procs", "0") : -EOPNOTSUPP;
	if (err) {
		rmdir(inside);
		inside[0] = '\0';
	}
	return err;
}

bool kit_squeeze(void)
{
	if (!inside[0])
		return false;
	/* It may not get all that is asked for: what it gets is what counts. */
	if (older)
		put(inside, "memory.force_empty", "0");
	else
		put(inside, "memory.reclaim", EVERYTHING);
	return true;
}

void kit_squeeze_end(void)
{
	if (!inside[0])
		return;
	put(outside, "cgroup.procs", "0");
	rmdir(inside);
	inside[0] = '\0';
}

/* ---- nodes -----------------------------------------------------------------------------
 */

unsigned int kit_nodes(void)
{
	FILE *file = fopen("/sys/devices/system/node/online", "re");
	unsigned int first = 0, last = 0;

	if (file) {
		if (fscanf(file, "%u-%u", &first, &last) != 2)
			last = first;
		fclose(file);
	}
	return last - first + 1;
}

bool kit_migrate(uint8_t *at, size_t len)
{
	unsigned int nodes = kit_nodes(), nr = (unsigned int)(len / KIT_PAGE);
	void **pages = calloc(nr, sizeof(*pages));
	int *to = calloc(nr, sizeof(*to)), *status = calloc(nr, sizeof(*status));
	bool moved = false;

	for (unsigned int i = 0; pages && i < nr; i++)
		pages[i] = at + i * KIT_PAGE;
	if (nodes > 1 && pages && to && status &&
	    !syscall(SYS_move_pages, 0, nr, pages, NULL, to, 0)) {
		for (unsigned int i = 0; i < nr; i++)
			to[i] = to[i] < 0 ? 0 : (int)(((unsigned int)to[i] + 1) % nodes);
		syscall(SYS_move_pages, 0, nr, pages, to, status, MPOL_MF_MOVE);
		for (unsigned int i = 0; i < nr; i++)
			moved |= status[i] == to[i];
	}
	free(pages);
	free(to);
	free(status);
	return moved;
}
