/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does the struct hmm of a process come and go without a trace: opened and closed, shared,
 * in children of fork and of a bare clone, under signals, with calls under way?
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "test_as.h"

#define LEN (64 * PAGE)

static char *make(void)
{
	char *p =
		mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return memset(p, 1, LEN);
}

static struct hmm_translation translate(struct plain *plain, const void *p)
{
	struct hmm_translation t;

	CHECK(hmm_translate(plain->mirror, p, PAGE, HMM_READ, &t) == 0);
	return t;
}

static unsigned int entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int nr = 0;

	CHECK(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* A hang is a failure with a name. */
static const char *doing;

static void too_long(int signal)
{
	dprintf(2, "hangs: %s\n", doing);
	_exit(1);
}

static void begin(const char *what)
{
	doing = what;
	printf("%s\n", what);
	fflush(stdout);
	alarm(240); /* an emulated machine may be slow */
}

/* ---- open and close ---------------------------------------------------------------------
 */

static void leaves_nothing(void)
{
	unsigned int fds, tasks;
	struct plain plain;
	char *p = make();

	plain_open(&plain, 0);
	plain_close(&plain);
	fds = entries("/proc/self/fd");
	tasks = entries("/proc/self/task");
	for (int i = 0; i < 50; i++) {
		struct hmm_translation t;

		plain_open(&plain, 0);
		t = translate(&plain, p);
		hmm_translation_put(&t);
		plain_close(&plain);
	}
	CHECK(entries("/proc/self/fd") == fds);
	CHECK(entries("/proc/self/task") == tasks);
	/* Nobody reads events any more. */
	CHECK(raw_call(SYS_munmap, p, LEN) == 0);
}

static void is_one(void)
{
	struct hmm_attr attr = {.size = sizeof(attr), .wait_ms = 1234};
	struct hmm *a, *b;

	CHECK(hmm_open(NULL, &a) == 0);
	CHECK(hmm_open(NULL, &b) == 0 && a == b);
	CHECK(hmm_open(&attr, &b) == -EBUSY);
	CHECK(hmm_get(a) == a);
	hmm_close(a);
	hmm_close(a);
	hmm_close(a);
	CHECK(hmm_open(&attr, &b) == 0);
	hmm_close(b);
	attr.flags = 1u << 31;
	CHECK(hmm_open(&attr, &b) == -EINVAL);
	attr = (struct hmm_attr){.size = 3};
	CHECK(hmm_open(&attr, &b) == -EINVAL);
}

/* ---- children
 * ----------------------------------------------------------------------------- */

static void wait_for(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void child_of_fork(struct plain *parent, char *p)
{
	struct hmm_translation t;
	struct hmm_stats stats;
	struct plain own;

	CHECK(hmm_translate(parent->mirror, p, PAGE, HMM_READ, &t) == -ECHILD);
	CHECK(hmm_invalidate(parent->hmm, p, PAGE) == -ECHILD);
	CHECK(hmm_stats_read(parent->hmm, NULL, &stats, sizeof(stats)) == -ECHILD);
	hmm_close(parent->hmm);
	CHECK(mprotect(p, PAGE, PROT_READ) == 0 && munmap(p, PAGE) == 0);
	p += PAGE;
	plain_open(&own, 0);
	t = translate(&own, p);
	CHECK(raw_call(SYS_munmap, p, PAGE) == 0);
	CHECK(!hmm_translation_valid(&t));
	hmm_translation_put(&t);
	p += PAGE;
	t = translate(&own, p);
	CHECK(munmap(p, PAGE) == 0);
	CHECK(!hmm_translation_valid(&t));
	hmm_translation_put(&t);
	plain_close(&own);
	_exit(0);
}

static void forks(void)
{
	struct hmm_translation t;
	struct plain plain;
	char *p = make();
	pid_t child;

	plain_open(&plain, 0);
	t = translate(&plain, p);
	/* A thread that begins holds a lock of the sanitizer's, which the child would
	 * inherit. */
	if (SANITIZED)
		sleep(1);
	child = fork();
	if (!child) {
		alarm(20);
		child_of_fork(&plain, p);
	}
	wait_for(child);
	CHECK(hmm_translation_valid(&t));
	CHECK(raw_call(SYS_munmap, p, LEN) == 0);
	CHECK(!hmm_translation_valid(&t));
	hmm_translation_put(&t);
	plain_close(&plain);
}

/* A clone that runs no handlers keeps our descriptors open: nobody may wait for it. */
static void bare_clone(void)
{
	struct hmm_translation t;
	struct plain plain;
	char *p = make();
	pid_t child;

	plain_open(&plain, 0);
	t = translate(&plain, p);
	child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (!child) {
		if (hmm_translate(plain.mirror, p, PAGE, HMM_READ, &t) != -ECHILD)
			_exit(1);
		if (munmap(p, PAGE) || mprotect(p + PAGE, PAGE, PROT_READ))
			_exit(2);
		pause();
		_exit(0);
	}
	usleep(20000);
	CHECK(waitpid(child, NULL, WNOHANG) == 0);
	hmm_translation_put(&t);
	plain_close(&plain);
	CHECK(raw_call(SYS_munmap, p, LEN) == 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* ---- others at work
 * ------------------------------------------------------------------------- */

static _Atomic bool stop;

static void *churn(void *raw)
{
	while (!stop) {
		char *p = make();

		if (raw)
			raw_call(SYS_munmap, p, LEN);
		else
			munmap(p, LEN);
		free(malloc(1 << 20));
	}
	return NULL;
}

static void *fork_often(void *unused)
{
	while (!stop) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	return NULL;
}

static void closes_while_others_work(void)
{
	pthread_t threads[3];
	struct plain plain;

	stop = false;
	pthread_create(&threads[0], NULL, churn, NULL);
	pthread_create(&threads[1], NULL, churn, &stop);
	pthread_create(&threads[2], NULL, fork_often, NULL);
	for (int i = 0; i < 20; i++) {
		struct hmm_translation t;
		char *p = make();

		plain_open(&plain, i & 1 ? HMM_NO_PERF : 0);
		for (int j = 0; j < 20; j++) {
			t = translate(&plain, p + j * PAGE);
			hmm_translation_put(&t);
		}
		plain_close(&plain);
		munmap(p, LEN);
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static char *_Atomic victim;

static void handler(int signal)
{
	char *p = atomic_exchange(&victim, NULL);

	if (p)
		munmap(p, LEN);
}

/* The handler's munmap may interrupt the library anywhere. */
static void signals(void)
{
	struct itimerval timer = {.it_interval.tv_usec = 200, .it_value.tv_usec = 200};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct plain plain;

	plain_open(&plain, 0);
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &timer, NULL);
	time_t end = time(NULL) + 2;
	while (time(NULL) < end) {
		struct hmm_translation t, other;
		char *p, *q;

		p = atomic_exchange(&victim, NULL);
		if (!p)
			p = make();
		if (hmm_translate(plain.mirror, p, PAGE, HMM_READ, &t) == 0)
			hmm_translation_put(&t);
		victim = p;
		q = make();
		other = translate(&plain, q);
		munmap(q, LEN);
		CHECK(!hmm_translation_valid(&other));
		hmm_translation_put(&other);
	}
	timer = (struct itimerval){.it_value.tv_usec = 0};
	setitimer(ITIMER_PROF, &timer, NULL);
	plain_close(&plain);
}

/*
 * A range that is about to be unmapped holds up whoever touches a missing page of it, for a
 * moment: another thread, or a handler that interrupts the very thread that unmaps. Not for
 * good.
 */
static __thread sigjmp_buf jump;

static void segv(int signal)
{
	siglongjmp(jump, 1);
}

static void touch_once(int signal)
{
	const volatile char *p = victim;

	if (p && !sigsetjmp(jump, 1))
		(void)p[LEN / 2];
}

static void *touch(void *unused)
{
	sigset_t prof;

	sigemptyset(&prof);
	sigaddset(&prof, SIGPROF);
	pthread_sigmask(SIG_BLOCK, &prof, NULL);
	while (!stop)
		touch_once(0);
	return NULL;
}

static void touched_while_unmapped(void)
{
	struct itimerval timer = {.it_interval.tv_usec = 200, .it_value.tv_usec = 200};
	struct sigaction on_prof = {.sa_handler = touch_once, .sa_flags = SA_RESTART};
	struct sigaction on_segv = {.sa_handler = segv, .sa_flags = SA_NODEFER}, before;
	time_t end = time(NULL) + 3;
	struct plain plain;
	pthread_t thread;

	plain_open(&plain, 0);
	sigaction(SIGSEGV, &on_segv, &before);
	sigaction(SIGPROF, &on_prof, NULL);
	stop = false;
	victim = NULL;
	pthread_create(&thread, NULL, touch, NULL);
	setitimer(ITIMER_PROF, &timer, NULL);
	while (time(NULL) < end) {
		char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct hmm_translation t;

		CHECK(p != MAP_FAILED);
		p[0] = 1;
		t = translate(&plain, p);
		victim = p;
		CHECK(munmap(p, LEN) == 0);
		victim = NULL;
		CHECK(!hmm_translation_valid(&t));
		hmm_translation_put(&t);
	}
	timer = (struct itimerval){.it_value.tv_usec = 0};
	setitimer(ITIMER_PROF, &timer, NULL);
	stop = true;
	pthread_join(thread, NULL);
	sigaction(SIGSEGV, &before, NULL);
	plain_close(&plain);
}

int main(void)
{
	signal(SIGALRM, too_long);
	begin("one a process");
	is_one();
	begin("open and close leave nothing");
	leaves_nothing();
	if (!is_on("userfaultfd"))
		return 77; /* no translation is remembered: nothing could be invalid */
	begin("fork");
	forks();
	begin("a clone without handlers");
	bare_clone();
	begin("open and close while others work");
	closes_while_others_work();
	begin("signal handlers");
	signals();
	begin("memory touched while it is unmapped");
	touched_while_unmapped();
	return 0;
}
