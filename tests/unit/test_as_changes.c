/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is every change of real memory noticed, through libc, by name and by number, and by raw
 * system calls?
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

static bool raw;     /* make the calls as no library hears of them */
static bool by_name; /* or else through libc, by the function of each call's name */

/* By its number: through libc's syscall(), or raw. */
#define numbered(nr, ...) (raw ? raw_call(nr, __VA_ARGS__) : syscall(nr, __VA_ARGS__))
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
	return by_name ? munmap(p + PAGE, PAGE) : numbered(SYS_munmap, p + PAGE, PAGE);
}

static long do_mmap_over(char *p)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	if (by_name)
		return mmap(p, LEN, PROT_READ, flags, -1, 0) == MAP_FAILED ? -1 : 0;
	return numbered(SYS_mmap, p, LEN, PROT_READ, flags, -1, 0) == -1 ? -1 : 0;
}

static long remap(char *p, size_t len, int flags, char *to)
{
	if (by_name)
		return mremap(p, LEN, len, flags, to) == MAP_FAILED ? -1 : 0;
	return numbered(SYS_mremap, p, LEN, len, flags, to) == -1 ? -1 : 0;
}

static long do_mremap(char *p)
{
	return remap(p, LEN * 4, MREMAP_MAYMOVE, NULL);
}

static long do_mremap_shrink(char *p)
{
	return remap(p, PAGE, 0, NULL);
}

static long do_mremap_onto(char *p)
{
	char *from = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	return remap(from, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, p);
}

static long advise(char *p, size_t len, int advice)
{
	return by_name ? madvise(p, len, advice) : numbered(SYS_madvise, p, len, advice);
}

static long do_dontneed(char *p)
{
	return advise(p, LEN, MADV_DONTNEED);
}

static long do_free_pages(char *p)
{
	return advise(p, LEN, MADV_FREE);
}

static long do_remove(char *p)
{
	return advise(p, LEN, MADV_REMOVE);
}

static long do_dontneed_locked(char *p)
{
	return advise(p, LEN, MADV_DONTNEED_LOCKED);
}

static long do_mprotect(char *p)
{
	if (by_name)
		return mprotect(p + PAGE, PAGE, PROT_READ);
	return numbered(SYS_mprotect, p + PAGE, PAGE, PROT_READ);
}

static long do_pkey_mprotect(char *p)
{
	if (by_name)
		return pkey_mprotect(p + PAGE, PAGE, PROT_READ, -1);
	return numbered(SYS_pkey_mprotect, p + PAGE, PAGE, PROT_READ, -1);
}

static long do_guard(char *p)
{
	return raw ? -1 : advise(p, PAGE * 2, 102);
}

static long process_advise(char *p, int advice)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec iov[] = {{p, PAGE}, {p + PAGE, PAGE}};
	long ret = by_name ? process_madvise(fd, iov, 2, advice, 0)
			   : numbered(SYS_process_madvise, fd, iov, 2, advice, 0);

	close(fd);
	return ret == 2 * (long)PAGE ? 0 : -1;
}

/* Only from 6.13 on may it discard. */
static long do_process_madvise(char *p)
{
	return process_advise(p, MADV_DONTNEED);
}

static long do_process_guard(char *p)
{
	return raw ? -1 : process_advise(p, 102);
}

static long do_shmdt(char *p)
{
	return by_name ? shmdt(p) : numbered(SYS_shmdt, p);
}

static long do_shmat_over(char *p)
{
	int id = shmget(IPC_PRIVATE, LEN, 0600);
	long ret = by_name ? (long)shmat(id, p, SHM_REMAP)
			   : numbered(SYS_shmat, id, p, SHM_REMAP);

	shmctl(id, IPC_RMID, NULL);
	return ret == (long)p ? 0 : -1;
}

static long do_remap_file(char *p)
{
	if (by_name)
		return remap_file_pages(p + PAGE, PAGE, 0, 3, 0);
	return numbered(SYS_remap_file_pages, p + PAGE, PAGE, 0, 3, 0);
}

static long cut(int fd)
{
	return by_name ? ftruncate(fd, (off_t)PAGE) : numbered(SYS_ftruncate, fd, PAGE);
}

static long do_ftruncate(char *p)
{
	/* Whichever of the two it is: the other has no mapping now. */
	return raw ? -1 : cut(file_fd) | cut(mem_fd);
}

static long do_truncate(char *p)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
	if (raw)
		return -1;
	return by_name ? truncate(path, (off_t)PAGE) : numbered(SYS_truncate, path, PAGE);
}

static long punch(int fd)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return by_name ? fallocate(fd, mode, (off_t)PAGE, (off_t)PAGE)
		       : numbered(SYS_fallocate, fd, mode, PAGE, PAGE);
}

static long do_punch(char *p)
{
	return raw ? -1 : punch(file_fd) | punch(mem_fd);
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
	{"process_madvise, guards", do_process_guard, 0},
	{"shmdt", do_shmdt, 0x20},
	{"shmat over", do_shmat_over, EVERY},
	{"remap_file_pages", do_remap_file, FILES},
	{"ftruncate", do_ftruncate, FILES},
	{"truncate", do_truncate, 0x08},
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
			kinds[kind].name,
			raw       ? ", raw"
			: by_name ? ""
				  : ", by number");
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

	if (make == do_ftruncate || make == do_truncate || make == do_punch ||
	    make == do_guard || make == do_process_guard)
		return interposed && !raw;
	if (make == do_shmdt)
		return (interposed && !raw);
	if (make == do_mprotect || make == do_pkey_mprotect || make == do_shmat_over)
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
	by_name = !raw && (argc < 2 || strcmp(argv[1], "number"));
	file_fd = mkstemp(path);
	unlink(path);
	mem_fd = memfd_create("changes", MFD_CLOEXEC);
	plain_open(&plain, events ? HMM_NO_INTERPOSE : 0);
	if (!is_on("userfaultfd")) {
		plain_close(&plain);
		return 77; /* nothing is remembered, so nothing has to be noticed */
	}
	interposed = is_on("interposition");
	perf = is_on("perf-at-once");
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
