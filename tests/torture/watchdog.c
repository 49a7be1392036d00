// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: is something stuck, and where?
 *
 * Everything here must work while another thread is stuck with malloc's or the library's
 * lock in its hands: no allocation, no stdio, no call that is interposed.
 */
#include "account.h"

#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WATCH_MAX 64

static const struct watched *watched;
static unsigned int nr_watched;
static _Atomic bool stop;
static pthread_t thread;

static void put(const char *text)
{
	if (write(2, text, strlen(text)) < 0)
		_exit(1);
}

static void put_file(const char *task, const char *name)
{
	char path[128], text[1024];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 2);
	close(fd);
	if (len <= 0)
		return;
	if (text[len - 1] != '\n')
		text[len++] = '\n';
	text[len] = 0;
	put("    ");
	put(text);
}

/* Each thread prints where it is, in turn. */
static _Atomic unsigned int answered;

static void print_stack(int sig)
{
	void *at[32];

	backtrace_symbols_fd(at, backtrace(at, 32), 2);
	answered++;
}

static void ask(const char *task)
{
	unsigned int before = answered;

	syscall(SYS_tgkill, getpid(), atoi(task), SIGUSR2);
	for (unsigned int i = 0; i < 20 && answered == before; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* Not readdir: it allocates. */
static void put_tasks(void)
{
	char buf[8192] __attribute__((aligned(8)));
	int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long len;

	while ((len = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < len;) {
			unsigned short size;
			const char *name = buf + at + 19;

			memcpy(&size, buf + at + 16, 2);
			at += size;
			if (name[0] == '.')
				continue;
			put("  thread ");
			put(name);
			put("\n");
			put_file(name, "comm");
			put_file(name, "wchan");
			put_file(name, "syscall");
			if (atoi(name) != (int)syscall(SYS_gettid))
				ask(name);
		}
	}
	close(fd);
}

static void stuck(unsigned int which)
{
	char line[256];

	snprintf(line, sizeof(line), "HANG: %s has not moved for %d seconds\n",
		 watched[which].name, WATCH_SECONDS);
	put(line);
	for (unsigned int i = 0; i < nr_watched; i++) {
		const char *doing = watched[i].doing ? *watched[i].doing : NULL;

		snprintf(line, sizeof(line), "  %s: progress %llu, %s\n", watched[i].name,
			 (unsigned long long)*watched[i].progress, doing ? doing : "?");
		put(line);
	}
	put_tasks();
	_exit(1);
}

static void *watch(void *unused)
{
	unsigned int idle[WATCH_MAX] = {0};
	uint64_t last[WATCH_MAX] = {0};

	for (unsigned int tick = 0; !stop; tick++) {
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
		for (unsigned int i = 0; i < nr_watched && tick % 10 == 0; i++) {
			uint64_t now = *watched[i].progress;

			idle[i] = now == last[i] ? idle[i] + 1 : 0;
			last[i] = now;
			if (idle[i] >= WATCH_SECONDS)
				stuck(i);
		}
	}
	return NULL;
}

int watchdog_start(const struct watched *what, unsigned int nr)
{
	void *at[4];

	/* now, not when it is needed: the first call loads a library */
	backtrace(at, 4);
	signal(SIGUSR2, print_stack);
	watched = what;
	nr_watched = nr < WATCH_MAX ? nr : WATCH_MAX;
	stop = false;
	return -pthread_create(&thread, NULL, watch, NULL);
}

void watchdog_stop(void)
{
	stop = true;
	pthread_join(thread, NULL);
}
