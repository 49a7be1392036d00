// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: which kinds of memory are there, and how is each made?
 *
 * Here: those that a program maps itself. heap.c has those that libc, the loader
 * and the kernel make for it.
 */
#include "suite.h"
#include "kinds.h"

#include "../place.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#ifndef MAP_SYNC
#include <linux/mman.h>
#endif

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

size_t check_page = 4096, check_huge = (size_t)2 << 20, check_hugetlb = (size_t)2 << 20;

static size_t read_size(const char *path, const char *format, size_t unit, size_t otherwise)
{
	char line[128];
	FILE *file = fopen(path, "re");
	unsigned long value = 0;

	while (file && !value && fgets(line, sizeof(line), file))
		(void)sscanf(line, format, &value);
	if (file)
		fclose(file);
	return value ? value * unit : otherwise;
}

static void check_sizes_init(void)
{
	check_page = (size_t)sysconf(_SC_PAGESIZE);
	/* A level of the page table: entries of 8 bytes. */
	check_huge = read_size("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "%lu",
			       1, check_page * (check_page / 8));
	check_hugetlb =
		read_size("/proc/meminfo", "Hugepagesize: %lu kB", 1024, check_huge);
}

/*
 * Far below where the kernel puts mappings of its own accord: an address that the suite
 * leaves empty stays empty until the suite fills it again.
 */
uint8_t *check_zone(size_t len)
{
	static uintptr_t next = 0x200000000000;
	size_t unit = check_huge > check_hugetlb ? check_huge : check_hugetlb;
	uintptr_t at = (next + unit - 1) / unit * unit;

	next = at + (len / unit + 3) * unit;
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
static int open_file(const char *dir)
{
	const char *dirs[] = {dir, getenv("HMM_CHECK_DIR"), getenv("TMPDIR"), "/var/tmp",
			      "/tmp"};
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (!dirs[i] || !*dirs[i])
			continue;
		fd = place_open(dirs[i]);
		if (fd < 0)
			errno = -fd;
		if (i < 2)
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

int check_open_backing(const struct check_kind *kind)
{
	if (kind->traits & T_FILE)
		return open_file(kind->dir);
	if (!strcmp(kind->name, "shm"))
		return open_shm();
	return memfd_create("hmm-check", MFD_CLOEXEC);
}

/* Huge pages take blocks that lie together, sparse files have none. */
static int fill_backing(const struct check_kind *kind, int fd, size_t len,
			const uint8_t *data)
{
	size_t done = kind->traits & T_SPARSE ? len : 0;

	if (kind->traits & T_HUGE && fallocate(fd, 0, 0, (off_t)len))
		return -errno;
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

static int share_flags(unsigned int traits)
{
	if (traits & T_SYNC)
		return MAP_SHARED_VALIDATE | MAP_SYNC;
	return traits & T_SHARED ? MAP_SHARED : MAP_PRIVATE;
}

/*
 * MAP_SHARED_VALIDATE does not know MAP_FIXED_NOREPLACE: the addresses are taken by
 * something else first.
 */
static int reserve(const struct check_calls *calls, uint8_t *at, size_t len, int *flags)
{
	if (!(*flags & MAP_FIXED_NOREPLACE))
		return 0;
	if (calls->mmap(at, len, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			0) == MAP_FAILED)
		return errno == EEXIST ? -EBUSY : -errno;
	*flags = MAP_FIXED;
	return 0;
}

int map_fd(struct check_region *r, const struct check_calls *calls, uint8_t *at, size_t len,
	   int flags, const uint8_t *data)
{
	unsigned int traits = r->kind->traits;
	int share = share_flags(traits);
	int prot = traits & T_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
	int fd = check_open_backing(r->kind);
	int view, err;
	void *p;

	if (fd < 0)
		return -errno;
	err = fill_backing(r->kind, fd, len, data);
	view = err ? -1 : mapping_fd(r->kind, fd);
	if (!err && view < 0)
		err = -errno;
	if (!err && (traits & T_SYNC))
		err = reserve(calls, at, len, &flags);
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

int make_own(struct check_region *r)
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

void unmake_own(struct check_region *r)
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

#define SMALL 0, 0

static const struct check_kind everywhere[] = {
	{"anon", "private anonymous", T_OWN | T_ANON | T_WRITE, SMALL, make_own, unmake_own,
	 map_anon},
	{"anon-ro", "private anonymous, read-only", T_OWN | T_ANON, SMALL, make_own,
	 unmake_own, map_anon_ro},
	{"thp", "transparent huge pages", T_OWN | T_ANON | T_WRITE | T_THP, 0, 0, make_thp,
	 unmake_own, map_thp},
	{"hugetlb", "MAP_HUGETLB, private", T_OWN | T_ANON | T_WRITE | T_HUGETLB, 0, 0,
	 make_hugetlb, unmake_own, map_hugetlb},
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

struct check_kind check_kinds[CHECK_MAX_KINDS];
unsigned int check_nr_kinds;

static void set_size(struct check_kind *kind)
{
	size_t huge = kind->traits & T_HUGETLB ? check_hugetlb : check_huge;

	kind->page = CHECK_PAGE;
	kind->len = CHECK_PAGES * CHECK_PAGE;
	if (kind->traits & (T_HUGETLB | T_DEVICE))
		kind->page = huge;
	if (kind->traits & (T_HUGETLB | T_DEVICE | T_THP | T_HUGE))
		kind->len = 2 * huge;
	if (kind->len > CHECK_MAX_LEN && !kind->missing)
		kind->missing = "huge pages of this machine are larger than the suite's "
				"regions";
}

struct check_kind *check_kind_add(const struct check_kind *kind)
{
	struct check_kind *to = &check_kinds[check_nr_kinds];

	if (check_nr_kinds == CHECK_MAX_KINDS)
		return NULL;
	*to = *kind;
	check_nr_kinds++;
	return to;
}

void check_kinds_init(void)
{
	check_nr_kinds = 0;
	check_sizes_init();
	for (size_t i = 0; i < sizeof(everywhere) / sizeof(everywhere[0]); i++)
		check_kind_add(&everywhere[i]);
	check_dax_kinds();
	for (unsigned int k = 0; k < check_nr_kinds; k++)
		set_size(&check_kinds[k]);
}
