// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what does the library add to a program that churns (Y8)?
 *
 * 200 threads allocate, grow, give up, map and unmap, and a device works on all of it. A
 * child that was forked before the library was opened does the same without it. Mappings,
 * descriptors, threads, locked and resident memory of the two are compared when all threads
 * are still there, and the most mappings that there were.
 */
#include "cases.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 200u
#define ROUNDS  6u
#define PAGES   64u

enum { MAPPINGS, MOST, DESCRIPTORS, TASKS, LOCKED, RESIDENT, FIGURES };

static const struct {
	const char *name;
	long most; /* that the library may add; KiB of memory */
} figures[FIGURES] = {{"mappings", 2000}, {"at most", 2000},     {"descriptors", 64},
		      {"threads", 4},     {"KiB locked", 16384}, {"KiB resident", 65536}};

struct usage {
	long of[FIGURES];
};

struct churn {
	struct check_run *run; /* NULL: without the library */
	pthread_barrier_t done, over;
	_Atomic unsigned int errors, at_work;
};

/* ---- what there is ---------------------------------------------------------------------
 */

static long count_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	long nr = 0;
	int c;

	while (file && (c = getc(file)) != EOF)
		nr += c == '\n';
	if (file)
		fclose(file);
	return nr;
}

static long count_entries(const char *path)
{
	DIR *dir = opendir(path);
	long nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

/* Without the workers that the kernel makes for io_uring's own sake. */
static long count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	long nr = 0;

	while (dir && (entry = readdir(dir))) {
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		nr += file && fgets(name, sizeof(name), file) && strncmp(name, "iou-", 4);
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
	return nr;
}

static long status_of(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t len = strlen(name);
	char line[128];
	long value = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, name, len))
			value = strtol(line + len, NULL, 10);
	}
	if (file)
		fclose(file);
	return value;
}

static void take_usage(struct usage *usage)
{
	usage->of[MAPPINGS] = count_lines("/proc/self/maps");
	usage->of[DESCRIPTORS] = count_entries("/proc/self/fd");
	usage->of[TASKS] = count_threads();
	usage->of[LOCKED] = status_of("VmLck:") + status_of("VmPin:");
	usage->of[RESIDENT] = status_of("VmRSS:");
}

/* ---- the program -----------------------------------------------------------------------
 */

static void use(struct churn *churn, uint8_t *at)
{
	uint64_t word = (uintptr_t)at, seen = ~word;

	memcpy(at, &word, sizeof(word));
	if (!churn->run)
		return;
	if (case_read(churn->run, at, &seen, sizeof(seen)) || seen != word)
		atomic_fetch_add(&churn->errors, 1);
}

/* Every other page is given up: the mapping must not fall into pieces for good. */
static void give_up_pages(struct churn *churn, uint8_t *at)
{
	for (unsigned int i = 0; i < PAGES; i += 8)
		use(churn, at + i * KIT_PAGE);
	for (unsigned int i = 0; i < PAGES; i += 2)
		madvise(at + i * KIT_PAGE, KIT_PAGE, MADV_DONTNEED);
}

static void allocate(struct churn *churn, unsigned int round)
{
	size_t len = (size_t)(round % 3 + 1) * 100000;
	uint8_t *small = malloc(len / 50), *large = malloc(len), *grown;

	if (small)
		use(churn, small);
	if (large)
		use(churn, large + len / 2);
	grown = large ? realloc(large, 4 * len) : NULL;
	if (grown)
		use(churn, grown + 3 * len);
	free(grown ? grown : large);
	free(small);
}

static void *churn_one(void *arg)
{
	struct churn *churn = arg;
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uint8_t *kept = mmap(NULL, PAGES * KIT_PAGE, prot, flags, -1, 0), *p;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		allocate(churn, round);
		if (kept != MAP_FAILED)
			give_up_pages(churn, kept);
		p = mmap(NULL, 4 * KIT_PAGE, prot, flags, -1, 0);
		if (p != MAP_FAILED) {
			use(churn, p);
			munmap(p, 4 * KIT_PAGE);
		}
	}
	atomic_fetch_sub(&churn->at_work, 1);
	pthread_barrier_wait(&churn->done);
	pthread_barrier_wait(&churn->over);
	if (kept != MAP_FAILED)
		munmap(kept, PAGES * KIT_PAGE);
	return NULL;
}

static int churn_all(struct churn *churn, struct usage *usage)
{
	static pthread_t threads[THREADS];
	long now;

	churn->at_work = THREADS;
	pthread_barrier_init(&churn->done, NULL, THREADS + 1);
	pthread_barrier_init(&churn->over, NULL, THREADS + 1);
	for (unsigned int i = 0; i < THREADS; i++) {
		/* Without all of them nobody comes over the barriers. */
		if (pthread_create(&threads[i], NULL, churn_one, churn))
			_exit(4);
	}
	while (atomic_load(&churn->at_work)) {
		now = count_lines("/proc/self/maps");
		if (now > usage->of[MOST])
			usage->of[MOST] = now;
		++*check_beat;
		usleep(1000);
	}
	pthread_barrier_wait(&churn->done);
	take_usage(usage);
	pthread_barrier_wait(&churn->over);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static int without_library(struct usage *usage)
{
	struct churn churn = {NULL};
	int pipes[2], status = 1;
	pid_t child;
	bool told;

	if (pipe(pipes))
		return -errno;
	child = fork();
	if (!child) {
		churn_all(&churn, usage);
		_exit(write(pipes[1], usage, sizeof(*usage)) != sizeof(*usage));
	}
	close(pipes[1]);
	told = child > 0 && read(pipes[0], usage, sizeof(*usage)) == sizeof(*usage);
	close(pipes[0]);
	if (child > 0)
		waitpid(child, &status, 0);
	return told && !status ? 0 : -EIO;
}

static void give_verdict(struct check_run *run, const struct usage *without,
			 const struct usage *with)
{
	char *out = run->result->detail;
	size_t size = sizeof(run->result->detail);
	int len = snprintf(out, size, "%u threads, added:", THREADS);

	for (int i = 0; i < FIGURES; i++)
		len += snprintf(out + len, size - (size_t)len, " %s %+ld to %ld%s",
				figures[i].name, with->of[i] - without->of[i],
				without->of[i], i + 1 < FIGURES ? "," : "");
	for (int i = 0; i < FIGURES; i++) {
		long added = with->of[i] - without->of[i];

		if (added > figures[i].most) {
			check_fail(run,
				   "%s: %ld beyond the same without the library, %ld at "
				   "most",
				   figures[i].name, added, figures[i].most);
			return;
		}
	}
}

void case_churn(struct check_run *run)
{
	struct usage without = {{0}}, with = {{0}};
	struct churn churn = {run};
	int err = without_library(&without);

	if (err) {
		check_skip(run, "200 threads cannot be had here");
		return;
	}
	err = check_env_open(run->env, run->env->dev, NULL, NULL);
	if (err) {
		check_fail(run, "open: %d, %s", err, hmm_error());
		return;
	}
	churn_all(&churn, &with);
	/* Not interposed, the allocator's mremap is one that nobody sees: limit L4. */
	if (churn.errors && !kit_interposed()) {
		check_limit(run, 4);
		snprintf(run->result->detail, sizeof(run->result->detail),
			 "%u device reads were refused or wrong", churn.errors);
	} else if (churn.errors) {
		check_stale(run, "%u device reads were refused or wrong", churn.errors);
	} else {
		give_verdict(run, &without, &with);
	}
	if (check_env_close(run->env) && !run->failed)
		check_fail(run, "close: %s", hmm_error());
}
