/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is every change of real memory noticed, through libc and by raw system calls?
 *
 * Each kind of memory is translated, changed in the middle, and the translation must not
 * be valid any more when the call has returned. What the contract lists as not seen is
 * not tried.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "test_as.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#define LEN (16 * PAGE)

static bool raw; /* make the calls by syscall() */
static int file_fd, mem_fd;

/* ---- memory ------------------------------------------------------------------------ */

static void *map(int flags, int fd)
{
	void *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, flags, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static char *make_anon(void)
{
	return memset(map(MAP_PRIVATE | MAP_ANONYMOUS, -1), 1, LEN);
}

static char *make_shared(void)
{
	return memset(map(MAP_SHARED | MAP_ANONYMOUS, -1), 1, LEN);
}

static char *make_memfd(void)
{
	CHECK(ftruncate(mem_fd, LEN) == 0);
	return memset(map(MAP_SHARED, mem_fd), 1, LEN);
}

static char *make_file(void)
{
	CHECK(ftruncate(file_fd, LEN) == 0);
	return memset(map(MAP_SHARED, file_fd), 1, LEN);
}

static char *make_private_file(void)
{
	CHECK(ftruncate(file_fd, LEN) == 0);
	return memset(map(MAP_PRIVATE, file_fd), 1, LEN);
}

static char *make_sysv(void)
{
	int id = shmget(IPC_PRIVATE, LEN, 0600);
	char *p = shmat(id, NULL, 0);

	CHECK(p != (void *)-1);
	shmctl(id, IPC_RMID, NULL);
	return memset(p, 1, LEN);
}

static const struct {
	const char *name;
	char *(*make)(void);
} kinds[] = {
	{"anonymous", make_anon},
	{"shared anonymous", make_shared},
	{"memfd", make_memfd},
	{"shared file", make_file},
	{"private file", make_private_file},
	{"System V", make_sysv},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- changes: 0, or -1 where it does not apply -----------------------------------------
 */

static long do_munmap(char *p)
{
	return raw ? syscall(SYS_munmap, p + PAGE, PAGE) : munmap(p + PAGE, PAGE);
}

static long do_mmap_over(char *p)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	if (raw)
		return syscall(SYS_mmap, p, LEN, PROT_READ, flags, -1, 0) == -1 ? -1 : 0;
	return mmap(p, LEN, PROT_READ, flags, -1, 0) == MAP_FAILED ? -1 : 0;
}

static long do_mremap(char *p)
{
	if (raw)
		return syscall(SYS_mremap, p, LEN, LEN * 4, MREMAP_MAYMOVE, 0) == -1 ? -1
										     : 0;
	return mremap(p, LEN, LEN * 4, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0;
}

static long do_mremap_shrink(char *p)
{
	if (raw)
		return syscall(SYS_mremap, p, LEN, PAGE, 0, 0) == -1 ? -1 : 0;
	return mremap(p, LEN, PAGE, 0) == MAP_FAILED ? -1 : 0;
}

static long do_mremap_onto(char *p)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	char *from = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (raw)
		return syscall(SYS_mremap, from, LEN, LEN, flags, p) == -1 ? -1 : 0;
	return mremap(from, LEN, LEN, flags, p) == MAP_FAILED ? -1 : 0;
}

static long advise(char *p, int advice)
{
	return raw ? syscall(SYS_madvise, p, LEN, advice) : madvise(p, LEN, advice);
}

static long do_dontneed(char *p)
{
	return advise(p, MADV_DONTNEED);
}

static long do_free_pages(char *p)
{
	return advise(p, MADV_FREE);
}

static long do_remove(char *p)
{
	return advise(p, MADV_REMOVE);
}

static long do_dontneed_locked(char *p)
{
	return advise(p, MADV_DONTNEED_LOCKED);
}

static long do_mprotect(char *p)
{
	if (raw)
		return syscall(SYS_mprotect, p + PAGE, PAGE, PROT_READ);
	return mprotect(p + PAGE, PAGE, PROT_READ);
}

static long do_pkey_mprotect(char *p)
{
	return raw ? -1 : pkey_mprotect(p + PAGE, PAGE, PROT_READ, -1);
}

static long do_guard(char *p)
{
	return raw ? -1 : madvise(p, PAGE * 2, 102);
}

static long do_process_madvise(char *p)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec iov[] = {{p, PAGE}, {p + PAGE, PAGE}};
	long ret;

	/* Only from 6.13 on may it discard. */
	if (raw)
		ret = syscall(SYS_process_madvise, fd, iov, 2, MADV_DONTNEED, 0);
	else
		ret = process_madvise(fd, iov, 2, MADV_DONTNEED, 0);
	close(fd);
	return ret == 2 * (long)PAGE ? 0 : -1;
}

static long do_shmdt(char *p)
{
	return raw ? -1 : shmdt(p);
}

static long do_truncate(char *p)
{
	/* Whichever of the two it is: the other has no mapping now. */
	return raw ? -1 : ftruncate(file_fd, PAGE) | ftruncate(mem_fd, PAGE);
}

static long do_punch(char *p)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (raw)
		return -1;
	return fallocate(file_fd, mode, PAGE, PAGE) | fallocate(mem_fd, mode, PAGE, PAGE);
}

#define EVERY    0x3f
#define FILES    0x0c /* memfd, shared file */
#define OF_FILES 0x38 /* those, and System V memory: watched from kernel 6.7 on */

static const struct {
	const char *name;
	long (*make)(char *p);
	unsigned int kinds; /* bit a kind: for these it must work */
} changes[] = {
	{"munmap", do_munmap, EVERY},
	{"mmap over", do_mmap_over, EVERY},
	{"mremap", do_mremap, EVERY},
	{"mremap to less", do_mremap_shrink, EVERY},
	{"mremap onto", do_mremap_onto, EVERY},
	{"MADV_DONTNEED", do_dontneed, EVERY},
	{"MADV_FREE", do_free_pages, 0x01},
	{"MADV_REMOVE", do_remove, 0x06},
	{"MADV_DONTNEED_LOCKED", do_dontneed_locked, EVERY},
	{"mprotect", do_mprotect, EVERY},
	{"pkey_mprotect", do_pkey_mprotect, EVERY},
	{"MADV_GUARD_INSTALL", do_guard, 0},
	{"process_madvise", do_process_madvise, 0},
	{"shmdt", do_shmdt, 0x20},
	{"ftruncate", do_truncate, FILES},
	{"punch hole", do_punch, FILES},
};

/* ---- the test
 * ---------------------------------------------------------------------------- */

static void try_one(struct plain *plain, unsigned int kind, unsigned int change)
{
	struct hmm_translation t;
	char *p = kinds[kind].make();
	long ret;

	CHECK(hmm_translate(plain->mirror, p + PAGE, PAGE, HMM_READ | HMM_WRITE, &t) == 0);
	CHECK(hmm_translation_valid(&t));
	ret = changes[change].make(p);
	if (ret == 0 && hmm_translation_valid(&t) && (changes[change].kinds & 1u << kind)) {
		fprintf(stderr, "%s of %s memory%s: not noticed\n", changes[change].name,
			kinds[kind].name, raw ? ", raw" : "");
		exit(1);
	}
	if (ret && !raw && changes[change].kinds & 1u << kind) {
		fprintf(stderr, "%s of %s memory: %m\n", changes[change].name,
			kinds[kind].name);
		exit(1);
	}
	hmm_translation_put(&t);
	munmap(p, LEN);
}

/* What has no event, and is not wrapped, is not seen. */
static bool can_be_seen(unsigned int change, bool interposed, bool perf)
{
	long (*make)(char *p) = changes[change].make;

	if (make == do_shmdt || make == do_truncate || make == do_punch)
		return interposed;
	if (make == do_mprotect || make == do_pkey_mprotect)
		return perf || (interposed && !raw);
	return true;
}

int main(int argc, char **argv)
{
	bool events = argc > 1 && !strcmp(argv[1], "events");
	struct plain plain;
	char path[] = "/tmp/hmm-changes-XXXXXX";
	struct hmm_stats stats;
	unsigned int tried = 0;
	bool interposed, perf, any;

	raw = events || (argc > 1 && !strcmp(argv[1], "raw"));
	file_fd = mkstemp(path);
	unlink(path);
	mem_fd = memfd_create("changes", MFD_CLOEXEC);
	plain_open(&plain, events ? HMM_NO_INTERPOSE : 0);
	if (!is_on("userfaultfd")) {
		plain_close(&plain);
		return 77; /* nothing is remembered, so nothing has to be noticed */
	}
	interposed = is_on("interposition");
	perf = is_on("perf");
	any = is_on("userfaultfd-any");
	for (unsigned int k = 0; k < KINDS; k++)
		for (unsigned int c = 0; c < sizeof(changes) / sizeof(changes[0]); c++) {
			if (!can_be_seen(c, interposed, perf) ||
			    (OF_FILES >> k & 1 && !any))
				continue;
			try_one(&plain, k, c);
			tried++;
		}
	CHECK(hmm_stats_read(plain.hmm, NULL, &stats, sizeof(stats)) == 0);
	printf("%u changes: %llu events, %llu interposed, %llu records\n", tried,
	       (unsigned long long)stats.events, (unsigned long long)stats.interposed,
	       (unsigned long long)stats.perf_records);
	CHECK(!interposed || stats.interposed);
	CHECK(!raw || stats.events);
	plain_close(&plain);
	return 0;
}
