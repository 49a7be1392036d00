/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does the library rely on who opened it, and on main() being there?
 *
 * The opener may have scheduling of its own, and main() may end by pthread_exit() while
 * other threads go on: before the library is opened, and after.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "test_as.h"

#define HUGE_LEN (1ull << 44)

/* ---- our threads are ordinary ones ----------------------------------------------------
 */

static int of_library(const char *tid)
{
	char path[64], name[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", tid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (!fgets(name, sizeof(name), file))
		name[0] = 0;
	fclose(file);
	return strncmp(name, "hmm-", 4) == 0;
}

static void scheduling(void)
{
	const struct sched_param none = {0};
	cpu_set_t before, one, theirs;
	struct plain plain;
	struct dirent *entry;
	int seen = 0, cpu = 0;
	DIR *tasks;

	CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
	CHECK(sched_setscheduler(0, SCHED_BATCH, &none) == 0);
	plain_open(&plain, 0);
	CHECK(sched_setscheduler(0, SCHED_OTHER, &none) == 0);
	CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
	tasks = opendir("/proc/self/task");
	CHECK(tasks);
	while ((entry = readdir(tasks))) {
		pid_t tid = (pid_t)atoi(entry->d_name);

		if (!of_library(entry->d_name))
			continue;
		seen++;
		CHECK(sched_getscheduler(tid) == SCHED_OTHER);
		CHECK(sched_getaffinity(tid, sizeof(theirs), &theirs) == 0);
		CHECK(CPU_COUNT(&theirs) >= CPU_COUNT(&before));
	}
	closedir(tasks);
	CHECK(seen == 2);
	plain_close(&plain);
}

/* ---- main() has gone
 * ----------------------------------------------------------------------- */

static bool opened_before;
static struct plain late;
static pthread_t leader;

static void use(struct plain *plain, enum hmm_mode mode)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	struct hmm_driver staging = plain_driver;
	struct hmm_device *device;
	struct hmm_mirror *mirror;
	struct hmm_translation t;

	CHECK(p != MAP_FAILED);
	strcpy(p, "before");
	staging.modes[0] = mode;
	staging.nr_modes = 1;
	CHECK(hmm_device_register(plain->hmm, &staging, NULL, &device) == 0);
	CHECK(hmm_mirror_create(device, NULL, &mirror) == 0);
	CHECK(hmm_translate(mirror, p, 8, HMM_READ | HMM_WRITE, &t) == 0);
	CHECK(t.mode == mode);
	strcpy((char *)(uintptr_t)t.addr, "after");
	CHECK(hmm_translation_put(&t) == 0);
	CHECK(strcmp(p, "after") == 0);
	CHECK(munmap(p, PAGE) == 0);
	CHECK(hmm_device_unregister(device) == 0);
}

static void snapshot(struct plain *plain)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	uint64_t pfns[1];
	struct hmm_range range = {.size = sizeof(struct hmm_range),
				  .mirror = plain->mirror,
				  .start = (uintptr_t)p,
				  .end = (uintptr_t)p + PAGE,
				  .pfns = pfns};

	CHECK(p != MAP_FAILED);
	p[0] = 1;
	CHECK(hmm_range_begin(&range) == 0);
	CHECK(hmm_range_snapshot(&range) == 0 && pfns[0] & HMM_PFN_VALID);
	munmap(p, PAGE);
}

static void *go_on(void *unused)
{
	pthread_join(leader, NULL);
	usleep(20000);
	if (!opened_before)
		plain_open(&late, 0);
	use(&late, HMM_MODE_PIN);
	use(&late, HMM_MODE_STAGE);
	snapshot(&late);
	plain_close(&late);
	exit(0);
}

static void leader_goes(bool before)
{
	pid_t child = fork();
	pthread_t thread;
	int status;

	CHECK(child >= 0);
	if (child) {
		CHECK(waitpid(child, &status, 0) == child && status == 0);
		return;
	}
	alarm(60);
	opened_before = before;
	if (before)
		plain_open(&late, 0);
	leader = pthread_self();
	CHECK(pthread_create(&thread, NULL, go_on, NULL) == 0);
	pthread_exit(NULL);
}

/* ---- sums that are longer than a word of the library's
 * ------------------------------------ */

static void giant_granule(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .granule = 1ull << 63};
	struct hmm_driver direct = plain_driver;
	struct hmm_translation t;
	struct hmm_mirror *mirror;
	struct hmm_device *device;
	struct hmm *hmm;
	char *p = mmap(NULL, HUGE_LEN, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		printf("no mapping of 2^44 bytes is to be had: not tried\n");
		return;
	}
	direct.modes[0] = HMM_MODE_DIRECT;
	direct.nr_modes = 1;
	CHECK(hmm_open(NULL, &hmm) == 0);
	for (; attr.granule >= 1ull << 40; attr.granule >>= 1) {
		CHECK(hmm_device_register(hmm, &direct, NULL, &device) == 0);
		CHECK(hmm_mirror_create(device, &attr, &mirror) == 0);
		CHECK(hmm_translate(mirror, p + 5 * PAGE, 8, HMM_READ, &t) == 0);
		CHECK(hmm_translation_valid(&t));
		CHECK(mprotect(p + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
		CHECK(!hmm_translation_valid(&t));
		CHECK(hmm_translation_put(&t) == 0);
		CHECK(hmm_device_unregister(device) == 0);
	}
	hmm_close(hmm);
	CHECK(munmap(p, HUGE_LEN) == 0);
}

int main(void)
{
	alarm(240);
	scheduling();
	if (!is_on("userfaultfd") || !is_on("interposition"))
		return 77;
	giant_granule();
	if (SANITIZED)
		return 0;
	leader_goes(true);
	leader_goes(false);
	return 0;
}
