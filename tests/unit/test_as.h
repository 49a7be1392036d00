/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What do the tests of the address-space side share? A driver that only remembers, so that
 * what is looked at is the library, on real memory.
 */
#ifndef TEST_AS_H
#define TEST_AS_H

#include <hmm/driver.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../kit/raw.h"

#define CHECK(what)                                                                      \
	do {                                                                             \
		if (!(what)) {                                                           \
			fprintf(stderr, "%s:%d: %s: failed; last error: %s\n", __FILE__, \
				__LINE__, #what, hmm_error());                           \
			exit(1);                                                         \
		}                                                                        \
	} while (0)

/* A sanitizer keeps freed memory, and wraps the calls that the library wraps. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define PAGE ((unsigned long)getpagesize())

/* In a process of its own, which has a minute: its exit status; -1 it was killed. */
static inline int run_in_child(int (*run)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(60);
		status = run();
		fflush(stdout);
		_exit(status); /* a leak checker needs /proc, which may be missing */
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int plain_map(struct hmm_device *device, struct hmm_mapping *mapping)
{
	mapping->addr = mapping->start;
	return 0;
}

static void plain_revoke(struct hmm_device *device, struct hmm_mapping *mapping)
{
}

static const struct hmm_driver_ops plain_ops = {
	.size = sizeof(plain_ops),
	.map = plain_map,
	.revoke = plain_revoke,
};

/* Pins what may be pinned: as drivers do that have the most to lose. */
static const struct hmm_driver plain_driver = {
	.size = sizeof(plain_driver),
	.abi = HMM_DRIVER_ABI,
	.name = "plain",
	.license = "LGPL-2.1-or-later",
	.ops = &plain_ops,
	.modes = {HMM_MODE_PIN, HMM_MODE_DIRECT},
	.nr_modes = 2,
};

struct plain {
	struct hmm *hmm;
	struct hmm_device *device;
	struct hmm_mirror *mirror;
};

/* Is this source of changes in use? */
static inline bool is_on(const char *name)
{
	struct hmm_feature features[32];
	int nr = hmm_features(features, 32, sizeof(*features));

	for (int i = 0; i < nr; i++) {
		if (strcmp(features[i].name, name))
			continue;
		if (features[i].state == HMM_FEATURE_ON)
			return true;
		printf("%s is not on: %s; %s\n", name, features[i].reason,
		       features[i].remedy);
	}
	return false;
}

static inline void plain_open(struct plain *plain, uint32_t flags)
{
	struct hmm_attr attr = {.size = sizeof(attr), .flags = flags, .wait_ms = 5000};
	struct hmm_mirror_attr mirror = {.size = sizeof(mirror)};

	CHECK(hmm_open(&attr, &plain->hmm) == 0);
	CHECK(hmm_device_register(plain->hmm, &plain_driver, NULL, &plain->device) == 0);
	CHECK(hmm_mirror_create(plain->device, &mirror, &plain->mirror) == 0);
}

static inline void plain_close(struct plain *plain)
{
	CHECK(hmm_mirror_destroy(plain->mirror) == 0);
	CHECK(hmm_device_unregister(plain->device) == 0);
	hmm_close(plain->hmm);
}

#endif
