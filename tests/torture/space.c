// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: what do the devices of the library share?
 */
#include "space.h"
#include "calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct hmm *space;
static unsigned int users;

int space_say(const char *what, int err)
{
	fprintf(stderr, "torture: %s: %s (%s)\n", what, strerror(-err), hmm_error());
	return err;
}

static bool seen_late(void)
{
	struct hmm_feature features[64];
	int nr = hmm_features(features, 64, sizeof(features[0]));

	for (int i = 0; i < nr && i < 64; i++)
		if (!strcmp(features[i].name, "perf-at-once"))
			return features[i].state != HMM_FEATURE_ON;
	return true;
}

int space_open(bool raw)
{
	struct hmm_attr attr = {.size = sizeof(attr), .flags = raw ? HMM_NO_INTERPOSE : 0};
	int err = 0;

	if (!users)
		err = hmm_open(&attr, &space);
	if (err)
		return space_say("hmm_open", err);
	if (!users)
		calls_raw_late = seen_late();
	users++;
	return 0;
}

void space_close(void)
{
	if (--users)
		return;
	hmm_close(space);
	space = NULL;
}

void space_tell(void *at, size_t len)
{
	int err = hmm_invalidate(space, at, len);

	if (err) {
		space_say("hmm_invalidate", err);
		abort();
	}
}

int space_in_child(void)
{
	struct hmm_stats stats;

	return hmm_stats_read(space, NULL, &stats, sizeof(stats)) == -ECHILD ? 0 : -1;
}

void space_must(const char *what, int err)
{
	if (!err)
		return;
	space_say(what, err);
	abort();
}

void *space_buffers(int fd)
{
	void *at = mmap(NULL, DEVICE_DEPTH * DEVICE_BUFFER, PROT_READ | PROT_WRITE,
			fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

const struct device *const devices[] = {
#ifdef TORTURE_URING
	&device_uring,
#endif
	&device_plain, &device_stage, &device_slow, &device_cpu, NULL,
};
