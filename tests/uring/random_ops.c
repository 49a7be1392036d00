// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: what is one random operation of io_uring?
 *
 * Those that have a call of ours are drawn most often, with lengths, offsets, alignments
 * and flags that are right and that are not; each other opcode that liburing has comes as
 * well, since it shares the ring, the links and the cancels. What would wait for ever is
 * drawn only where the caller allows it.
 */
#include "random.h"

#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static const char *const names[] = {
	"nop",
	"readv",
	"writev",
	"fsync",
	"read_fixed",
	"write_fixed",
	"poll_add",
	"poll_remove",
	"sync_file_range",
	"sendmsg",
	"recvmsg",
	"timeout",
	"timeout_remove",
	"accept",
	"cancel",
	"link_timeout",
	"connect",
	"fallocate",
	"openat",
	"close",
	"files_update",
	"statx",
	"read",
	"write",
	"fadvise",
	"madvise",
	"send",
	"recv",
	"openat2",
	"epoll_ctl",
	"splice",
	"provide_buffers",
	"remove_buffers",
	"tee",
	"shutdown",
	"renameat",
	"unlinkat",
	"mkdirat",
	"symlinkat",
	"linkat",
	"msg_ring",
	"fsetxattr",
	"setxattr",
	"fgetxattr",
	"getxattr",
	"socket",
	"uring_cmd",
	"send_zc",
	"sendmsg_zc",
};

const char *operation_name(unsigned int opcode)
{
	return opcode < sizeof(names) / sizeof(names[0]) ? names[opcode] : "bad";
}

struct request {
	struct world *w;
	struct io_uring_sqe *sqe;
	unsigned int area;
	struct random *r;
	struct drawn *drawn;
	int fd;
	char *at;
	unsigned int len;
	uint64_t offset;
};

/* ---- what is read and written ---- */

static unsigned int draw_len(struct random *r, enum file_kind kind)
{
	static const unsigned int lens[] = {0,       1,          8,          16,      100,
					    511,     512,        513,        1024,    4095,
					    4096,    4097,       8192,       20480,   65536,
					    1 << 20, 0x7fffffff, 0xffffffff, 1u << 30};

	if (kind >= PIPE_READ && kind <= TCP)
		return draw(r, 4) ? 1 + draw(r, 2000) : lens[draw(r, 8)];
	return draw(r, 3) ? lens[draw(r, draw(r, 6) ? 15 : 19)] : draw(r, 9000);
}

static char *draw_memory(struct request *q)
{
	unsigned int page = draw(q->r, 10) < 7 ? draw(q->r, 8) : draw(q->r, AREA_PAGES);
	unsigned int inside = draw(q->r, 2)   ? 0
			      : draw(q->r, 2) ? 512 * draw(q->r, 8)
					      : draw(q->r, 4096);

	switch (draw(q->r, 60)) {
	case 0:
		return NULL;
	case 1:
		return (char *)0xffff800000000000ul;
	case 2:
		return (char *)-16l;
	default:
		return world_area(q->w, q->area) + page * PAGE + inside;
	}
}

static uint64_t draw_offset(struct random *r)
{
	if (!draw(r, 4))
		return (uint64_t)-1;
	if (!draw(r, 40))
		return 1ull << 62;
	return !draw(r, 3) ? draw(r, 30000) : draw(r, 2) ? 0 : 512 * draw(r, 50);
}

static void draw_file(struct request *q, bool may_wait)
{
	enum file_kind kind = draw(q->r, 3) ? (enum file_kind)draw(q->r, APPEND + 1)
					    : (enum file_kind)draw(q->r, FILE_KINDS);

	if (kind == PIPE_EMPTY && !may_wait)
		kind = DIRECT;
	q->drawn->file = kind;
	q->drawn->waits = kind == PIPE_EMPTY;
	q->drawn->stream = kind >= PIPE_READ && kind <= EVENT;
	q->fd = q->w->fds[kind][q->area];
	q->len = draw_len(q->r, kind);
	if (kind == DEV_ZERO && q->len > 4096)
		q->len = 4096; /* of more, a pending signal makes less */
	q->at = draw_memory(q);
	q->offset = draw_offset(q->r);
	if (kind == DIRECT && q->offset == (uint64_t)-1)
		q->offset = 0; /* whether the position moves depends on the disk's speed */
}

static int draw_rw_flags(struct random *r)
{
	static const int flags[] = {RWF_NOWAIT,
				    RWF_DSYNC,
				    RWF_HIPRI,
				    RWF_APPEND,
				    RWF_SYNC,
				    0x40 /* RWF_ATOMIC */,
				    0x80 /* RWF_DONTCACHE */,
				    0x10000};

	return draw(r, 6) ? 0 : flags[draw(r, 8)];
}

/* Never a write into what is read only by us, nor much of it into one that grows. */
static bool may_write(struct request *q)
{
	if (q->drawn->file == PIPE_READ || q->drawn->file == PIPE_EMPTY)
		q->drawn->waits = false; /* EBADF */
	if (q->drawn->file <= APPEND && q->len > 65536)
		q->len = 65536;
	if (q->drawn->file <= APPEND && q->offset > 65536 && q->offset < 1ull << 60)
		q->offset = 0;
	return true;
}

static void rw(struct request *q, bool write)
{
	int flags;

	draw_file(q, q->drawn->waits);
	if (write)
		may_write(q);
	flags = draw_rw_flags(q->r);
	if (write && q->w->u)
		hmm_uring_prep_write(q->w->u, q->sqe, q->fd, q->at, q->len, q->offset);
	else if (write)
		io_uring_prep_write(q->sqe, q->fd, q->at, q->len, q->offset);
	else if (q->w->u)
		hmm_uring_prep_read(q->w->u, q->sqe, q->fd, q->at, q->len, q->offset);
	else
		io_uring_prep_read(q->sqe, q->fd, q->at, q->len, q->offset);
	q->sqe->rw_flags = flags;
	if (!draw(q->r, 40))
		q->sqe->ioprio = draw(q->r, 2) ? 0x4001 : 0x7777;
	if (!draw(q->r, 60))
		q->sqe->addr3 = draw(q->r, 3);
}

static unsigned int draw_pieces(struct request *q)
{
	static const unsigned int many[] = {0, 1024, 1025};
	unsigned int nr = draw(q->r, 20) ? 1 + draw(q->r, 5) : many[draw(q->r, 3)];
	struct iovec *iov = q->w->iov[q->area];
	char *at = q->at;

	if (q->drawn->file == DEV_ZERO) {
		iov[0] = (struct iovec){at, draw(q->r, 4096)};
		return 1;
	}
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int len = !draw(q->r, 12) ? 0
				   : draw(q->r, 2) ? 8 + draw(q->r, 3000)
						   : 512 * draw(q->r, 5);

		len = nr > 1000 ? 1 + draw(q->r, 16) : len;
		len = q->drawn->stream ? len % 400 : len;
		iov[i] = (struct iovec){at, len};
		at += draw(q->r, 8) < 5 ? len
		      : draw(q->r, 2)   ? len / 2
					: len + draw(q->r, 300);
	}
	if (nr && nr < 100 && !draw(q->r, 40))
		iov[0].iov_len = draw(q->r, 2) ? (size_t)-1 : (size_t)1 << 31;
	return nr;
}

static void vectored(struct request *q, bool write)
{
	struct iovec *iov = q->w->iov[q->area];
	unsigned int nr;
	int flags;

	draw_file(q, q->drawn->waits);
	if (write)
		may_write(q);
	nr = draw_pieces(q);
	flags = draw_rw_flags(q->r);
	if (!draw(q->r, 50))
		iov = draw(q->r, 2)
			      ? NULL
			      : (struct iovec *)world_area(q->w, q->area) + 9 * PAGE / 16;
	if (write && q->w->u)
		hmm_uring_prep_writev(q->w->u, q->sqe, q->fd, iov, nr, q->offset, flags);
	else if (write)
		io_uring_prep_writev2(q->sqe, q->fd, iov, nr, q->offset, flags);
	else if (q->w->u)
		hmm_uring_prep_readv(q->w->u, q->sqe, q->fd, iov, nr, q->offset, flags);
	else
		io_uring_prep_readv2(q->sqe, q->fd, iov, nr, q->offset, flags);
}

/* ---- sockets ---- */

static void draw_socket(struct request *q)
{
	q->drawn->file = draw(q->r, 6) ? draw(q->r, 2) ? SOCKET : TCP : BUFFERED;
	q->drawn->waits = false;
	q->drawn->stream = true;
	q->fd = q->w->fds[q->drawn->file][q->area];
	q->len = 1 + draw(q->r, 2000);
	q->at = draw_memory(q);
}

static void send_zc(struct request *q)
{
	static const unsigned int zc[] = {0, 0, 0, 1, 8, 4, 1u << 5, 1u << 9};
	unsigned int flags = zc[draw(q->r, 8)];
	const void *what = q->at;

	if (flags == 4) { /* a buffer of the program's own table, which it has not */
		flags = 0;
	} else if (flags == 1u << 5) { /* an array */
		q->w->iov[q->area][0] = (struct iovec){q->at, q->len};
		what = q->w->iov[q->area];
		q->len = 1;
	}
	if (q->w->u)
		hmm_uring_prep_send_zc(q->w->u, q->sqe, q->fd, what, q->len, MSG_NOSIGNAL,
				       flags);
	else
		io_uring_prep_send_zc(q->sqe, q->fd, what, q->len, MSG_NOSIGNAL, flags);
}

static void message(struct request *q, unsigned int opcode)
{
	struct msghdr *msg = &q->w->msg[q->area];

	q->w->iov[q->area][0] = (struct iovec){q->at, q->len};
	*msg = (struct msghdr){.msg_iov = q->w->iov[q->area], .msg_iovlen = 1};
	if (opcode == IORING_OP_RECVMSG)
		io_uring_prep_recvmsg(q->sqe, q->fd, msg, MSG_DONTWAIT);
	else if (opcode == IORING_OP_SENDMSG)
		io_uring_prep_sendmsg(q->sqe, q->fd, msg, MSG_NOSIGNAL);
	else
		io_uring_prep_sendmsg_zc(q->sqe, q->fd, msg, MSG_NOSIGNAL);
}

static void sockets(struct request *q, unsigned int opcode)
{
	draw_socket(q);
	switch (opcode) {
	case IORING_OP_SEND:
		if (q->w->u)
			hmm_uring_prep_send(q->w->u, q->sqe, q->fd, q->at, q->len,
					    MSG_NOSIGNAL);
		else
			io_uring_prep_send(q->sqe, q->fd, q->at, q->len, MSG_NOSIGNAL);
		break;
	case IORING_OP_RECV:
		if (q->w->u)
			hmm_uring_prep_recv(q->w->u, q->sqe, q->fd, q->at, q->len,
					    MSG_DONTWAIT);
		else
			io_uring_prep_recv(q->sqe, q->fd, q->at, q->len, MSG_DONTWAIT);
		break;
	case IORING_OP_SEND_ZC:
		send_zc(q);
		break;
	default:
		message(q, opcode);
	}
}

/* ---- what moves no memory ---- */

static void names_of(struct request *q, char **from, char **to)
{
	static char text[2][AREAS][2][8];
	int world = !!q->w->u;

	*from = text[world][q->area][0];
	*to = text[world][q->area][1];
	snprintf(*from, 8, "f%u", q->area);
	snprintf(*to, 8, "g%u", q->area);
}

static void directory(struct request *q, unsigned int opcode)
{
	char *from, *to;

	names_of(q, &from, &to);
	switch (opcode) {
	case IORING_OP_RENAMEAT:
		io_uring_prep_renameat(q->sqe, q->w->dir, from, q->w->dir, to, 0);
		break;
	case IORING_OP_UNLINKAT:
		io_uring_prep_unlinkat(q->sqe, q->w->dir, draw(q->r, 2) ? from : to, 0);
		break;
	case IORING_OP_MKDIRAT:
		*from = 'd';
		io_uring_prep_mkdirat(q->sqe, q->w->dir, from, 0700);
		break;
	case IORING_OP_SYMLINKAT:
		io_uring_prep_symlinkat(q->sqe, "nowhere", q->w->dir, from);
		break;
	case IORING_OP_LINKAT:
		io_uring_prep_linkat(q->sqe, q->w->dir, from, q->w->dir, to, 0);
		break;
	case IORING_OP_STATX:
		io_uring_prep_statx(q->sqe, q->w->dir, from, 0, STATX_SIZE,
				    &q->w->statx[q->area]);
		break;
	case IORING_OP_OPENAT:
		q->drawn->gives_file = true;
		io_uring_prep_openat(q->sqe, q->w->dir, from, O_RDWR | O_CREAT, 0600);
		break;
	default:
		q->drawn->gives_file = true;
		q->w->how = (struct open_how){.flags = O_RDONLY};
		io_uring_prep_openat2(q->sqe, q->w->dir, from, &q->w->how);
	}
}

static void buffers(struct request *q, unsigned int opcode)
{
	/* Group 0xffff is the last that there may be. */
	int group = draw(q->r, 2) ? 0xffff : (int)q->area;

	if (opcode == IORING_OP_REMOVE_BUFFERS)
		io_uring_prep_remove_buffers(q->sqe, 1 + (int)draw(q->r, 4),
					     group == 0xffff ? 0xfff0 + (int)q->area
							     : group);
	else
		io_uring_prep_provide_buffers(
			q->sqe, world_area(q->w, q->area), 512, 1 + (int)draw(q->r, 4),
			group == 0xffff ? 0xfff0 + (int)q->area : group, 0);
}

static void files(struct request *q, unsigned int opcode)
{
	int fd = q->w->fds[draw(q->r, APPEND + 1)][q->area];

	switch (opcode) {
	case IORING_OP_FSYNC:
		io_uring_prep_fsync(q->sqe, draw(q->r, 3) ? q->w->fds[MEMORY][q->area] : -1,
				    0);
		break;
	case IORING_OP_SYNC_FILE_RANGE:
		io_uring_prep_sync_file_range(q->sqe, q->w->fds[MEMORY][q->area], 4096, 0,
					      0);
		break;
	case IORING_OP_FALLOCATE:
		io_uring_prep_fallocate(q->sqe, q->w->fds[MEMORY][q->area], 0,
					(off_t)draw(q->r, 30000), 4096);
		break;
	case IORING_OP_FADVISE:
		io_uring_prep_fadvise(q->sqe, fd, 0, 4096, POSIX_FADV_NORMAL);
		break;
	case IORING_OP_MADVISE:
		io_uring_prep_madvise(q->sqe,
				      world_area(q->w, q->area) + draw(q->r, 7) * PAGE,
				      (off_t)PAGE,
				      draw(q->r, 2) ? MADV_DONTNEED : MADV_WILLNEED);
		break;
	case IORING_OP_FSETXATTR:
		io_uring_prep_fsetxattr(q->sqe, fd, "user.a", "value", 0, 5);
		break;
	case IORING_OP_FGETXATTR:
		io_uring_prep_fgetxattr(q->sqe, fd, "user.a", world_area(q->w, q->area),
					16);
		break;
	case IORING_OP_SPLICE:
		io_uring_prep_splice(q->sqe, q->w->fds[PIPE_READ][q->area], -1,
				     q->w->fds[PIPE_WRITE][q->area], -1, 100,
				     SPLICE_F_NONBLOCK);
		break;
	default:
		io_uring_prep_tee(q->sqe, q->w->fds[PIPE_READ][q->area],
				  q->w->fds[PIPE_WRITE][q->area], 100, SPLICE_F_NONBLOCK);
	}
}

static void others(struct request *q, unsigned int opcode)
{
	struct __kernel_timespec *time = &q->w->time[q->area];

	*time = (struct __kernel_timespec){.tv_nsec = 1000};
	switch (opcode) {
	case IORING_OP_POLL_ADD:
		io_uring_prep_poll_add(q->sqe, q->w->fds[EVENT][q->area], POLLIN);
		break;
	case IORING_OP_POLL_REMOVE:
		io_uring_prep_poll_remove(q->sqe, 0x123456);
		break;
	case IORING_OP_TIMEOUT:
		io_uring_prep_timeout(q->sqe, time, 0, 0);
		break;
	case IORING_OP_TIMEOUT_REMOVE:
		io_uring_prep_timeout_remove(q->sqe, 0x123456, 0);
		break;
	case IORING_OP_ASYNC_CANCEL:
		if (draw(q->r, 2) && q->w->u)
			hmm_uring_prep_cancel(q->w->u, q->sqe, 0x123456, 0);
		else
			io_uring_prep_cancel64(q->sqe, 0x123456, 0);
		break;
	case IORING_OP_CLOSE:
		io_uring_prep_close(q->sqe, 9000);
		break;
	case IORING_OP_SOCKET:
		q->drawn->gives_file = true;
		io_uring_prep_socket(q->sqe, AF_UNIX, SOCK_STREAM, 0, 0);
		break;
	case IORING_OP_SHUTDOWN:
		io_uring_prep_shutdown(q->sqe, q->w->fds[BUFFERED][q->area], SHUT_RD);
		break;
	case IORING_OP_ACCEPT:
		io_uring_prep_accept(q->sqe, q->w->fds[SOCKET][q->area], NULL, NULL, 0);
		break;
	case IORING_OP_CONNECT:
		io_uring_prep_connect(q->sqe, q->w->fds[BUFFERED][q->area],
				      (struct sockaddr *)world_area(q->w, q->area), 16);
		break;
	case IORING_OP_EPOLL_CTL:
		io_uring_prep_epoll_ctl(q->sqe, q->w->fds[BUFFERED][q->area], 1,
					EPOLL_CTL_DEL, q->w->event);
		break;
	case IORING_OP_FILES_UPDATE:
		io_uring_prep_files_update(q->sqe, &q->w->fds[MEMORY][q->area], 1, 1000);
		break;
	case IORING_OP_MSG_RING:
		io_uring_prep_msg_ring(q->sqe, q->w->fds[BUFFERED][q->area], 1, 2, 0);
		break;
	case IORING_OP_URING_CMD:
		io_uring_prep_rw(IORING_OP_URING_CMD, q->sqe, q->w->fds[MEMORY][q->area],
				 NULL, 0, 0);
		break;
	case IORING_OP_LAST:
		io_uring_prep_nop(q->sqe);
		q->sqe->opcode =
			(uint8_t)(240 + draw(q->r, 16)); /* the kernel stops here */
		break;
	default:
		io_uring_prep_nop(q->sqe);
	}
}

void draw_operation(struct world *w, struct io_uring_sqe *sqe, unsigned int area,
		    struct random *r, bool may_wait, struct drawn *drawn)
{
	struct request q = {.w = w, .sqe = sqe, .area = area, .r = r, .drawn = drawn};
	unsigned int opcode = draw(r, 10) < 7 ? 0 : draw(r, IORING_OP_LAST + 1);

	*drawn = (struct drawn){.waits = may_wait};
	if (!opcode)
		opcode = (unsigned int[]){IORING_OP_READ,   IORING_OP_WRITE,
					  IORING_OP_READ,   IORING_OP_READV,
					  IORING_OP_WRITEV, IORING_OP_SEND_ZC,
					  IORING_OP_WRITE}[draw(r, 7)];
	switch (opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
		rw(&q, opcode == IORING_OP_WRITE);
		return;
	case IORING_OP_READV:
	case IORING_OP_WRITEV:
		vectored(&q, opcode == IORING_OP_WRITEV);
		return;
	}
	drawn->waits = false;
	switch (opcode) {
	case IORING_OP_SEND:
	case IORING_OP_RECV:
	case IORING_OP_SEND_ZC:
	case IORING_OP_SENDMSG:
	case IORING_OP_RECVMSG:
	case IORING_OP_SENDMSG_ZC:
		sockets(&q, opcode);
		return;
	case IORING_OP_RENAMEAT:
	case IORING_OP_UNLINKAT:
	case IORING_OP_MKDIRAT:
	case IORING_OP_SYMLINKAT:
	case IORING_OP_LINKAT:
	case IORING_OP_STATX:
	case IORING_OP_OPENAT:
	case IORING_OP_OPENAT2:
		directory(&q, opcode);
		return;
	case IORING_OP_PROVIDE_BUFFERS:
	case IORING_OP_REMOVE_BUFFERS:
		buffers(&q, opcode);
		return;
	case IORING_OP_FSYNC:
	case IORING_OP_SYNC_FILE_RANGE:
	case IORING_OP_FALLOCATE:
	case IORING_OP_FADVISE:
	case IORING_OP_MADVISE:
	case IORING_OP_FSETXATTR:
	case IORING_OP_FGETXATTR:
	case IORING_OP_SPLICE:
	case IORING_OP_TEE:
		files(&q, opcode);
		return;
	default:
		others(&q, opcode);
	}
}
