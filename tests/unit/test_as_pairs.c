/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does a thread that gets memory from libc ever find there what a device knew of the memory
 * that another thread had at that place?
 *
 * The other thread unmaps by a call that nobody can wrap, and waits until its event is
 * read. In the meantime the place is free, and is given to this thread. The thread that
 * reads the events is made slow (the lowest priority, on one processor with a busy thread),
 * so that the window stays open for long.
 */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <time.h>

#include "sys/raw.h"
#include "test_as.h"

#define SIZE   (1024 * 1024ul)
#define ROUNDS 12
#define STAMP  (1ull << 40)

static struct hmm *hmm;
static struct hmm_mirror *mirror;
static _Atomic uint64_t maps = 1;

/* A translation says when it was made. */
static int stamp_map(struct hmm_device *device, struct hmm_mapping *mapping)
{
	mapping->addr = atomic_fetch_add(&maps, 1) * STAMP;
	return 0;
}

static const struct hmm_driver_ops ops = {
	.size = sizeof(ops), .map = stamp_map, .revoke = plain_revoke};
static const struct hmm_driver driver = {
	.size = sizeof(driver),
	.abi = HMM_DRIVER_ABI,
	.name = "stamp",
	.license = "LGPL-2.1-or-later",
	.ops = &ops,
	.modes = {HMM_MODE_PIN, HMM_MODE_DIRECT},
	.nr_modes = 2,
};

static uint64_t stamp_of(const char *p)
{
	struct hmm_translation t;
	uint64_t stamp;

	CHECK(hmm_translate(mirror, p, 8, HMM_READ, &t) == 0);
	stamp = t.addr / STAMP;
	CHECK(hmm_translation_put(&t) == 0);
	return stamp;
}

/* ---- who occupies ----------------------------------------------------------------------
 */

static char *by_mmap(void)
{
	return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Its old place is too small: made beforehand, since it must not take the free place. */
static char *small, *small_block;

static char *by_mremap(void)
{
	return mremap(small, PAGE, SIZE, MREMAP_MAYMOVE);
}

static char *by_malloc(void)
{
	return malloc(SIZE - 2 * PAGE);
}

static char *by_calloc(void)
{
	return calloc(1, SIZE - 2 * PAGE);
}

static char *by_realloc(void)
{
	return realloc(small_block, SIZE - 2 * PAGE);
}

static char *by_reallocarray(void)
{
	return reallocarray(small_block, SIZE / PAGE - 2, PAGE);
}

static char *by_posix_memalign(void)
{
	void *p = NULL;

	return posix_memalign(&p, 64, SIZE - 2 * PAGE) ? NULL : p;
}

static char *by_aligned_alloc(void)
{
	return aligned_alloc(64, SIZE - 2 * PAGE);
}

static char *by_shmat(void)
{
	int id = shmget(IPC_PRIVATE, SIZE, 0600);
	char *p = shmat(id, NULL, 0);

	shmctl(id, IPC_RMID, NULL);
	return p;
}

static const struct {
	const char *name;
	char *(*occupy)(void);
	bool block; /* of the allocator's */
} ways[] = {
	{"mmap", by_mmap, false},
	{"mremap", by_mremap, false},
	{"malloc", by_malloc, true},
	{"calloc", by_calloc, true},
	{"realloc", by_realloc, true},
	{"reallocarray", by_reallocarray, true},
	{"posix_memalign", by_posix_memalign, true},
	{"aligned_alloc", by_aligned_alloc, true},
	{"shmat", by_shmat, false},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* ---- who vacates ------------------------------------------------------------------------
 */

static char *place;
static _Atomic int go; /* 0: wait, 1: vacate, -1: end */

static void *vacate(void *arg)
{
	for (;;) {
		int order;

		while (!(order = go))
			sched_yield();
		if (order < 0)
			return NULL;
		raw2(SYS_munmap, (long)place, SIZE);
		go = 0;
	}
}

static bool is_mapped(const char *p)
{
	unsigned char there;

	return raw3(SYS_mincore, (long)p, PAGE, (long)&there) != -ENOMEM;
}

/* ---- a slow reader of events ------------------------------------------------------------
 */

static _Atomic bool busy = true;

static void *be_busy(void *arg)
{
	while (busy)
		;
	return NULL;
}

static pid_t events_thread(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	pid_t found = 0;

	CHECK(tasks);
	while ((task = readdir(tasks))) {
		char path[320], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		file = fopen(path, "r");
		if (file && fgets(name, sizeof(name), file) &&
		    strncmp(name, "hmm-events", 10) == 0)
			found = atoi(task->d_name);
		if (file)
			fclose(file);
	}
	closedir(tasks);
	return found;
}

static void slow_down(pthread_t *thread)
{
	struct sched_param param = {0};
	cpu_set_t all, one;
	pid_t tid = events_thread();

	CHECK(tid);
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	CHECK(sched_setaffinity(tid, sizeof(one), &one) == 0);
	CHECK(sched_setscheduler(tid, SCHED_IDLE, &param) == 0);
	CHECK(pthread_create(thread, NULL, be_busy, NULL) == 0);
	CHECK(pthread_setaffinity_np(*thread, sizeof(one), &one) == 0);
}

/* ---- the test
 * ----------------------------------------------------------------------------
 */

static void prepare(void)
{
	small = by_mmap();
	CHECK(small != MAP_FAILED);
	munmap(small + PAGE, SIZE - PAGE);
	/* No mapping may grow where it is. */
	CHECK(mmap(small + PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0) != MAP_FAILED);
	small_block = malloc(SIZE / 4);
	CHECK(small_block);
	/* Its last page goes, and comes back as somebody else's. */
	place = by_mmap();
	CHECK(place != MAP_FAILED);
	memset(place, 1, SIZE);
}

static void clean_up(unsigned int way, char *got)
{
	if (ways[way].block)
		free(got);
	else if (ways[way].occupy == by_shmat)
		shmdt(got);
	else
		munmap(got, SIZE);
	if (ways[way].occupy != by_realloc && ways[way].occupy != by_reallocarray)
		free(small_block);
	munmap(small, ways[way].occupy == by_mremap ? 0 : PAGE);
	munmap(small + PAGE, PAGE);
}

/* 1: the place was given away while the event was unread; *stale when it was stale, too. */
static int try_once(unsigned int way, int *stale)
{
	uint64_t before;
	bool unread;
	char *got;

	prepare();
	for (unsigned long at = 0; at < SIZE; at += PAGE)
		stamp_of(place + at);
	before = maps;
	go = 1;
	while (is_mapped(place))
		;
	unread = go == 1;
	got = ways[way].occupy();
	CHECK(got && got != MAP_FAILED);
	memset(got, 2, SIZE / 2);
	if (got >= place && got < place + SIZE)
		*stale += stamp_of(got) < before;
	else
		unread = false;
	while (go)
		sched_yield();
	clean_up(way, got);
	return unread;
}

int main(void)
{
	struct hmm_attr attr = {.size = sizeof(attr), .flags = HMM_NO_PERF};
	struct hmm_mirror_attr wanted = {.size = sizeof(wanted)};
	struct hmm_device *device;
	pthread_t thread, slow;
	int all = 0, bad = 0;

	if (SANITIZED || RAW_IS_SYSCALL) {
		printf("skipped: another allocator, or no system call without libc\n");
		return 77;
	}
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	mallopt(M_MMAP_MAX, 1 << 20);
	CHECK(hmm_open(&attr, &hmm) == 0);
	CHECK(hmm_device_register(hmm, &driver, NULL, &device) == 0);
	CHECK(hmm_mirror_create(device, &wanted, &mirror) == 0);
	CHECK(pthread_create(&thread, NULL, vacate, NULL) == 0);
	slow_down(&slow);
	for (unsigned int way = 0; way < WAYS; way++) {
		int taken = 0, stale = 0;

		for (int i = 0; i < ROUNDS; i++)
			taken += try_once(way, &stale);
		printf("%s: %d of %d times the place was taken early, %d stale\n",
		       ways[way].name, taken, ROUNDS, stale);
		all += taken;
		bad += stale;
	}
	go = -1;
	busy = false;
	pthread_join(thread, NULL);
	pthread_join(slow, NULL);
	CHECK(hmm_mirror_destroy(mirror) == 0);
	CHECK(hmm_device_unregister(device) == 0);
	hmm_close(hmm);
	if (!all && !bad) {
		printf("skipped: no place was given away before its event was read\n");
		return 77;
	}
	return bad != 0;
}
