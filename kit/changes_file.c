// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: how does memory change that its mapping is not asked about?
 *
 * By its file (truncated, or a hole punched, by this process, through another mapping, or
 * by another process), by SysV's calls, and by fork.
 */
#include "changes.h"
#include "kinds.h"

#include <errno.h>
#include <linux/fs.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef FALLOC_FL_PUNCH_HOLE
#include <linux/falloc.h>
#endif

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* ---- the other process: it has the file open, and none of this process's memory ---- */

struct order {
	bool punch;
	off_t offset, len;
};

static int other_socket = -1;

static int take_order(int socket, struct order *order, int *fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {order, sizeof(*order)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;

	if (recvmsg(socket, &msg, 0) != sizeof(*order))
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg)
		return -1;
	memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
	return 0;
}

static void other_serve(int socket)
{
	struct order order = {0};
	int fd = -1, err;

	while (!take_order(socket, &order, &fd)) {
		if (order.punch)
			err = fallocate(fd, PUNCH, order.offset, order.len) ? -errno : 0;
		else
			err = ftruncate(fd, order.len) ? -errno : 0;
		close(fd);
		if (write(socket, &err, sizeof(err)) != sizeof(err))
			break;
	}
	_exit(0);
}

int kit_other_start(void)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		close(pair[0]);
		other_serve(pair[1]);
	}
	close(pair[1]);
	other_socket = pair[0];
	return 0;
}

static int other_do(int fd, bool punch, off_t offset, off_t len)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct order order = {punch, offset, len};
	struct iovec iov = {&order, sizeof(order)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int err = -EIO;

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(other_socket, &msg, 0) != sizeof(order) ||
	    read(other_socket, &err, sizeof(err)) != sizeof(err))
		err = -EIO;
	errno = -err;
	return err ? -1 : 0;
}

/* ---- files --------------------------------------------------------------------------- */

static int truncate_to(struct kit_act *act, size_t len)
{
	if (act->way == WAY_OTHER)
		return other_do(act->r->fd, false, 0, (off_t)len);
	return act->calls->ftruncate(act->r->fd, (off_t)len);
}

int apply_ftruncate(struct kit_act *act)
{
	if (truncate_to(act, act->lo))
		return call_failed(act, "ftruncate");
	return 0;
}

int restore_ftruncate(struct kit_act *act)
{
	if (truncate_to(act, act->r->len))
		return call_failed(act, "ftruncate");
	return 0;
}

static int punch_alias(struct kit_act *act)
{
	uint8_t *alias =
		mmap(NULL, act->r->len, PROT_READ | PROT_WRITE, MAP_SHARED, act->r->fd, 0);
	int rc;

	if (alias == MAP_FAILED)
		return -1;
	rc = madvise(alias + act->lo, LEN(act), MADV_REMOVE);
	munmap(alias, act->r->len);
	return rc;
}

int apply_punch(struct kit_act *act)
{
	int rc;

	if (act->way == WAY_OTHER)
		rc = other_do(act->r->fd, true, (off_t)act->lo, (off_t)LEN(act));
	else if (act->way == WAY_ALIAS)
		rc = punch_alias(act);
	else
		rc = act->calls->fallocate(act->r->fd, PUNCH, (off_t)act->lo,
					   (off_t)LEN(act));
	return rc ? call_failed(act, "fallocate") : 0;
}

/* The name that the file gets: beside where it lies. */
static int name_of(struct kit_act *act, char *out, size_t size)
{
	char link[64], path[4000];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", act->r->fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return -1;
	path[n] = 0;
	*strrchr(path, '/') = 0;
	snprintf(out, size, "%s/hmm-check.%d", path, (int)getpid());
	return 0;
}

int apply_unlink(struct kit_act *act)
{
	char link[64], name[4096];

	if (name_of(act, name, sizeof(name)))
		return call_failed(act, "readlink");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", act->r->fd);
	if (linkat(AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW))
		return act_skip(act, "the file system gives no name to a file without: %s",
				strerror(errno));
	act->data = strdup(name);
	return 0;
}

int restore_unlink(struct kit_act *act)
{
	int rc = unlink(act->data);

	free(act->data);
	act->data = NULL;
	return rc ? call_failed(act, "unlink") : 0;
}

/* What a clone keeps while the file goes on. */
struct clone {
	int fd;
	uint8_t then[];
};

static int cannot_clone(struct kit_act *act)
{
	if (errno == ENOTTY || errno == EXDEV)
		errno = EOPNOTSUPP;
	return call_failed(act, "FICLONE");
}

/* Before Linux 6.2 the first write to such a block makes the kernel warn. */
static bool shared_blocks_warn(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	return !uname(&name) && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	       (major < 6 || (major == 6 && minor < 2));
}

static bool cannot_share_blocks(struct kit_act *act)
{
	if (!(act->r->kind->traits & T_DAX) || !shared_blocks_warn())
		return false;
	act_skip(act,
		 "before Linux 6.2 the kernel itself warns when blocks that a DAX file "
		 "shares with a clone are written");
	return true;
}

int apply_reflink(struct kit_act *act)
{
	struct clone *clone;

	if (cannot_share_blocks(act))
		return -EOPNOTSUPP;
	clone = calloc(1, sizeof(*clone) + 2 * act->r->len);
	if (!clone)
		return act_fail(act, "no memory");
	act->data = clone;
	clone->fd = kit_open_backing(act->r->kind);
	if (clone->fd < 0 || ioctl(clone->fd, FICLONE, act->r->fd))
		return cannot_clone(act);
	if (pread(clone->fd, clone->then, act->r->len, 0) != (ssize_t)act->r->len)
		return act_fail(act, "the clone cannot be read: %s", strerror(errno));
	if ((act->r->kind->traits & T_SHARED) &&
	    memcmp(clone->then, act->r->shadow, act->r->len))
		return act_wrong(act, "the clone does not have what was written before");
	return 0;
}

/* The device and the CPU have written since. */
int restore_reflink(struct kit_act *act)
{
	struct clone *clone = act->data;
	uint8_t *now = clone->then + act->r->len;

	if (pread(clone->fd, now, act->r->len, 0) != (ssize_t)act->r->len)
		return act_fail(act, "the clone cannot be read: %s", strerror(errno));
	if (memcmp(now, clone->then, act->r->len))
		return act_wrong(act, "a write to the file is in its clone");
	return 0;
}

void cleanup_reflink(struct kit_act *act)
{
	struct clone *clone = act->data;

	if (clone && clone->fd >= 0)
		close(clone->fd);
	free(clone);
}

int apply_reflink_onto(struct kit_act *act)
{
	int fd = cannot_share_blocks(act) ? -1 : kit_open_backing(act->r->kind);
	struct file_clone_range range = {
		.src_fd = fd, .src_length = LEN(act), .dest_offset = act->lo};
	int rc;

	if (fd < 0)
		return act->reason[0] ? -EOPNOTSUPP : call_failed(act, "a file to clone");
	rc = pwrite(fd, FRESH(act), LEN(act), 0) == (ssize_t)LEN(act) ? 0 : -1;
	if (!rc)
		rc = ioctl(act->r->fd, FICLONERANGE, &range);
	rc = rc ? cannot_clone(act) : 0;
	close(fd);
	return rc;
}

/* The second half of the file, which nothing maps so far, is shown at [lo, hi). */
int apply_remap_file_pages(struct kit_act *act)
{
	size_t offset = act->r->len + act->lo;

	if (pwrite(act->r->fd, FRESH(act), LEN(act), (off_t)offset) != (ssize_t)LEN(act))
		return act_fail(act, "pwrite: %s", strerror(errno));
	if (act->calls->remap_file_pages(AT(act), LEN(act), 0, offset / KIT_PAGE, 0))
		return call_failed(act, "remap_file_pages");
	return 0;
}

/* ---- SysV ------------------------------------------------------------------------------
 */

int apply_shmdt(struct kit_act *act)
{
	if (act->calls->shmdt(act->r->addr))
		return call_failed(act, "shmdt");
	return 0;
}

int apply_shmat(struct kit_act *act)
{
	int id = shmget(IPC_PRIVATE, LEN(act), IPC_CREAT | 0600);
	void *p;

	if (id < 0)
		return call_failed(act, "shmget");
	p = shmat(id, NULL, 0);
	if (p == (void *)-1) {
		shmctl(id, IPC_RMID, NULL);
		return call_failed(act, "shmat");
	}
	memcpy(p, FRESH(act), LEN(act));
	shmdt(p);
	p = act->calls->shmat(id, AT(act), SHM_REMAP);
	shmctl(id, IPC_RMID, NULL);
	if (p == (void *)-1)
		return call_failed(act, "shmat");
	return 0;
}

/* ---- fork
 * --------------------------------------------------------------------------------- */

/* In the child: nothing but system calls and a comparison. 0: its copy is as it was. */
static void child_compare(struct kit_act *act)
{
	bool shared = act->r->kind->traits & T_SHARED;
	char go;

	close(act->pipe[1]);
	if (read(act->pipe[0], &go, 1) != 1)
		_exit(3);
	if (!shared && memcmp(act->r->addr, act->r->shadow, act->r->len))
		_exit(1);
	_exit(0);
}

int apply_fork(struct kit_act *act)
{
	if (pipe2(act->pipe, O_CLOEXEC))
		return call_failed(act, "pipe2");
	act->child = act->calls->fork();
	if (act->child < 0)
		return call_failed(act, "fork");
	if (!act->child)
		child_compare(act);
	close(act->pipe[0]);
	act->pipe[0] = -1;
	return 0;
}

int restore_fork(struct kit_act *act)
{
	int status = -1;

	if (write(act->pipe[1], "g", 1) != 1 || waitpid(act->child, &status, 0) < 0)
		return act_fail(act, "the child is gone: %s", strerror(errno));
	act->child = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return act_wrong(act, "the child's copy changed (status %x)", status);
	return 0;
}

void cleanup_fork(struct kit_act *act)
{
	for (int i = 0; i < 2; i++) {
		if (act->pipe[i] >= 0)
			close(act->pipe[i]);
	}
	if (act->child > 0) {
		kill(act->child, SIGKILL);
		waitpid(act->child, NULL, 0);
	}
}

int apply_spawn(struct kit_act *act)
{
	char *argv[] = {(char *)"true", NULL};
	pid_t pid;
	int err = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ);

	if (err)
		return act_skip(act, "posix_spawn: %s", strerror(err));
	waitpid(pid, NULL, 0);
	return 0;
}
