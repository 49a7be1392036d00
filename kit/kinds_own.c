// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: which memory does a program map itself, and how?
 */
#include "kinds.h"

#include "place.h"

#include <errno.h>
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

int kit_open_backing(const struct kit_kind *kind)
{
	if (kind->traits & T_FILE)
		return open_file(kind->dir);
	if (!strcmp(kind->name, "shm"))
		return open_shm();
	return memfd_create("hmm-check", MFD_CLOEXEC);
}

/* Huge pages take blocks that lie together, sparse files have none. */
static int fill_backing(const struct kit_kind *kind, int fd, size_t len,
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
static int mapping_fd(const struct kit_kind *kind, int fd)
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
static int reserve(const struct kit_calls *calls, uint8_t *at, size_t len, int *flags)
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

int map_fd(struct kit_region *r, const struct kit_calls *calls, uint8_t *at, size_t len,
	   int flags, const uint8_t *data)
{
	unsigned int traits = r->kind->traits;
	int share = share_flags(traits);
	int prot = traits & T_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
	int fd = kit_open_backing(r->kind);
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

static int map_anon_flags(const struct kit_calls *calls, uint8_t *at, size_t len, int prot,
			  int flags)
{
	void *p = calls->mmap(at, len, prot, MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		return errno == EEXIST ? -EBUSY : -errno;
	return 0;
}

int map_anon(struct kit_region *r, const struct kit_calls *calls, uint8_t *at, size_t len,
	     int flags, const uint8_t *data)
{
	int share = r->kind->traits & T_SHARED ? MAP_SHARED : MAP_PRIVATE;

	return map_anon_flags(calls, at, len, PROT_READ | PROT_WRITE, flags | share);
}

/* Written by the CPU, then closed to it: nothing can be seen of the way there. */
int map_anon_ro(struct kit_region *r, const struct kit_calls *calls, uint8_t *at,
		size_t len, int flags, const uint8_t *data)
{
	int err =
		map_anon_flags(calls, at, len, PROT_READ | PROT_WRITE, flags | MAP_PRIVATE);

	if (err)
		return err;
	memcpy(at, data, len);
	return calls->mprotect(at, len, PROT_READ) ? -errno : 0;
}

int map_thp(struct kit_region *r, const struct kit_calls *calls, uint8_t *at, size_t len,
	    int flags, const uint8_t *data)
{
	int err =
		map_anon_flags(calls, at, len, PROT_READ | PROT_WRITE, flags | MAP_PRIVATE);

	if (err)
		return err;
	return madvise(at, len, MADV_HUGEPAGE) ? -errno : 0;
}

int map_hugetlb(struct kit_region *r, const struct kit_calls *calls, uint8_t *at,
		size_t len, int flags, const uint8_t *data)
{
	return map_anon_flags(calls, at, len, PROT_READ | PROT_WRITE,
			      flags | MAP_PRIVATE | MAP_HUGETLB);
}

/* ---- SysV ------------------------------------------------------------------------------
 */

int map_sysv(struct kit_region *r, const struct kit_calls *calls, uint8_t *at, size_t len,
	     int flags, const uint8_t *data)
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

int make_own(struct kit_region *r)
{
	int err;

	r->addr = kit_zone(r->len);
	kit_stamp_fill(r->shadow, 0, r->len, 0xb00c);
	/* A private page of a file that is dropped shows the file again; others show
	 * zeroes. */
	if ((r->kind->traits & (T_FILE | T_SHARED)) == T_FILE)
		memcpy(r->base, r->shadow, r->len);
	else
		r->base = NULL;
	err = r->kind->map(r, kit_calls(WAY_LIBC, 1), r->addr, r->len, MAP_FIXED_NOREPLACE,
			   r->shadow);
	if (err)
		return kit_region_reason(r, err, "cannot map %s memory: %s", r->kind->name,
					 strerror(-err));
	return 0;
}

void unmake_own(struct kit_region *r)
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

int make_thp(struct kit_region *r)
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
	return kit_region_reason(r, -EOPNOTSUPP,
				 "the kernel gave no transparent huge page (see "
				 "/sys/kernel/mm/transparent_hugepage/enabled)");
}

int make_hugetlb(struct kit_region *r)
{
	int err = make_own(r);

	if (!err)
		return 0;
	return kit_region_reason(
		r, err,
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

void kit_huge_reserve(void)
{
	long have = huge_read();

	if (have < 0 || have >= 32 || huge_write(32))
		return;
	huge_before = have;
}

void kit_huge_give_back(void)
{
	if (huge_before >= 0)
		huge_write(huge_before);
	huge_before = -1;
}
