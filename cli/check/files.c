// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: how does memory change that its mapping is not asked about?
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

#define AT(run)  ((run)->r.addr + (run)->lo)
#define LEN(run) ((run)->hi - (run)->lo)
#define PUNCH    (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

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

int other_start(void)
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

static int truncate_to(struct check_run *run, size_t len)
{
	if (run->way == WAY_OTHER)
		return other_do(run->r.fd, false, 0, (off_t)len);
	return run->calls->ftruncate(run->r.fd, (off_t)len);
}

int apply_ftruncate(struct check_run *run)
{
	if (truncate_to(run, run->lo))
		return call_failed(run, "ftruncate");
	model_state(run, run->lo, run->hi, PAGE_BUS);
	return 0;
}

int again_ftruncate(struct check_run *run)
{
	if (truncate_to(run, run->r.len))
		return call_failed(run, "ftruncate");
	/* Truncation takes the private copies of pages too. */
	model_zero(run, run->lo, run->hi);
	if (run->r.base)
		memset(run->r.base + run->lo, 0, LEN(run));
	model_state(run, run->lo, run->hi,
		    run->r.kind->traits & T_WRITE ? PAGE_RW : PAGE_RO);
	return 0;
}

static int punch_alias(struct check_run *run)
{
	uint8_t *alias =
		mmap(NULL, run->r.len, PROT_READ | PROT_WRITE, MAP_SHARED, run->r.fd, 0);
	int rc;

	if (alias == MAP_FAILED)
		return -1;
	rc = madvise(alias + run->lo, LEN(run), MADV_REMOVE);
	munmap(alias, run->r.len);
	return rc;
}

int apply_punch(struct check_run *run)
{
	unsigned int traits = run->r.kind->traits;
	int rc;

	if (run->way == WAY_OTHER)
		rc = other_do(run->r.fd, true, (off_t)run->lo, (off_t)LEN(run));
	else if (run->way == WAY_ALIAS)
		rc = punch_alias(run);
	else
		rc = run->calls->fallocate(run->r.fd, PUNCH, (off_t)run->lo,
					   (off_t)LEN(run));
	if (rc)
		return call_failed(run, "fallocate");
	if (run->r.base)
		memset(run->r.base + run->lo, 0, LEN(run));
	/* Private copies of pages stay: every page of a writable region is one. */
	if ((traits & T_SHARED) || !(traits & T_WRITE))
		model_zero(run, run->lo, run->hi);
	return 0;
}

/* The name that the file gets: beside where it lies. */
static int name_of(struct check_run *run, char *out, size_t size)
{
	char link[64], path[4000];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", run->r.fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return -1;
	path[n] = 0;
	*strrchr(path, '/') = 0;
	snprintf(out, size, "%s/hmm-check.%d", path, (int)getpid());
	return 0;
}

int apply_unlink(struct check_run *run)
{
	char link[64], name[4096];

	if (name_of(run, name, sizeof(name)))
		return call_failed(run, "readlink");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", run->r.fd);
	if (linkat(AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW))
		return check_skip(run,
				  "the file system gives no name to a file without: %s",
				  strerror(errno));
	run->data = strdup(name);
	return 0;
}

int again_unlink(struct check_run *run)
{
	int rc = unlink(run->data);

	free(run->data);
	run->data = NULL;
	return rc ? call_failed(run, "unlink") : 0;
}

/* What a clone keeps while the file goes on. */
struct clone {
	int fd;
	uint8_t then[];
};

static int cannot_clone(struct check_run *run)
{
	if (errno == ENOTTY || errno == EXDEV)
		errno = EOPNOTSUPP;
	return call_failed(run, "FICLONE");
}

/* Before Linux 6.2 the first write to such a block makes the kernel warn. */
static bool shared_blocks_warn(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	return !uname(&name) && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	       (major < 6 || (major == 6 && minor < 2));
}

static bool cannot_share_blocks(struct check_run *run)
{
	if (!(run->r.kind->traits & T_DAX) || !shared_blocks_warn())
		return false;
	check_skip(run,
		   "before Linux 6.2 the kernel itself warns when blocks that a DAX file "
		   "shares with a clone are written");
	return true;
}

int apply_reflink(struct check_run *run)
{
	struct clone *clone;

	if (cannot_share_blocks(run))
		return -1;
	clone = calloc(1, sizeof(*clone) + 2 * run->r.len);
	if (!clone)
		return check_fail(run, "no memory");
	run->data = clone;
	clone->fd = check_open_backing(run->r.kind);
	if (clone->fd < 0 || ioctl(clone->fd, FICLONE, run->r.fd))
		return cannot_clone(run);
	if (pread(clone->fd, clone->then, run->r.len, 0) != (ssize_t)run->r.len)
		return check_fail(run, "the clone cannot be read: %s", strerror(errno));
	if ((run->r.kind->traits & T_SHARED) &&
	    memcmp(clone->then, run->r.shadow, run->r.len))
		return check_stale(run, "the clone does not have what was written before");
	return 0;
}

/* The device and the CPU have written since. */
int again_reflink(struct check_run *run)
{
	struct clone *clone = run->data;
	uint8_t *now = clone->then + run->r.len;

	if (pread(clone->fd, now, run->r.len, 0) != (ssize_t)run->r.len)
		return check_fail(run, "the clone cannot be read: %s", strerror(errno));
	if (memcmp(now, clone->then, run->r.len))
		return check_stale(run, "a write to the file is in its clone");
	return 0;
}

void done_reflink(struct check_run *run)
{
	struct clone *clone = run->data;

	if (clone && clone->fd >= 0)
		close(clone->fd);
	free(clone);
}

int apply_reflink_onto(struct check_run *run)
{
	unsigned int traits = run->r.kind->traits;
	bool seen = (traits & T_SHARED) || !(traits & T_WRITE);
	int fd = cannot_share_blocks(run) ? -1 : check_open_backing(run->r.kind);
	struct file_clone_range range = {
		.src_fd = fd, .src_length = LEN(run), .dest_offset = run->lo};
	uint8_t *data = run->buf;
	int rc;

	if (fd < 0)
		return run->failed ? -1 : call_failed(run, "a file to clone");
	model_fill(data, run->lo, LEN(run), model_next());
	rc = pwrite(fd, data, LEN(run), 0) == (ssize_t)LEN(run) ? 0 : -1;
	if (!rc)
		rc = ioctl(run->r.fd, FICLONERANGE, &range);
	rc = rc ? cannot_clone(run) : 0;
	close(fd);
	if (rc)
		return rc;
	if (run->r.base)
		memcpy(run->r.base + run->lo, data, LEN(run));
	/* Private copies of pages stay. */
	if (seen)
		memcpy(run->r.shadow + run->lo, data, LEN(run));
	return 0;
}

/* The second half of the file, which nothing maps so far, is shown at [lo, hi). */
int apply_remap_file_pages(struct check_run *run)
{
	const uint8_t *data = model_stamp(run, run->lo, run->hi);
	size_t offset = run->r.len + run->lo;

	if (pwrite(run->r.fd, data, LEN(run), (off_t)offset) != (ssize_t)LEN(run))
		return check_fail(run, "pwrite: %s", strerror(errno));
	if (run->calls->remap_file_pages(AT(run), LEN(run), 0, offset / CHECK_PAGE, 0))
		return call_failed(run, "remap_file_pages");
	return 0;
}

/* ---- SysV ------------------------------------------------------------------------------
 */

int apply_shmdt(struct check_run *run)
{
	if (run->calls->shmdt(run->r.addr))
		return call_failed(run, "shmdt");
	model_state(run, run->lo, run->hi, PAGE_SEGV);
	return 0;
}

int apply_shmat(struct check_run *run)
{
	int id = shmget(IPC_PRIVATE, LEN(run), IPC_CREAT | 0600);
	void *p;

	if (id < 0)
		return call_failed(run, "shmget");
	p = shmat(id, NULL, 0);
	if (p == (void *)-1) {
		shmctl(id, IPC_RMID, NULL);
		return call_failed(run, "shmat");
	}
	memcpy(p, model_stamp(run, run->lo, run->hi), LEN(run));
	shmdt(p);
	p = run->calls->shmat(id, AT(run), SHM_REMAP);
	shmctl(id, IPC_RMID, NULL);
	if (p == (void *)-1)
		return call_failed(run, "shmat");
	model_state(run, run->lo, run->hi, PAGE_RW);
	return 0;
}

/* ---- fork
 * --------------------------------------------------------------------------------- */

/* In the child: nothing but system calls and a comparison. 0: its copy is as it was. */
static void child_compare(struct check_run *run)
{
	bool shared = run->r.kind->traits & T_SHARED;
	char go;

	close(run->pipe[1]);
	if (read(run->pipe[0], &go, 1) != 1)
		_exit(3);
	if (!shared && memcmp(run->r.addr, run->r.shadow, run->r.len))
		_exit(1);
	_exit(0);
}

int apply_fork(struct check_run *run)
{
	if (pipe2(run->pipe, O_CLOEXEC))
		return call_failed(run, "pipe2");
	run->child = run->calls->fork();
	if (run->child < 0)
		return call_failed(run, "fork");
	if (!run->child)
		child_compare(run);
	close(run->pipe[0]);
	run->pipe[0] = -1;
	/* The parent's pages are new ones from here on. */
	return model_paint(run, run->lo, run->hi);
}

int again_fork(struct check_run *run)
{
	int status = -1;

	if (write(run->pipe[1], "g", 1) != 1 || waitpid(run->child, &status, 0) < 0)
		return check_fail(run, "the child is gone: %s", strerror(errno));
	run->child = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return check_stale(run, "the child's copy changed (status %x)", status);
	return 0;
}

void done_fork(struct check_run *run)
{
	for (int i = 0; i < 2; i++) {
		if (run->pipe[i] >= 0)
			close(run->pipe[i]);
	}
	if (run->child > 0) {
		kill(run->child, SIGKILL);
		waitpid(run->child, NULL, 0);
	}
}

int apply_spawn(struct check_run *run)
{
	char *argv[] = {(char *)"true", NULL};
	pid_t pid;
	int err = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ);

	if (err)
		return check_skip(run, "posix_spawn: %s", strerror(err));
	waitpid(pid, NULL, 0);
	return 0;
}
