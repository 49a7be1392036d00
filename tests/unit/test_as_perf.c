/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is an mprotect by a raw system call seen: in the opening thread, in one that ran before,
 * in one that was started later; also when more records come than a ring holds?
 *
 * With WOKEN: as on a machine with more processors than a translation looks at. Then it is
 * seen when the thread that reads events has run.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_as.h"

#ifdef WOKEN
#include "linux/address_space.h"
#define AT_ONCE false
#else
#define AT_ONCE true
#endif

static char *_Atomic work; /* what the worker is to protect; it clears it */
static _Atomic bool stop;

/* The longest that it took to be seen, in microseconds. */
static unsigned int longest;

static bool becomes_invalid(const struct hmm_translation *t)
{
	for (unsigned int us = 0; us < 10000000; us += 50) {
		if (us > longest)
			longest = us;
		if (!hmm_translation_valid(t))
			return true;
		if (AT_ONCE)
			return false;
		usleep(50);
	}
	return false;
}

static void protect(char *p)
{
	CHECK(raw_call(SYS_mprotect, p, PAGE, PROT_READ) == 0);
}

static void *worker(void *unused)
{
	while (!stop) {
		char *p = work;

		if (!p) {
			usleep(100);
			continue;
		}
		protect(p);
		work = NULL;
	}
	return NULL;
}

static void seen(struct plain *plain, const char *who, bool here)
{
	for (int i = 0; i < 200; i++) {
		struct hmm_translation t;
		char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(p != MAP_FAILED);
		p[0] = 1;
		CHECK(hmm_translate(plain->mirror, p, 1, HMM_WRITE, &t) == 0);
		CHECK(hmm_translation_valid(&t));
		if (here)
			protect(p);
		else
			for (work = p; work;)
				usleep(10);
		if (!becomes_invalid(&t)) {
			fprintf(stderr, "%s: not seen\n", who);
			exit(1);
		}
		hmm_translation_put(&t);
		CHECK(hmm_translate(plain->mirror, p, 1, HMM_WRITE, &t) < 0);
		munmap(p, PAGE);
	}
	printf("%s: seen\n", who);
}

/* Each toggling is a record: many times what a ring holds. They touch nothing else. */
static void flood(struct plain *plain)
{
	char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	char *other = p + 2 * PAGE;
	struct hmm_translation t;

	CHECK(p != MAP_FAILED);
	munmap(p + PAGE, PAGE);
	other[0] = 1;
	CHECK(hmm_translate(plain->mirror, other, 1, HMM_WRITE, &t) == 0);
	protect(other);
	for (int i = 0; i < 20000; i++)
		raw_call(SYS_mprotect, p, PAGE, i & 1 ? PROT_READ : PROT_NONE);
	CHECK(becomes_invalid(&t));
	hmm_translation_put(&t);
	munmap(p, 3 * PAGE);
	printf("after a flood: seen\n");
}

/* A handler that forks comes back in the child to a thread that looks at the heads. */
static void child_has_heads(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int nr = 0;
	char line[512];
	unsigned long at;

	while (maps && fgets(line, sizeof(line), maps)) {
		pid_t child;
		int status;

		if (!strstr(line, "[perf_event]") || sscanf(line, "%lx-", &at) != 1)
			continue;
		child = fork();
		if (!child)
			_exit(*(volatile char *)at & 0);
		CHECK(waitpid(child, &status, 0) == child && !status);
		nr++;
	}
	fclose(maps);
	CHECK(nr);
	printf("%u heads are there in a child\n", nr);
}

int main(void)
{
	struct plain plain;
	pthread_t before, after;

	alarm(60);
	pthread_create(&before, NULL, worker, NULL);
#ifdef WOKEN
	perf_polled_most = 0;
#endif
	plain_open(&plain, 0);
	if (!is_on(AT_ONCE ? "perf-at-once" : "perf"))
		return 77;
	CHECK(is_on("perf-at-once") == AT_ONCE);
	seen(&plain, "the opening thread", true);
	seen(&plain, "a thread from before", false);
	stop = true;
	pthread_join(before, NULL);
	stop = false;
	pthread_create(&after, NULL, worker, NULL);
	seen(&plain, "a thread started later", false);
	stop = true;
	pthread_join(after, NULL);
	flood(&plain);
	child_has_heads();
	printf("it took %u us at most, not counting the look\n", longest);
	plain_close(&plain);
	return 0;
}
