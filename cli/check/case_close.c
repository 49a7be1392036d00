// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: is anything left pinned, registered or armed after closing (Y10)?
 */
#include "cases.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a process can see of what it holds. */
struct holdings {
	long descriptors, threads;
	long pinned_kib, locked_kib, size_kib;
	long watched; /* mappings with a userfaultfd */
};

static long count_entries(const char *path)
{
	DIR *dir = opendir(path);
	long n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static long count_watched(void)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[512];
	long n = 0;

	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (!strncmp(line, "VmFlags:", 8) &&
		    (strstr(line, " um") || strstr(line, " uw") || strstr(line, " ui")))
			n++;
	}
	if (smaps)
		fclose(smaps);
	return n;
}

static struct holdings hold_now(void)
{
	struct holdings h = {.descriptors = count_entries("/proc/self/fd"),
			     .threads = count_entries("/proc/self/task"),
			     .watched = count_watched()};
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];

	while (status && fgets(line, sizeof(line), status)) {
		sscanf(line, "VmPin: %ld", &h.pinned_kib);
		sscanf(line, "VmLck: %ld", &h.locked_kib);
		sscanf(line, "VmSize: %ld", &h.size_kib);
	}
	if (status)
		fclose(status);
	return h;
}

static int compare(struct check_run *run, const struct holdings *before, const char *order)
{
	struct holdings now = hold_now();

	/* The kernel gives back what a closed io_uring held a moment later. */
	for (int i = 0; i < 2000 && (now.pinned_kib > before->pinned_kib ||
				     now.descriptors > before->descriptors ||
				     now.threads > before->threads);
	     i++) {
		usleep(10000);
		++*check_beat;
		now = hold_now();
	}
	if (now.descriptors != before->descriptors)
		return check_fail(run, "%s: %ld descriptors before, %ld after", order,
				  before->descriptors, now.descriptors);
	/* Fewer: what the case before had was still counted. */
	if (now.threads > before->threads)
		return check_fail(run, "%s: %ld threads before, %ld after", order,
				  before->threads, now.threads);
	if (now.pinned_kib > before->pinned_kib || now.locked_kib > before->locked_kib)
		return check_fail(run, "%s: %ld KiB pinned before, %ld after", order,
				  before->pinned_kib, now.pinned_kib);
	if (now.watched != before->watched)
		return check_fail(run, "%s: %ld mappings watched before, %ld after", order,
				  before->watched, now.watched);
	return 0;
}

/* Everything that leaves traces: many kinds, changes, a miss or two. */
static int use_it(struct check_run *run)
{
	static const char *const kinds[] = {"anon",        "memfd",      "file-private",
					    "file-shared", "heap-large", "thread-stack",
					    "sysv",        "stack"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !run->failed; i++) {
		for (unsigned int k = 0; k < kit_nr_kinds; k++) {
			if (strcmp(kit_kinds[k].name, kinds[i]))
				continue;
			if (kit_region_open(&run->r, &kit_kinds[k]))
				return check_fail(run, "%s: %s", kinds[i], run->r.reason);
			case_both_ways(run, run->r.addr + 3, run->r.len - 7, kinds[i]);
			kit_kinds[k].unmake(&run->r);
		}
	}
	return run->failed ? -1 : 0;
}

/* The orders in which a program may let go. */
static const char *const orders[] = {"mirror, device, hmm", "device with its mirror, hmm",
				     "hmm, then device with its mirror"};

static int let_go(struct check_env *env, int order)
{
	int err;

	if (order == 0)
		return check_env_close(env);
	if (order == 1) {
		err = kit_device_close(&env->use);
		hmm_close(env->hmm);
		return err;
	}
	hmm_close(env->hmm);
	return kit_device_close(&env->use);
}

static int one_life(struct check_run *run, int order, uint8_t *kept)
{
	int err = check_env_open(run->env, run->env->dev, NULL, NULL);

	if (err)
		return check_fail(run, "open: %d, %s", err, hmm_error());
	/* Memory that is there before and after, and mirrored in between. */
	if (case_both_ways(run, kept, 16 * KIT_PAGE, "kept memory") || use_it(run))
		return -1;
	err = let_go(run->env, order);
	if (err)
		return check_fail(run, "%s: %d, %s", orders[order], err, hmm_error());
	return 0;
}

void case_teardown(struct check_run *run)
{
	uint8_t *kept = case_map(16 * KIT_PAGE);
	struct holdings first, last;

	/* What is made once and for all is made in the first lives. */
	if (one_life(run, 0, kept) || one_life(run, 1, kept))
		return;
	first = hold_now();
	for (int life = 0; life < 12 && !run->failed; life++) {
		struct holdings before = hold_now();

		if (!one_life(run, life % 3, kept))
			compare(run, &before, orders[life % 3]);
	}
	last = hold_now();
	if (!run->failed && last.size_kib > first.size_kib + 64 * 1024)
		check_fail(run, "12 lives took %ld KiB of address space",
			   last.size_kib - first.size_kib);
	munmap(kept, 16 * KIT_PAGE);
}

/* ---- with a translation that is still held
 * --------------------------------------------------- */

void case_held_teardown(struct check_run *run)
{
	struct hmm_attr attr = {.size = sizeof(attr), .wait_ms = 200};
	uint8_t *at = case_map(16 * KIT_PAGE);
	struct holdings before;
	struct hmm_translation t;
	struct check_env *env = run->env;
	int err;

	if (one_life(run, 0, at))
		return;
	before = hold_now();
	err = check_env_open(env, env->dev, &attr, NULL);
	if (!err)
		err = hmm_translate(env->mirror, at, KIT_PAGE, HMM_READ | HMM_WRITE, &t);
	if (err) {
		check_fail(run, "open: %d, %s", err, hmm_error());
		return;
	}
	err = hmm_mirror_destroy(env->mirror);
	if (err != -EBUSY)
		check_fail(run, "destroying a mirror with a translation held gave %d", err);
	if (!run->failed && hmm_translate(env->mirror, at, 1, HMM_READ, &t) >= 0)
		check_fail(run, "a mirror that is being destroyed takes translations");
	if (run->failed)
		return;
	hmm_translation_put(&t);
	err = hmm_mirror_destroy(env->mirror);
	if (err) {
		check_fail(run, "destroying the mirror after the put gave %d", err);
		return;
	}
	env->mirror = NULL;
	if (check_env_close(env))
		check_fail(run, "close: %s", hmm_error());
	else
		compare(run, &before, "with a translation held");
	munmap(at, 16 * KIT_PAGE);
}
