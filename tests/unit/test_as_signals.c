/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is a thread inside the library ever stopped, diverted or ended where others wait for it?
 *
 * By a handler that waits (a garbage collector's), that leaves with siglongjmp(), that
 * changes memory, that forks; by pthread_cancel(); and in a fork whose handlers close the
 * library.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "test_as.h"

#define PAGES 64

static struct plain plain;
static char *memory;
static const char *doing;

static void too_long(int signal)
{
	dprintf(2, "hangs: %s\n", doing);
	_exit(1);
}

/* HMM_UNIT_ONLY=name runs that one alone. */
static void run(const char *what, void (*test)(void))
{
	const char *only = getenv("HMM_UNIT_ONLY");

	if (only && strcmp(only, what))
		return;
	doing = what;
	printf("%s\n", what);
	fflush(stdout);
	alarm(240); /* an emulated machine may be slow */
	test();
}

static char *make(size_t len)
{
	char *p =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return memset(p, 1, len);
}

static void on(int signal, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

	CHECK(sigaction(signal, &action, NULL) == 0);
}

static void every(long us)
{
	struct itimerval timer = {{0, us}, {0, us}};

	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

/* A round of all that the library does under its lock: a miss, a put, a revocation. */
static void work(struct hmm_mirror *mirror, int i)
{
	char *p = memory + i % PAGES * PAGE;
	struct hmm_translation t;

	if (hmm_translate(mirror, p, 8, HMM_READ, &t) == 0)
		hmm_translation_put(&t);
	hmm_invalidate(plain.hmm, p, 8);
}

/* ---- what a driver finds in revoke --------------------------------------------------- */

static int blocked, open_ones, cancellable, revokes;

static void look(struct hmm_device *device, struct hmm_mapping *mapping)
{
	sigset_t set;
	int state;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	blocked += sigismember(&set, SIGUSR1) && sigismember(&set, SIGALRM) &&
		   sigismember(&set, SIGRTMIN) && sigismember(&set, SIGRTMAX);
	open_ones += !sigismember(&set, SIGSEGV) && !sigismember(&set, SIGSYS);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	cancellable += state == PTHREAD_CANCEL_ENABLE;
	pthread_setcancelstate(state, NULL);
	revokes++;
}

static void undisturbed(void)
{
	struct hmm_driver_ops ops = plain_ops;
	struct hmm_driver driver = plain_driver;
	struct hmm_device *device;
	struct hmm_mirror *mirror;
	sigset_t before, after;
	int state;

	ops.revoke = look;
	driver.ops = &ops;
	CHECK(hmm_device_register(plain.hmm, &driver, NULL, &device) == 0);
	CHECK(hmm_mirror_create(device, NULL, &mirror) == 0);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	for (int i = 0; i < 10; i++)
		work(mirror, i);
	CHECK(revokes == 10 && blocked == 10 && open_ones == 10 && cancellable == 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int signal = 1; signal < 65; signal++)
		CHECK(sigismember(&before, signal) == sigismember(&after, signal));
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	CHECK(state == PTHREAD_CANCEL_ENABLE);
	CHECK(hmm_device_unregister(device) == 0);
}

/* ---- a collector stops a thread, and changes memory -----------------------------------
 */

static sem_t stopped, go;
static _Atomic bool stop;

static void wait_for_go(int signal)
{
	int saved = errno;

	sem_post(&stopped);
	while (sem_wait(&go))
		;
	errno = saved;
}

static void *mutate(void *unused)
{
	for (int i = 0; !stop; i++)
		work(plain.mirror, i);
	return NULL;
}

static void collector(void)
{
	char *other = make(PAGE);
	pthread_t mutator;

	sem_init(&stopped, 0, 0);
	sem_init(&go, 0, 0);
	on(SIGUSR1, wait_for_go);
	stop = false;
	pthread_create(&mutator, NULL, mutate, NULL);
	for (int i = 0; i < 2000; i++) {
		pthread_kill(mutator, SIGUSR1);
		while (sem_wait(&stopped))
			;
		mprotect(other, PAGE, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
		munmap(make(PAGE), PAGE);
		sem_post(&go);
	}
	stop = true;
	pthread_join(mutator, NULL);
	munmap(other, PAGE);
}

/* ---- a thread that waits inside ---------------------------------------------------------
 */

static void *wait_inside(void *unused)
{
	hmm_quiesce(plain.hmm, 2000);
	return NULL;
}

/* A translation that is held and revoked: hmm_quiesce() waits for it. */
static struct hmm_translation hold_revoked(char *p)
{
	struct hmm_translation t;

	CHECK(hmm_translate(plain.mirror, p, 8, HMM_READ, &t) == 0);
	CHECK(hmm_invalidate(plain.hmm, p, 8) == 0);
	return t;
}

static void cancelled(void)
{
	struct hmm_translation t = hold_revoked(memory);
	pthread_t waiter;

	pthread_create(&waiter, NULL, wait_inside, NULL);
	usleep(100000);
	pthread_cancel(waiter);
	pthread_join(waiter, NULL);
	munmap(make(PAGE), PAGE);
	CHECK(hmm_invalidate(plain.hmm, memory, PAGE) == 0); /* hangs if the lock is lost */
	hmm_translation_put(&t);
}

/* Whoever waits for others holds nothing, so a handler may run there at once. */
static void stopped_while_waiting(void)
{
	struct hmm_translation t = hold_revoked(memory);
	struct timespec limit;
	pthread_t waiter;

	on(SIGUSR1, wait_for_go);
	pthread_create(&waiter, NULL, wait_inside, NULL);
	usleep(100000);
	pthread_kill(waiter, SIGUSR1);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 1; /* it waits for 2 */
	CHECK(sem_timedwait(&stopped, &limit) == 0);
	sem_post(&go);
	hmm_translation_put(&t);
	pthread_join(waiter, NULL);
}

/* ---- handlers that leave, change memory, fork -----------------------------------------
 */

static sigjmp_buf out;
static volatile sig_atomic_t armed;

static void leave(int signal)
{
	if (armed) {
		armed = 0;
		siglongjmp(out, 1);
	}
}

static void make_at(char *p)
{
	mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	     0);
}

static void change_for_ever(char *p, int how)
{
	for (;;) {
		if (how == 0) {
			mprotect(p, PAGE, PROT_READ);
			mprotect(p, PAGE, PROT_READ | PROT_WRITE);
		} else if (how == 1) {
			madvise(p, PAGE, MADV_DONTNEED);
		} else {
			munmap(p, PAGE);
			make_at(p);
		}
	}
}

static void jumps_out(void)
{
	struct hmm_translation t;

	on(SIGALRM, leave);
	every(500);
	for (volatile int i = 0; i < 600; i++) {
		char *p = memory + i % PAGES * PAGE;

		armed = 0;
		CHECK(hmm_translate(plain.mirror, p, 8, HMM_READ, &t) == 0);
		hmm_translation_put(&t);
		if (!sigsetjmp(out, 1)) {
			armed = 1;
			change_for_ever(p, i % 3);
		}
		make_at(p); /* whatever it was in the middle of */
	}
	every(0);
	for (int i = 0; i < PAGES; i++) {
		CHECK(hmm_translate(plain.mirror, memory + i * PAGE, 8, HMM_READ, &t) == 0);
		hmm_translation_put(&t);
	}
	signal(SIGALRM, too_long);
}

static char *_Atomic guarded;

static void protect(int signal)
{
	char *p = atomic_exchange(&guarded, NULL);

	if (p)
		mprotect(p, PAGE, PROT_NONE);
}

/* With perf another way would see it: the struct hmm of this test has none. */
static void changes(void)
{
	on(SIGUSR2, protect);
	every(0);
	for (int i = 0; i < 400; i++) {
		char *p = make(PAGE);
		struct hmm_translation t;

		CHECK(hmm_translate(plain.mirror, p, 8, HMM_READ, &t) == 0);
		guarded = p;
		on(SIGALRM, protect);
		every(100);
		for (int j = 0; guarded; j++)
			work(plain.mirror, j);
		every(0);
		CHECK(!hmm_translation_valid(&t));
		hmm_translation_put(&t);
		munmap(p, PAGE);
	}
	signal(SIGALRM, too_long);
}

static pid_t children[20];
static volatile int nr_children;
static volatile bool in_child;

static void fork_here(int signal)
{
	int saved = errno;
	pid_t child;

	if (nr_children < 20 && !in_child) {
		child = fork();
		in_child = !child;
		if (child)
			children[nr_children++] = child;
	}
	errno = saved;
}

static void forks(void)
{
	struct hmm_translation t;
	int status;

	on(SIGALRM, fork_here);
	every(3000);
	for (int i = 0; nr_children < 20 && !in_child; i++)
		work(plain.mirror, i);
	every(0);
	signal(SIGALRM, too_long);
	if (in_child) {
		alarm(20);
		_exit(hmm_translate(plain.mirror, memory, 8, HMM_READ, &t) != -ECHILD);
	}
	for (int i = 0; i < nr_children; i++) {
		CHECK(waitpid(children[i], &status, 0) == children[i]);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

static pid_t _Atomic forked_there;

static void fork_there(int signal)
{
	int saved = errno;
	pid_t child = fork();

	if (child)
		forked_there = child;
	else
		alarm(5);
	errno = saved;
}

/* In the child nobody would wake it: it finds out by itself, long before its time is over.
 */
static void *wait_long(void *unused)
{
	int err = hmm_quiesce(plain.hmm, 20000);

	if (err == -ECHILD)
		_exit(0);
	return NULL;
}

static void forks_while_waiting(void)
{
	struct hmm_translation t = hold_revoked(memory);
	pthread_t waiter;
	int status;

	on(SIGUSR1, fork_there);
	pthread_create(&waiter, NULL, wait_long, NULL);
	usleep(100000);
	pthread_kill(waiter, SIGUSR1);
	while (!forked_there)
		usleep(1000);
	CHECK(waitpid(forked_there, &status, 0) == forked_there);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	hmm_translation_put(&t);
	pthread_join(waiter, NULL);
}

/* ---- fork handlers that close the library -----------------------------------------------
 */

static bool close_at_fork;

static void prepare(void)
{
	if (close_at_fork)
		plain_close(&plain);
	close_at_fork = false;
}

static void closes_in_prepare(void)
{
	int status;
	pid_t child;

	close_at_fork = true;
	child = fork();
	if (!child) {
		plain_open(&plain, HMM_NO_PERF);
		plain_close(&plain);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	plain_open(&plain, HMM_NO_PERF);
}

int main(void)
{
	signal(SIGALRM, too_long);
	/* Older than the library's own: it comes after them in prepare. */
	pthread_atfork(prepare, NULL, NULL);
	plain_open(&plain, HMM_NO_PERF);
	memory = make(PAGES * PAGE);
	run("a driver's revoke is not disturbed", undisturbed);
	run("a thread is cancelled while it waits", cancelled);
	run("a collector stops a thread anywhere", collector);
	run("a thread is stopped while it waits", stopped_while_waiting);
	if (!is_on("userfaultfd") || !is_on("interposition"))
		return 77; /* what follows is about interposed calls */
	run("handlers that leave a change", jumps_out);
	run("handlers that change memory", changes);
	if (SANITIZED)
		return 0; /* no threads in the child of a fork */
	run("handlers that fork", forks);
	run("a handler that forks while its thread waits", forks_while_waiting);
	run("a fork handler that closes the library", closes_in_prepare);
	plain_close(&plain);
	return 0;
}
