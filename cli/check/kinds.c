// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: which kinds of memory are there, and how is each made?
 *
 * Here: those that a program maps itself. heap.c has those that libc, the loader
 * and the kernel make for it.
 */
#include "suite.h"
#include "kinds.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/*
 * Far below where the kernel puts mappings of its own accord: an address that the suite
 * leaves empty stays empty until the suite fills it again.
 */
uint8_t *check_zone(size_t len)
{
	static uintptr_t next = 0x200000000000;
	uintptr_t at = next;

	next += (len / CHECK_HUGE + 3) * CHECK_HUGE;
	return (uint8_t *)at;
}

int region_reason(struct check_region *r, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->reason, sizeof(r->reason), format, args);
	va_end(args);
	return err;
}

/* ---- descriptors ------------------------------------------------------------------- */

/* A file without a name, in the first directory that takes one. */
static int open_file(void)
{
	const char *dirs[] = {getenv("HMM_CHECK_DIR"), getenv("TMPDIR"), "/var/tmp",
			      "/tmp"};
	char path[256];
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (!dirs[i] || !*dirs[i])
			continue;
		snprintf(path, sizeof(path), "%s/hmm-check.XXXXXX", dirs[i]);
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			unlink(path);
		if (i == 0)
			break; /* asked for: no other will do */
	}
	return fd;
}

static int open_shm(void)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/hmm-check.%d", (int)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd >= 0)
		shm_unlink(name);
	return fd;
}

static int open_backing(const struct check_kind *kind)
{
	if (kind->traits & T_FILE)
		return open_file();
	if (!strcmp(kind->name, "shm"))
		return open_shm();
	return memfd_create("hmm-check", MFD_CLOEXEC);
}

static int fill_backing(int fd, size_t len, const uint8_t *data)
{
	size_t done = 0;

	if (ftruncate(fd, (off_t)len))
		return -errno;
	while (done < len) {
		ssize_t n = pwrite(fd, data + done, len - done, (off_t)done);

		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* The descriptor to map: read-only kinds are mapped from one that cannot write. */
static int mapping_fd(const struct check_kind *kind, int fd)
{
	char path[64];

	if (kind->traits & T_WRITE)
		return dup(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int map_fd(struct check_region *r, const struct check_calls *calls, uint8_t *at,
		  size_t len, int flags, const uint8_t *data)
{
	unsigned int traits = r->kind->traits;
	int share = traits & T_SHARED ? MAP_SHARED : MAP_PRIVATE;
	int prot = traits & T_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
	int fd = open_backing(r->kind);
	int view, err;
	void *p;

	if (fd < 0)
		return -errno;
	err = fill_backing(fd, len, data);
	view = err ? -1 : mapping_fd(r->kind, fd);
	if (!err && view < 0)
		err = -errno;
	if (!err) {
		p = calls->mmap(at, len, prot, share | flags, view, 0);
		if (p == MAP_FAILED)
			err = errno == EEXIST ? -EBUSY : -errno;
	}
	if (view >= 0)
		close(view);
	if (!err && r->fd < 0 && len == r->len)
		r->fd = fd; /* the region's first: what truncation is about */
	else
		close(fd);
	return err;
}

/* ---- anonymous ------------------------------------------------------------------------
 */

static int map_anon_flags(const struct check_calls *calls, uint8_t *at, size_t len,
			  int prot, int flags)
{
	void *p = calls->mmap(at, len, prot, MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		return errno == EEXIST ? -EBUSY : -errno;
	return 0;
}

static int map_anon(struct check_region *r, const struct check_calls *calls, uint8_t *at,
		    size_t len, int flags, const uint8_t *data)
{
	int share = r->kind->traits & T_SHARED ? MAP_SHARED : MAP_PRIVATE;

	return map_anon_flags(calls, at, len, PROT_READ | PROT_WRITE, flags | share);
}

/* Written by the CPU, then closed to it: nothing can be seen of the way there. */
static int map_anon_ro(struct check_region *r, const struct check_calls *calls, uint8_t *at,
		       size_t len, int flags, const uint8_t *data)
{
	int err =
		map_anon_flags(calls, at, len, PROT_READ | PROT_WRITE, flags | MAP_PRIVATE);

	if (err)
		return err;
	memcpy(at, data, len);
	return calls->mprotect(at, len, PROT_READ) ? -errno : 0;
}

static int map_thp(struct check_region *r, const struct check_calls *calls, uint8_t *at,
		   size_t len, int flags, const uint8_t *data)
{
	int err =
		map_anon_flags(calls, at, len, PROT_READ | PROT_WRITE, flags | MAP_PRIVATE);

	if (err)
		return err;
	return madvise(at, len, MADV_HUGEPAGE) ? -errno : 0;
}

static int map_hugetlb(struct check_region *r, const struct check_calls *calls, uint8_t *at,
		       size_t len, int flags, const uint8_t *data)
{
	return map_anon_flags(calls, at, len, PROT_READ | PROT_WRITE,
			      flags | MAP_PRIVATE | MAP_HUGETLB);
}

/* ---- SysV ------------------------------------------------------------------------------
 */

static int map_sysv(struct check_region *r, const struct check_calls *calls, uint8_t *at,
		    size_t len, int flags, const uint8_t *data)
{
	int id = shmget(IPC_PRIVATE, len, IPC_CREAT | 0600);
	int over = (flags & MAP_FIXED) && !(flags & MAP_FIXED_NOREPLACE);
	int err = 0;

	if (id < 0)
		return -errno;
	if (calls->shmat(id, at, over ? SHM_REMAP : 0) == (void *)-1)
		err = errno == EINVAL ? -EBUSY : -errno;
	shmctl(id, IPC_RMID, NULL);
	return err;
}

/* ---- making one -------------------------------------------------------------------------
 */

static int make_own(struct check_region *r)
{
	int err;

	r->addr = check_zone(r->len);
	model_fill(r->shadow, 0, r->len, 0xb00c);
	/* A private page of a file that is dropped shows the file again; others show
	 * zeroes. */
	if ((r->kind->traits & (T_FILE | T_SHARED)) == T_FILE)
		memcpy(r->base, r->shadow, r->len);
	else
		r->base = NULL;
	err = r->kind->map(r, check_calls(WAY_LIBC, 1), r->addr, r->len,
			   MAP_FIXED_NOREPLACE, r->shadow);
	if (err)
		return region_reason(r, err, "cannot map %s memory: %s", r->kind->name,
				     strerror(-err));
	return 0;
}

static void unmake_own(struct check_region *r)
{
	munmap(r->addr, r->len);
	if (r->fd >= 0)
		close(r->fd);
}

static bool has_huge_page(const void *at)
{
	char line[256];
	FILE *maps = fopen("/proc/self/smaps", "re");
	bool here = false, huge = false;

	while (maps && fgets(line, sizeof(line), maps)) {
		uintptr_t lo, hi;
		unsigned long kib;

		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			here = lo <= (uintptr_t)at && (uintptr_t)at < hi;
		else if (here && sscanf(line, "AnonHugePages: %lu", &kib) == 1)
			huge = kib > 0;
	}
	if (maps)
		fclose(maps);
	return huge;
}

static int make_thp(struct check_region *r)
{
	int err = make_own(r);

	if (err)
		return err;
	memset(r->addr, 1, r->len);
	if (has_huge_page(r->addr))
		return 0;
	madvise(r->addr, r->len, MADV_COLLAPSE);
	if (has_huge_page(r->addr))
		return 0;
	munmap(r->addr, r->len);
	return region_reason(r, -EOPNOTSUPP,
			     "the kernel gave no transparent huge page (see "
			     "/sys/kernel/mm/transparent_hugepage/enabled)");
}

static int make_hugetlb(struct check_region *r)
{
	int err = make_own(r);

	if (!err)
		return 0;
	return region_reason(r, err,
			     "no huge pages can be had: reserve some as root: echo 32 > "
			     "/proc/sys/vm/nr_hugepages");
}

/* ---- huge pages, reserved for the run and given back ----------------------------------
 */

static const char huge_path[] = "/proc/sys/vm/nr_hugepages";
static long huge_before = -1;

static long huge_read(void)
{
	FILE *file = fopen(huge_path, "re");
	long n = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &n) != 1)
		n = -1;
	fclose(file);
	return n;
}

static int huge_write(long n)
{
	FILE *file = fopen(huge_path, "we");
	int err;

	if (!file)
		return -errno;
	err = fprintf(file, "%ld\n", n) < 0 ? -EIO : 0;
	return fclose(file) ? -errno : err;
}

void check_huge_reserve(void)
{
	long have = huge_read();

	if (have < 0 || have >= 32 || huge_write(32))
		return;
	huge_before = have;
}

void check_huge_give_back(void)
{
	if (huge_before >= 0)
		huge_write(huge_before);
	huge_before = -1;
}

/* ---- the table
 * ---------------------------------------------------------------------------- */

#define SMALL (16 * CHECK_PAGE), CHECK_PAGE

const struct check_kind check_kinds[] = {
	{"anon", "private anonymous", T_OWN | T_ANON | T_WRITE, SMALL, make_own, unmake_own,
	 map_anon},
	{"anon-ro", "private anonymous, read-only", T_OWN | T_ANON, SMALL, make_own,
	 unmake_own, map_anon_ro},
	{"thp", "transparent huge pages", T_OWN | T_ANON | T_WRITE | T_THP, 2 * CHECK_HUGE,
	 CHECK_PAGE, make_thp, unmake_own, map_thp},
	{"hugetlb", "MAP_HUGETLB, private", T_OWN | T_ANON | T_WRITE | T_HUGETLB,
	 2 * CHECK_HUGE, CHECK_HUGE, make_hugetlb, unmake_own, map_hugetlb},
	{"anon-shared", "anonymous, MAP_SHARED", T_OWN | T_SHARED | T_SHMEM | T_WRITE,
	 SMALL, make_own, unmake_own, map_anon},
	{"shm", "shm_open", T_OWN | T_SHARED | T_SHMEM | T_FD | T_WRITE, SMALL, make_own,
	 unmake_own, map_fd},
	{"memfd", "memfd_create", T_OWN | T_SHARED | T_SHMEM | T_FD | T_WRITE, SMALL,
	 make_own, unmake_own, map_fd},
	{"sysv", "shmget, shmat", T_OWN | T_SHARED | T_SHMEM | T_SYSV | T_WRITE, SMALL,
	 make_own, unmake_own, map_sysv},
	{"file-private", "a file, MAP_PRIVATE", T_OWN | T_FILE | T_FD | T_WRITE, SMALL,
	 make_own, unmake_own, map_fd},
	{"file-shared", "a file, MAP_SHARED", T_OWN | T_SHARED | T_FILE | T_FD | T_WRITE,
	 SMALL, make_own, unmake_own, map_fd},
	{"file-ro", "a file opened read-only, MAP_PRIVATE", T_OWN | T_FILE | T_FD, SMALL,
	 make_own, unmake_own, map_fd},
	{"file-shared-ro", "a file opened read-only, MAP_SHARED",
	 T_OWN | T_SHARED | T_FILE | T_FD, SMALL, make_own, unmake_own, map_fd},
	{"heap", "malloc, from the brk heap", T_ANON | T_WRITE | T_HEAP, SMALL, make_heap,
	 unmake_heap, NULL},
	{"heap-large", "malloc, a mapping of its own", T_ANON | T_WRITE | T_LARGE, SMALL,
	 make_large, unmake_heap, NULL},
	{"brk", "sbrk", T_ANON | T_WRITE | T_BRK, SMALL, make_brk, unmake_brk, NULL},
	{"stack", "the main thread's stack", T_ANON | T_WRITE, SMALL, make_stack,
	 unmake_kept, NULL},
	{"thread-stack", "a thread's stack, unmapped at its end",
	 T_ANON | T_WRITE | T_THREAD, SMALL, make_thread_big, unmake_thread, NULL},
	{"thread-cached", "a thread's stack, kept by libc for the next",
	 T_ANON | T_WRITE | T_THREAD, SMALL, make_thread_small, unmake_thread, NULL},
	{"rodata", "read-only data of the program", T_STATIC, SMALL, make_rodata,
	 unmake_kept, NULL},
	{"data", ".data of the program", T_STATIC | T_WRITE, SMALL, make_data, unmake_kept,
	 NULL},
	{"bss", ".bss of the program", T_STATIC | T_ANON | T_WRITE, SMALL, make_bss,
	 unmake_kept, NULL},
	{"library", ".data of a library that dlopen brought", T_LIBRARY | T_WRITE, SMALL,
	 make_library, unmake_library, NULL},
};
const unsigned int check_nr_kinds = sizeof(check_kinds) / sizeof(check_kinds[0]);
