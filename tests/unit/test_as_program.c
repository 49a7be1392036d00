/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does the program's own call give what it gives without the library, on memory that a
 * device has?
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "test_as.h"

#define PIECES   512
#define SEALED   1024
#define SECONDS  2
#define NR_MSEAL 462 /* everywhere but on alpha */

static struct plain plain;

static char *map(size_t len, int prot)
{
	char *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void use(char *p)
{
	struct hmm_translation t;

	CHECK(hmm_translate(plain.mirror, p, 8, HMM_READ, &t) == 0);
	CHECK(hmm_translation_put(&t) == 0);
}

/* By read(2): stdio would map a buffer. */
static int nr_mappings(void)
{
	int fd = open("/proc/self/maps", O_RDONLY), nr = 0;
	char text[4096];
	ssize_t got;

	CHECK(fd >= 0);
	while ((got = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < got; i++)
			nr += text[i] == '\n';
	close(fd);
	return nr;
}

/* ---- mappings: a process may only have so many
 * -------------------------------------------
 */

static void discard_every_other(void)
{
	char *p = map(2 * PIECES * PAGE, PROT_READ | PROT_WRITE);
	int before;

	memset(p, 1, 2 * PIECES * PAGE);
	use(p);
	before = nr_mappings();
	for (int i = 0; i < PIECES; i++)
		CHECK(madvise(p + 2 * i * PAGE, PAGE, MADV_DONTNEED) == 0);
	printf("discarded: %d mappings, %d before\n", nr_mappings(), before);
	CHECK(nr_mappings() <= before + 8);
	munmap(p, 2 * PIECES * PAGE);
}

static void replace_every_other(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, before;
	char *p = map(2 * PIECES * PAGE, PROT_READ | PROT_WRITE);

	memset(p, 1, 2 * PIECES * PAGE);
	use(p);
	before = nr_mappings();
	for (int i = 0; i < PIECES; i++)
		CHECK(mmap(p + 2 * i * PAGE, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) !=
		      MAP_FAILED);
	printf("replaced: %d mappings, %d before\n", nr_mappings(), before);
	CHECK(nr_mappings() <= before + 8);
	munmap(p, 2 * PIECES * PAGE);
}

/* ---- huge pages
 * --------------------------------------------------------------------------
 */

#define HUGE       (2ul << 20)
#define K_COLLAPSE 25

static char *huge_place(void)
{
	char *p = map(4 * HUGE, PROT_READ | PROT_WRITE);

	p = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	madvise(p, 2 * HUGE, MADV_NOHUGEPAGE);
	memset(p, 1, HUGE / 2);
	memset(p + HUGE, 1, HUGE / 2);
	madvise(p, 2 * HUGE, MADV_HUGEPAGE);
	return p;
}

/* Half of the pages are there, and a device uses the other end of the mapping. */
static void collapse(void)
{
	char *p = huge_place();

	if (madvise(p, HUGE, K_COLLAPSE)) {
		printf("no huge page is to be had here: not tried\n");
		return;
	}
	p = huge_place();
	use(p + HUGE);
	CHECK(madvise(p, HUGE, K_COLLAPSE) == 0);
}

/* ---- lists of ranges
 * ---------------------------------------------------------------------
 */

static void bad_list(void)
{
	char *none = map(PAGE, PROT_NONE);
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (pidfd < 0)
		return;
	for (int advice = 0; advice < 200; advice++) {
		ssize_t ret = process_madvise(pidfd, (struct iovec *)none, 1, advice, 0);

		CHECK(ret == -1 && (errno == EFAULT || errno == EINVAL || errno == EPERM ||
				    errno == ENOSYS));
	}
	close(pidfd);
	munmap(none, PAGE);
}

/* ---- memory that cannot be unmapped
 * ------------------------------------------------------
 */

static char *sealed;
static _Atomic bool stop;
static _Atomic int refused;

static void *read_into(void *arg)
{
	int zero = open("/dev/zero", O_RDONLY);

	CHECK(zero >= 0);
	while (!stop) {
		for (int i = 0; i < SEALED && !stop; i++)
			refused += read(zero, sealed + i * PAGE, 16) != 16;
		raw_call(SYS_madvise, sealed, SEALED * PAGE, MADV_DONTNEED);
	}
	close(zero);
	return NULL;
}

static void refused_munmap(void)
{
	struct timespec begin, now;
	pthread_t reader;

	sealed = map(SEALED * PAGE, PROT_READ | PROT_WRITE);
	madvise(sealed, SEALED * PAGE, MADV_NOHUGEPAGE);
	if (syscall(NR_MSEAL, sealed, SEALED * PAGE, 0)) {
		printf("the kernel has no mseal: not tried\n");
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	CHECK(pthread_create(&reader, NULL, read_into, NULL) == 0);
	do {
		use(sealed);
		CHECK(munmap(sealed, SEALED * PAGE) == -1 && errno == EPERM);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < begin.tv_sec + SECONDS);
	stop = true;
	pthread_join(reader, NULL);
	printf("sealed: %d reads into it were refused\n", refused);
	CHECK(!refused);
}

/* ---- memory that may be written, but not read, as far as the kernel says ---------------
 */

static void write_only(void)
{
	volatile char *p = map(PAGE, PROT_WRITE);
	struct hmm_translation t;

	p[0] = 'w';
	CHECK(p[0] == 'w'); /* no processor of these refuses that */
	CHECK(hmm_translate(plain.mirror, (char *)p, 8, HMM_READ | HMM_WRITE, &t) == 0);
	CHECK(hmm_translation_put(&t) == 0);
	munmap((char *)p, PAGE);
}

/* ---- a range is told of a fork
 * -----------------------------------------------------------
 */

static void told_of_fork(void)
{
	char *p = map(PAGE, PROT_READ | PROT_WRITE);
	uint64_t pfn;
	struct hmm_range range = {
		.size = sizeof(struct hmm_range),
		.mirror = plain.mirror,
		.start = (uintptr_t)p,
		.end = (uintptr_t)p + PAGE,
		.default_flags = HMM_PFN_REQ_WRITE,
		.pfns = &pfn,
	};
	pid_t child;

	if (hmm_range_begin(&range)) {
		printf("no range is to be had: %s\n", hmm_error());
		return;
	}
	CHECK(hmm_range_fault(&range) == 0);
	CHECK(!hmm_range_retry(&range));
	child = fork();
	if (!child)
		_exit(0);
	CHECK(child > 0 && hmm_range_retry(&range));
	CHECK(waitpid(child, NULL, 0) == child);
	munmap(p, PAGE);
}

/* ---- a range with little in it --------------------------------------------------------
 */

/* What a range costs depends on the mappings in it: page by page this would take hours. */
static void sparse(void)
{
	uint64_t size = 1ull << 42;
	char *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	struct hmm_range range = {.size = sizeof(range),
				  .mirror = plain.mirror,
				  .start = (uintptr_t)p,
				  .end = (uintptr_t)p + size};

	if (p == MAP_FAILED) {
		printf("sparse: no room for so many addresses\n");
		return;
	}
	CHECK(munmap(p, size / 2) == 0);
	CHECK(munmap(p + size / 2 + PAGE, size / 2 - PAGE) == 0);
	CHECK(hmm_range_begin(&range) == 0);
	CHECK(!hmm_range_retry(&range));
	CHECK(munmap(p + size / 2, PAGE) == 0);
	CHECK(hmm_range_retry(&range));
}

/* ---- a range is told of a file that is emptied by who opens it -------------------------
 */

static int by_open(const char *path)
{
	return open(path, O_RDWR | O_TRUNC);
}

static int by_openat(const char *path)
{
	return openat(AT_FDCWD, path, O_RDWR | O_TRUNC | O_CREAT, 0600);
}

static int by_creat(const char *path)
{
	return creat(path, 0600);
}

static int by_number(const char *path)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_TRUNC);
}

static int by_stream(const char *path)
{
	FILE *file = fopen(path, "w");
	int fd = file ? dup(fileno(file)) : -1;

	if (file)
		fclose(file);
	return fd;
}

static int by_stream_again(const char *path)
{
	FILE *file = freopen(path, "w+", fopen("/dev/null", "r"));
	int fd = file ? dup(fileno(file)) : -1;

	if (file)
		fclose(file);
	return fd;
}

static const struct {
	const char *name;
	int (*empty)(const char *path);
} openings[] = {
	{"open", by_open},     {"openat", by_openat}, {"creat", by_creat},
	{"openat", by_number}, {"fopen", by_stream},  {"freopen", by_stream_again},
};

static void told_of_opening(void)
{
	char path[] = "/tmp/hmm-program-XXXXXX";
	int fd = mkstemp(path);
	char *p;

	CHECK(fd >= 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
		struct hmm_range range = {.size = sizeof(range),
					  .mirror = plain.mirror,
					  .start = (uintptr_t)p,
					  .end = (uintptr_t)p + PAGE};
		struct stat stat;
		int again;

		CHECK(ftruncate(fd, (off_t)PAGE) == 0 && hmm_range_begin(&range) == 0);
		again = open(path, O_RDWR);
		CHECK(again >= 0 && !close(again) && !hmm_range_retry(&range));
		again = openings[i].empty(path);
		printf("emptied by %s\n", openings[i].name);
		CHECK(again >= 0 && hmm_range_retry(&range));
		CHECK(fstat(again, &stat) == 0 && !stat.st_size && !close(again));
	}
	CHECK(munmap(p, PAGE) == 0 && unlink(path) == 0 && close(fd) == 0);
}

int main(void)
{
	plain_open(&plain, 0);
	if (is_on("interposition")) {
		discard_every_other();
		replace_every_other();
		collapse();
		if (is_on("userfaultfd-any"))
			told_of_opening();
	}
	bad_list();
	write_only();
	told_of_fork();
	refused_munmap();
	sparse();
	plain_close(&plain);
	return 0;
}
