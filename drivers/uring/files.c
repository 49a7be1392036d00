// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: which files gain by a fixed buffer, and take one as they
 * take the process's own memory?
 *
 * What is copied gains nothing: a read from the page cache, a pipe or a socket is as fast
 * into the process's own memory (hmm bench uring). What is moved by the device itself does:
 * without a fixed buffer its pages are pinned for each operation. So it is O_DIRECT that
 * counts, which only regular files and block devices have, and pipes (where it means
 * something else, and harms nothing). Drivers of character devices that want the process's
 * own memory (/dev/fuse, sound, InfiniBand) are never given anything else.
 *
 * O_DIRECT has to be asked of the kernel (fcntl): that a file has it holds for one submit,
 * that it has not, which is right in any case, for a few hundred uses.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define USES 256 /* of what is plain, before it is looked at again */

#define MAY_MOVE_LATER (IOSQE_ASYNC | IOSQE_IO_DRAIN)

/* HMM_URING_PIN_ALL: what takes a fixed buffer, though it gains nothing. */
static enum uring_file_kind kind_of_all(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return FILE_PLAIN;
	return S_ISREG(stat.st_mode) || S_ISBLK(stat.st_mode) || S_ISFIFO(stat.st_mode) ||
			       S_ISSOCK(stat.st_mode)
		       ? FILE_ANY
		       : FILE_PLAIN;
}

static __attribute__((noinline)) enum uring_file_kind
look_at(struct hmm_uring *u, struct uring_file *file, int fd)
{
	int saved = errno, flags = fcntl(fd, F_GETFL);

	file->fd = fd;
	file->submit = u->submits;
	file->left = USES;
	if (flags < 0)
		file->kind = FILE_UNKNOWN;
	else if (flags & O_DIRECT)
		file->kind = FILE_ALIGNED;
	else
		file->kind = u->pin_all ? kind_of_all(fd) : FILE_PLAIN;
	errno = saved;
	return file->kind;
}

static inline enum uring_file_kind kind_of(struct hmm_uring *u, int fd)
{
	struct uring_file *file = &u->files[(unsigned int)fd % FILES];

	if (uring_file_is_plain(u, fd))
		return FILE_PLAIN;
	if (file->fd == fd && file->kind > FILE_PLAIN && file->submit == u->submits)
		return file->kind;
	return look_at(u, file, fd);
}

/*
 * The file is looked at here and used by the kernel when the operation starts. That is
 * within the same submit, but for what waits for others: the number may be another file's
 * by then, and registered files cannot be looked at.
 */
enum uring_file_kind uring_file_kind(struct hmm_uring *u, const struct io_uring_sqe *sqe)
{
	enum uring_file_kind kind;

	if (!u->pin_all && sqe->flags & (MAY_MOVE_LATER | IOSQE_FIXED_FILE))
		return FILE_PLAIN;
	if (sqe->opcode == IORING_OP_SEND_ZC)
		return FILE_ANY; /* the network knows one kind of memory only */
	if (sqe->flags & IOSQE_FIXED_FILE)
		return FILE_ALIGNED;
	kind = kind_of(u, sqe->fd);
	return kind == FILE_UNKNOWN ? FILE_PLAIN : kind;
}

bool uring_file_has(const struct io_uring_sqe *sqe, const struct uring_span *span)
{
	int saved = errno;
	uint64_t size = 0;
	struct stat stat;

	if (sqe->flags & IOSQE_FIXED_FILE || sqe->opcode == IORING_OP_SEND_ZC)
		return false;
	if (!fstat(sqe->fd, &stat)) {
		if (S_ISREG(stat.st_mode))
			size = (uint64_t)stat.st_size;
		else if (S_ISBLK(stat.st_mode) && ioctl(sqe->fd, BLKGETSIZE64, &size))
			size = 0;
	}
	errno = saved;
	return sqe->off <= size && span->len <= size - sqe->off;
}
