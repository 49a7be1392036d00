/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which libc calls take pages away through a file, or a shared memory segment?
 *
 * None of them raises an event. Such pages are never pinned, so that a device cannot be
 * made stale by somebody else's call; what this process does itself is made known all the
 * same, so that who looks at a range is told (Y6).
 */
#undef _FILE_OFFSET_BITS /* or mmap would be a name of mmap64 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/shm.h>
#include <sys/types.h>

#include "linux/interpose.h"
#include "linux/interpose_next.h"
#include "sys/sys.h"
#include "util/arena.h"

#if INTERPOSE

#define HUGE_PAGE (2ull << 20)

/* Everything watched of that file, as one range. */
static void begin_inode(struct op *op, uint64_t ino)
{
	uint64_t start, end;
	bool found;

	op->hmm = NULL;
	if (!watch_maybe_file(watch_live, ino) || !as_hold())
		return;
	as_lock(&as_self.lock);
	found = watch_file_locked(&as_self.watch, ino, &start, &end);
	as_unlock(&as_self.lock);
	as_drop();
	if (found)
		interpose_begin(op, start, end, ALTERS);
}

void interpose_begin_fd(struct op *op, int fd)
{
	struct stat stat;

	op->hmm = NULL;
	if (interpose_files() && sys_fstat(fd, &stat) == 0)
		begin_inode(op, stat.st_ino);
}

void interpose_begin_path(struct op *op, const char *path)
{
	struct stat stat;

	op->hmm = NULL;
	if (interpose_files() && sys_stat(path, &stat) == 0)
		begin_inode(op, stat.st_ino);
}

static int truncate_fd(next_ftruncate *next, int fd, off_t len)
{
	struct op op;
	int ret;

	interpose_begin_fd(&op, fd);
	if (likely(next))
		ret = next(fd, len);
	else
		ret = (int)interpose_result(raw2(SYS_ftruncate, fd, len));
	interpose_end(&op);
	return ret;
}

INTERPOSED int ftruncate(int fd, off_t len)
{
	return truncate_fd(next_in_line()->ftruncate, fd, len);
}

INTERPOSED int ftruncate64(int fd, off64_t len)
{
	return truncate_fd(next_in_line()->ftruncate64, fd, len);
}

static int truncate_path(next_truncate *next, const char *path, off_t len)
{
	struct op op;
	int ret;

	interpose_begin_path(&op, path);
	if (likely(next))
		ret = next(path, len);
	else
		ret = (int)interpose_result(raw2(SYS_truncate, (long)path, len));
	interpose_end(&op);
	return ret;
}

INTERPOSED int truncate(const char *path, off_t len)
{
	return truncate_path(next_in_line()->truncate, path, len);
}

INTERPOSED int truncate64(const char *path, off64_t len)
{
	return truncate_path(next_in_line()->truncate64, path, len);
}

#define REMOVING                                                                  \
	(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE | \
	 FALLOC_FL_INSERT_RANGE)

bool interpose_removes(int mode)
{
	return mode & REMOVING;
}

static int allocate(int fd, int mode, off_t offset, off_t len)
{
	struct op op = {NULL};
	long ret;

	/* libc's is a cancellation point, where a change must not be left under way: so it
	 * is the kernel that comes next here. */
	pthread_testcancel();
	if (interpose_removes(mode))
		interpose_begin_fd(&op, fd);
	ret = raw4(SYS_fallocate, fd, mode, offset, len);
	interpose_end(&op);
	return (int)interpose_result(ret);
}

INTERPOSED int fallocate(int fd, int mode, off_t offset, off_t len)
{
	return allocate(fd, mode, offset, len);
}

INTERPOSED int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	return allocate(fd, mode, offset, len);
}

/* ---- System V shared memory ------------------------------------------------------------
 */

/* As the kernel looks for it: the pieces of one segment, one after the other. */
static uint64_t segment_end(uint64_t addr)
{
	struct as_mapping first, next;
	uint64_t end;

	if (maps_find(&as_self.maps, addr, &first))
		return addr;
	for (end = first.end; maps_find(&as_self.maps, end, &next) == 0; end = next.end)
		if (next.ino != first.ino)
			break;
	return end;
}

void interpose_begin_detach(struct op *op, uint64_t addr)
{
	op->hmm = NULL;
	if (!interpose_mirrored(addr, addr + 1, REPLACES) || !as_hold())
		return;
	interpose_begin(op, addr, segment_end(addr), REPLACES);
	as_drop();
}

INTERPOSED int shmdt(const void *addr)
{
	const struct next *next = next_in_line();
	struct op op;
	int ret;

	interpose_begin_detach(&op, (uintptr_t)addr);
	if (likely(next->shmdt))
		ret = next->shmdt(addr);
	else
		ret = (int)interpose_result(raw1(SYS_shmdt, (long)addr));
	interpose_end(&op);
	return ret;
}

static uint64_t segment_size(int id)
{
	struct shmid_ds segment;

	if (sys_shm_stat(id, &segment))
		return page_size();
	/* It may be made of huge pages. */
	return (segment.shm_segsz + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
}

void interpose_begin_attach(struct op *op, int id, uint64_t addr, int flags)
{
	op->hmm = NULL;
	if (flags & SHM_RND)
		addr &= ~((uint64_t)SHMLBA - 1);
	if (addr && flags & SHM_REMAP && interpose_open())
		interpose_begin(op, addr, addr + segment_size(id), REPLACES);
}

void interpose_attached(int id, uint64_t addr, int flags)
{
	if (interpose_open() && !(flags & SHM_REMAP))
		interpose_placed(addr, addr + segment_size(id));
}

INTERPOSED void *shmat(int id, const void *addr, int flags)
{
	const struct next *next = next_in_line();
	struct op op;
	void *ret;

	interpose_begin_attach(&op, id, (uintptr_t)addr, flags);
	if (likely(next->shmat))
		ret = next->shmat(id, addr, flags);
	else
		ret = (void *)interpose_result(raw3(SYS_shmat, id, (long)addr, flags));
	interpose_end(&op);
	if (ret != (void *)-1)
		interpose_attached(id, (uintptr_t)ret, flags);
	return ret;
}

#endif
