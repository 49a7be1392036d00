// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: do pinned memory, translations and the library's own memory stay under the
 * limits that the user sets (Y8)?
 */
#include "cases.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_PINNED       ((uint64_t)256 << 10)
#define MAX_TRANSLATIONS 32u
#define PIECES           256u
#define PIECE            (4 * KIT_PAGE)

static int within(struct check_run *run)
{
	struct hmm_stats stats;
	int err = hmm_stats_read(run->env->hmm, run->env->mirror, &stats, sizeof(stats));

	if (err)
		return check_fail(run, "stats: %d", err);
	if (stats.pinned > MAX_PINNED)
		return check_fail(run, "%llu bytes are pinned, the limit is %llu",
				  (unsigned long long)stats.pinned,
				  (unsigned long long)MAX_PINNED);
	if (stats.translations > MAX_TRANSLATIONS)
		return check_fail(run, "%llu translations, the limit is %u",
				  (unsigned long long)stats.translations, MAX_TRANSLATIONS);
	return 0;
}

static uint64_t misses(struct check_run *run)
{
	struct hmm_stats stats = {0};

	hmm_stats_read(run->env->hmm, run->env->mirror, &stats, sizeof(stats));
	return stats.misses;
}

/* The one that was used last stays; the one that was used first is not the process. */
static int recent_stays(struct check_run *run, uint8_t *at)
{
	uint64_t before = misses(run);
	uint8_t byte;

	/* What is staged is copied anew at every use: there is nothing to stay. */
	for (int twice = 0; twice < 2; twice++) {
		if (case_read(run, at, &byte, 1))
			return check_fail(run, "device read: %s", hmm_error());
	}
	if (misses(run) > before + 1)
		return 0;
	for (unsigned int i = 0; i < PIECES; i++) {
		if (case_read(run, at, &byte, 1) ||
		    case_read(run, at + i * PIECE + 1, &byte, 1))
			return check_fail(run, "device read: %s", hmm_error());
	}
	before = misses(run);
	if (case_read(run, at, &byte, 1))
		return check_fail(run, "device read: %s", hmm_error());
	if (misses(run) != before)
		return check_fail(run, "what was used all the time was evicted");
	return 0;
}

void case_limits(struct check_run *run)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr),
				       .max_pinned = MAX_PINNED,
				       .max_translations = MAX_TRANSLATIONS};
	int err = check_env_open(run->env, run->env->dev, NULL, &attr);
	uint8_t *at = case_map(PIECES * PIECE);

	if (err || !at) {
		check_fail(run, "open: %d", err);
		return;
	}
	for (unsigned int round = 0; round < 3 && !run->failed; round++) {
		for (unsigned int i = 0; i < PIECES && !run->failed; i++) {
			case_both_ways(run, at + i * PIECE + round, 100, "under limits");
			within(run);
		}
	}
	/* More than may be pinned at a time, in one piece. */
	if (!run->failed)
		case_both_ways(run, at, PIECES * PIECE, "one access over the limit");
	if (!run->failed && !within(run))
		recent_stays(run, at);
	munmap(at, PIECES * PIECE);
	if (check_env_close(run->env))
		check_fail(run, "close: %s", hmm_error());
}

/* ---- the kernel's limit
 * ---------------------------------------------------------------------- */

static int drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	data[0].permitted &= ~(1u << CAP_IPC_LOCK);
	data[0].inheritable &= ~(1u << CAP_IPC_LOCK);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

void case_memlock(struct check_run *run)
{
	struct rlimit limit = {1 << 20, 1 << 20};
	uint8_t *at = case_map(PIECES * PIECE);
	int err;

	if (drop_ipc_lock() || setrlimit(RLIMIT_MEMLOCK, &limit)) {
		check_skip(run, "RLIMIT_MEMLOCK cannot be lowered: %s", strerror(errno));
		return;
	}
	err = check_env_open(run->env, run->env->dev, NULL, NULL);
	if (err) {
		check_fail(run, "open under a small RLIMIT_MEMLOCK: %d, %s", err,
			   hmm_error());
		return;
	}
	for (unsigned int round = 0; round < 3 && !run->failed; round++) {
		for (unsigned int i = 0; i < PIECES && !run->failed; i++)
			case_both_ways(run, at + i * PIECE, PIECE, "under RLIMIT_MEMLOCK");
	}
	if (!run->failed)
		case_both_ways(run, at, PIECES * PIECE, "one access over RLIMIT_MEMLOCK");
	munmap(at, PIECES * PIECE);
	if (check_env_close(run->env))
		check_fail(run, "close: %s", hmm_error());
}

/* ---- the library's own memory
 * ------------------------------------------------------------------- */

static uint64_t arena(struct check_run *run)
{
	struct hmm_stats stats = {0};

	hmm_stats_read(run->env->hmm, NULL, &stats, sizeof(stats));
	return stats.arena;
}

static long resident_kib(void)
{
	char line[128];
	FILE *status = fopen("/proc/self/status", "re");
	long kib = 0;

	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "VmRSS: %ld", &kib);
	if (status)
		fclose(status);
	return kib;
}

/* A long life of fills and changes takes no more than its beginning. */
void case_memory_bounded(struct check_run *run)
{
	uint8_t *at = case_map(64 * KIT_PAGE), byte;
	uint64_t early = 0, late;
	long early_kib = 0, late_kib;

	for (unsigned int i = 0; i < 20000 && !run->failed; i++) {
		uint8_t *page = at + (i % 64) * KIT_PAGE;

		*page = (uint8_t)i;
		if (case_read(run, page, &byte, 1) || byte != (uint8_t)i)
			check_stale(run, "device read %02x, the CPU has %02x", byte,
				    (uint8_t)i);
		if (i & 1)
			madvise(page, KIT_PAGE, MADV_DONTNEED);
		else
			kit_calls(WAY_RAW, 0)->madvise(page, KIT_PAGE, MADV_DONTNEED);
		/* What is queued for release is no leak, however slow the machine. */
		if (!(i % 500))
			hmm_quiesce(run->env->hmm, 5000);
		if (i == 4000) {
			early = arena(run);
			early_kib = resident_kib();
		}
	}
	hmm_quiesce(run->env->hmm, 5000);
	late = arena(run);
	late_kib = resident_kib();
	/* Eight bytes for each of the fills: a queue may have been longer, a leak is more.
	 */
	if (!run->failed && late > early + (128 << 10))
		check_fail(run, "the library's memory grew from %llu to %llu bytes",
			   (unsigned long long)early, (unsigned long long)late);
	if (!run->failed && late_kib > early_kib + 1024)
		check_fail(run, "the process grew from %ld to %ld KiB", early_kib,
			   late_kib);
	munmap(at, 64 * KIT_PAGE);
}
