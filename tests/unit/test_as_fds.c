/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of the library's descriptors when the program closes them, or puts files of
 * its own in their place?
 *
 * Each descriptor that opening adds, in each way, at each moment of a full use, in a child
 * of its own: nothing stale, nothing hangs, no byte of the program's file changes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test_as.h"

#define LEN         (8 * PAGE)
#define MAX_FDS     64
#define FILE_NUMBER 200
#define TEXT        "not a byte of this is the library's business"

enum how { CLOSE, RAW_CLOSE, RAW_REPLACE, REPLACE, RANGE, RAW_RANGE, HOWS };
static const char *const how_names[] = {
	"close",
	"close, raw",
	"dup2 of a file over it, raw",
	"dup2 of a file over it",
	"close_range",
	"close_range, raw",
};

static struct deed {
	int fd, moment;
	enum how how;
} deed;
static int now;   /* the moment */
static int file;  /* the program's */
static bool over; /* the deed was done */
static char name[64];
static struct plain plain;

static void do_it(void)
{
	over = true;
	switch (deed.how) {
	case CLOSE:
		close(deed.fd);
		break;
	case RAW_CLOSE:
		raw_call(SYS_close, deed.fd);
		break;
	case RAW_REPLACE:
		CHECK(raw_call(SYS_dup3, file, deed.fd, 0) == deed.fd);
		break;
	case REPLACE:
		CHECK(dup2(file, deed.fd) == deed.fd);
		break;
	case RANGE:
		close_range(3, (unsigned int)file - 1, 0);
		close_range((unsigned int)file + 1, ~0u, 0);
		break;
	case RAW_RANGE:
		raw_call(SYS_close_range, 3, file - 1, 0);
		raw_call(SYS_close_range, file + 1, ~0u, 0);
		break;
	default:
		break;
	}
}

static void moment(void)
{
	if (++now == deed.moment)
		do_it();
}

/* ---- a full use, with some twenty moments -------------------------------------------- */

static char *memory(void)
{
	char *p =
		mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return memset(p, 1, LEN);
}

/* What was translated before the change is not valid after it. */
static void changes(char *p, long (*change)(char *p))
{
	struct hmm_translation t;
	int err;

	moment();
	err = hmm_translate(plain.mirror, p, PAGE, HMM_READ, &t);
	if (err) {
		CHECK(*hmm_error());
		return;
	}
	moment();
	CHECK(change(p) == 0);
	CHECK(!hmm_translation_valid(&t) || t.mode == HMM_MODE_DIRECT);
	hmm_translation_put(&t);
}

static long unmap_raw(char *p)
{
	return raw_call(SYS_munmap, p, LEN);
}

static long unmap(char *p)
{
	return munmap(p, LEN);
}

static long discard_raw(char *p)
{
	return raw_call(SYS_madvise, p, LEN, MADV_DONTNEED);
}

static long protect(char *p)
{
	return mprotect(p, LEN, PROT_READ);
}

static long map_over(char *p)
{
	return mmap(p, LEN, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p;
}

static void look(char *p)
{
	uint64_t pfns[2];
	struct hmm_range range = {.size = sizeof(struct hmm_range),
				  .mirror = plain.mirror,
				  .start = (uintptr_t)p,
				  .end = (uintptr_t)p + 2 * PAGE,
				  .pfns = pfns};

	moment();
	if (hmm_range_begin(&range))
		return;
	moment();
	if (hmm_range_snapshot(&range) == 0 && !hmm_range_retry(&range))
		CHECK(pfns[0] & HMM_PFN_VALID);
	moment();
	CHECK(raw_call(SYS_munmap, p, LEN) == 0);
	CHECK(hmm_range_retry(&range));
}

static void *in_thread(void *p)
{
	changes(p, unmap_raw);
	return NULL;
}

static void use(void)
{
	pthread_t thread;

	moment();
	plain_open(&plain, 0);
	changes(memory(), unmap_raw);
	changes(memory(), unmap);
	changes(memory(), discard_raw);
	changes(memory(), protect);
	changes(memory(), map_over);
	look(memory());
	moment();
	CHECK(pthread_create(&thread, NULL, in_thread, memory()) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	moment();
	hmm_quiesce(plain.hmm, 1000);
	moment();
	CHECK(hmm_mirror_destroy(plain.mirror) == 0);
	moment();
	CHECK(hmm_device_unregister(plain.device) == 0);
	moment();
	hmm_close(plain.hmm);
	moment();
}

/* ---- the deeds --------------------------------------------------------------------- */

static void open_file(void)
{
	int fd;

	snprintf(name, sizeof(name), "as-fds.%d", getpid());
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	/* Out of the way: the library's numbers are those of the run that listed them. */
	file = fcntl(fd, F_DUPFD_CLOEXEC, FILE_NUMBER);
	close(fd);
	CHECK(file >= 0 && write(file, TEXT, sizeof(TEXT)) == sizeof(TEXT));
	CHECK(lseek(file, 1, SEEK_SET) == 1);
}

/* Its bytes, its length, and its position, which a read would have moved. */
static void compare_file(void)
{
	char text[sizeof(TEXT) + 8];
	int own = open(name, O_RDONLY);

	unlink(name);
	CHECK(lseek(file, 0, SEEK_CUR) == 1);
	CHECK(own >= 0 && read(own, text, sizeof(text)) == sizeof(TEXT));
	CHECK(!memcmp(text, TEXT, sizeof(TEXT)));
	if (over && (deed.how == RAW_REPLACE || deed.how == REPLACE))
		CHECK(lseek(deed.fd, 0, SEEK_CUR) == 1);
}

static void child(void)
{
	alarm(60);
	open_file();
	use();
	compare_file();
	_exit(over ? 0 : 2);
}

/* 1: there is no such moment. */
static int run(struct deed what)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		deed = what;
		child();
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) != 1)
		return WEXITSTATUS(status);
	printf("descriptor %d, moment %d, %s: %s %d\n", what.fd, what.moment,
	       how_names[what.how], WIFSIGNALED(status) ? "signal" : "exit",
	       WIFSIGNALED(status) ? WTERMSIG(status) : 1);
	exit(1);
}

static int list_fds(int *fds)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int nr = 0;

	CHECK(dir);
	while ((entry = readdir(dir)))
		if (*entry->d_name != '.' && atoi(entry->d_name) != dirfd(dir) &&
		    nr < MAX_FDS)
			fds[nr++] = atoi(entry->d_name);
	closedir(dir);
	return nr;
}

/* Which numbers opening adds. */
static int own_fds(int *own)
{
	int before[MAX_FDS], after[MAX_FDS], nr = 0, nr_before = list_fds(before), nr_after;

	plain_open(&plain, 0);
	nr_after = list_fds(after);
	plain_close(&plain);
	for (int i = 0; i < nr_after; i++) {
		bool old = false;

		for (int j = 0; j < nr_before; j++)
			old |= before[j] == after[i];
		if (!old)
			own[nr++] = after[i];
	}
	return nr;
}

/* A program that began with its standard descriptors closed. */
static void low_numbers(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		int fds[MAX_FDS], nr;

		close(0);
		close(1);
		plain_open(&plain, 0);
		nr = list_fds(fds);
		for (int i = 0; i < nr; i++)
			if (fds[i] < 2)
				_exit(3);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The least that a process needs. */
static void few_numbers(void)
{
	struct rlimit before, few = {16, 16};
	char *p = memory();

	CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
	few.rlim_max = before.rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	plain_open(&plain, 0);
	changes(p, unmap_raw);
	plain_close(&plain);
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

int main(void)
{
	int fds[MAX_FDS], nr = own_fds(fds), done = 0;

	printf("%d descriptors:", nr);
	for (int i = 0; i < nr; i++) {
		printf(" %d", fds[i]);
		CHECK(fds[i] > 2);
	}
	printf("\n");
	fflush(stdout);
	for (int i = 0; i < nr; i++)
		for (int how = 0; how < HOWS; how++)
			for (int m = 1; (how < RANGE || !i) && m < 100; m++, done++)
				if (run((struct deed){fds[i], m, (enum how)how}))
					break;
	printf("%d deeds, no damage\n", done);
	low_numbers();
	few_numbers();
	return 0;
}
