// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: is an operation that plain io_uring does right done as
 * right through a mirror, or left plain?
 *
 * Each case is carried out by liburing and by libhmm, with fixed buffers where they gain
 * something and wherever they are possible; the results and the memory must be the same.
 */
#include "uring_test.h"

#include <linux/fuse.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

static const struct hmm_uring_attr some = {.size = sizeof(some)};

static int submit_one(struct rig *rig, uint64_t user_data)
{
	MUST(hmm_uring_submit(rig->u));
	return reap(rig, user_data);
}

/* ---- files without vectored calls of their own ---- */

/* Two pieces of 16 bytes of @file; the array must stay as it is. */
static int read_pieces(struct rig *rig, bool ours, const char *name, char *to)
{
	struct iovec *iov = map_at(NULL, PAGE), before[2];
	int ret, file = open(name, O_RDONLY);
	struct io_uring_sqe *sqe;

	memset(to, 0, PAGE);
	if (file < 0)
		return -errno;
	iov[0] = (struct iovec){to, 16};
	iov[1] = (struct iovec){to + 16, 16};
	memcpy(before, iov, sizeof(before));
	sqe = io_uring_get_sqe(&rig->ring);
	if (ours)
		hmm_uring_prep_readv(rig->u, sqe, file, iov, 2, 0, 0);
	else
		io_uring_prep_readv(sqe, file, iov, 2, 0);
	io_uring_sqe_set_data64(sqe, 1);
	ret = submit_one(rig, 1);
	EXPECT(!memcmp(before, iov, sizeof(before)), "%s: the array was written", name);
	munmap(iov, PAGE);
	close(file);
	return ret;
}

static void without_vectored_calls(struct rig *rig)
{
	static const char *const names[] = {
		"/proc/self/environ", "/proc/self/auxv",
		"/proc/self/cmdline", "/proc/self/maps",
		"/proc/version",      "/sys/kernel/mm/transparent_hugepage/enabled",
		"/dev/zero",
	};
	char *a = map_at(NULL, PAGE), *b = map_at(NULL, PAGE);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int want = read_pieces(rig, false, names[i], a);
		int got = read_pieces(rig, true, names[i], b);

		EXPECT(got == want, "%s: %d, not %d", names[i], got, want);
		EXPECT(!memcmp(a, b, 32), "%s: other data", names[i]);
	}
	munmap(a, PAGE);
	munmap(b, PAGE);
}

/* The array itself must not be what is written. */
static void written_to_comm(struct rig *rig)
{
	int file = open("/proc/self/comm", O_RDWR);
	char *p = map_at(NULL, PAGE), said[32] = "";
	struct iovec iov[2] = {{p, 5}, {p + 5, 6}};
	struct io_uring_sqe *sqe;

	if (file < 0)
		return;
	memcpy(p, "hello-there", 11);
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_writev(rig->u, sqe, file, iov, 2, 0, 0);
	io_uring_sqe_set_data64(sqe, 2);
	EXPECT(submit_one(rig, 2) == 11, "writev");
	EXPECT(pread(file, said, sizeof(said), 0) == 7 && !memcmp(said, "-there\n", 7),
	       "the name is %s", said);
	close(file);
	munmap(p, PAGE);
}

/* ---- arrays that cannot be read ---- */

static void bad_array(struct rig *rig)
{
	char *p = map_at(NULL, 2 * PAGE);
	struct iovec *last = (struct iovec *)(p + PAGE) - 1;
	const struct {
		const void *array;
		unsigned int nr;
		int want;
	} cases[] = {{(void *)8, 1, -EFAULT},
		     {NULL, 1, -EFAULT},
		     {last, 2, -EFAULT},
		     {last, 2000, -EINVAL},
		     {last, 0, 0}};

	*last = (struct iovec){p, 16};
	munmap(p + PAGE, PAGE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);
		int got;

		hmm_uring_prep_readv(rig->u, sqe, rig->file, cases[i].array, cases[i].nr, 0,
				     0);
		io_uring_sqe_set_data64(sqe, i);
		got = submit_one(rig, i);
		EXPECT(got == cases[i].want, "case %zu: %d, not %d", i, got, cases[i].want);
	}
	munmap(p, PAGE);
}

/* ---- drivers that want the process's own memory ---- */

/* The first request of a file system that is mounted: 104 bytes. */
static int read_fuse(struct rig *rig, bool ours)
{
	char options[96], where[] = "/tmp/hmm-fuse-XXXXXX";
	int ret, file = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	struct io_uring_sqe *sqe;
	char *p;

	if (file < 0 || !mkdtemp(where))
		return -errno;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0",
		 file);
	if (mount("hmm", where, "fuse", 0, options)) {
		ret = -errno;
	} else {
		p = map_at(NULL, 1 << 18);
		sqe = io_uring_get_sqe(&rig->ring);
		if (ours)
			hmm_uring_prep_read(rig->u, sqe, file, p, 1 << 18, 0);
		else
			io_uring_prep_read(sqe, file, p, 1 << 18, 0);
		io_uring_sqe_set_data64(sqe, 3);
		ret = submit_one(rig, 3);
		munmap(p, 1 << 18);
		umount2(where, MNT_DETACH);
	}
	rmdir(where);
	close(file);
	return ret;
}

static void fuse(struct rig *rig)
{
	int want = read_fuse(rig, false);

	if (want <= 0)
		printf("no /dev/fuse here: %s\n", strerror(-want));
	else
		EXPECT(read_fuse(rig, true) == want, "not %d", want);
}

/* ---- O_DIRECT ---- */

static int direct_file(void)
{
	const char *dirs[] = {"/var/tmp", "/tmp", "."};
	char *block = aligned_alloc(4096, 65536);
	int file = -1;

	for (size_t i = 0; i < 65536; i++)
		block[i] = (char)pattern(i);
	for (size_t i = 0; i < 3 && file < 0; i++)
		file = open(dirs[i], O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (file >= 0 && write(file, block, 65536) != 65536) {
		close(file);
		file = -1;
	}
	free(block);
	return file;
}

static int read_direct(struct rig *rig, bool ours, int file, char *to, unsigned int len,
		       uint64_t offset, bool pieces)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);
	unsigned int half = len / 2 ? len / 2 : 1;
	struct iovec iov[2] = {{to, half}, {to + half, len > half ? len - half : 1}};

	if (ours && pieces)
		hmm_uring_prep_readv(rig->u, sqe, file, iov, 2, offset, 0);
	else if (ours)
		hmm_uring_prep_read(rig->u, sqe, file, to, len, offset);
	else if (pieces)
		io_uring_prep_readv(sqe, file, iov, 2, offset);
	else
		io_uring_prep_read(sqe, file, to, len, offset);
	io_uring_sqe_set_data64(sqe, 4);
	return submit_one(rig, 4);
}

static void o_direct(struct rig *rig)
{
	static const unsigned int shifts[] = {0, 1, 4, 64, 256, 512, 1024, 2187, 4095};
	static const unsigned int lens[] = {1,    100,  511,  512,  513,  1024,
					    4095, 4096, 4097, 8192, 65536};
	static const uint64_t offsets[] = {0, 1, 512, 4096, 15360, 61440, 65536};
	int file = direct_file(), want, got;
	char *p = map_at(NULL, 32 * PAGE);
	uint64_t fixed = stats_of(rig).fixed;

	if (file < 0) {
		printf("no O_DIRECT here\n");
		return;
	}
	for (size_t i = 0; i < 9 * 11 * 7 * 2; i++) {
		char *to = p + shifts[i % 9];
		unsigned int len = lens[i / 9 % 11];
		uint64_t offset = offsets[i / 99 % 7];
		bool pieces = i >= 9 * 11 * 7;

		want = read_direct(rig, false, file, to, len, offset, pieces);
		if (len == 512) /* it is pinned when it is used again */
			read_direct(rig, true, file, to, len, 0, false);
		memset(p, 0, 20 * PAGE);
		got = read_direct(rig, true, file, to, len, offset, pieces);
		EXPECT(got == want, "%u bytes at +%u of %llu, %d: %d, not %d", len,
		       shifts[i % 9], (unsigned long long)offset, pieces, got, want);
		EXPECT(got <= 0 || !wrong_bytes(to, (size_t)got, offset), "data");
	}
	EXPECT(stats_of(rig).fixed > fixed, "none was on a fixed buffer");
	close(file);
	munmap(p, 32 * PAGE);
}

/* ---- fields that a program may use ---- */

/* Groups of provided buffers have numbers up to 65,535. */
static void last_group(struct rig *rig)
{
	char *p = map_at(NULL, 4 * PAGE);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);

	io_uring_prep_provide_buffers(sqe, p, (int)PAGE, 4, 0xffff, 0);
	io_uring_sqe_set_data64(sqe, 5);
	EXPECT(submit_one(rig, 5) == 0, "provide");
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_read(rig->u, sqe, rig->file, NULL, 100, 0);
	io_uring_sqe_set_data64(sqe, 6);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	EXPECT(submit_one(rig, 6) == -ENOBUFS, "group 0 has buffers");
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_read(rig->u, sqe, rig->file, NULL, 100, 0);
	io_uring_sqe_set_data64(sqe, 7);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0xffff;
	EXPECT(submit_one(rig, 7) == 100, "the last group has none");
	sqe = io_uring_get_sqe(&rig->ring);
	io_uring_prep_remove_buffers(sqe, 4, 0xffff);
	io_uring_sqe_set_data64(sqe, 8);
	EXPECT(submit_one(rig, 8) == 3, "remove");
	munmap(p, 4 * PAGE);
}

/* ---- links ---- */

/* What is linked behind a failing operation that tells nobody ends in silence, too. */
static void behind_skip(struct rig *rig)
{
	char *p = map_at(NULL, 2 * PAGE);
	struct io_uring_sqe *sqe;

	sqe = io_uring_get_sqe(&rig->ring);
	io_uring_prep_fsync(sqe, -1, 0);
	io_uring_sqe_set_data64(sqe, 9);
	sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	prep_read(rig, p, PAGE, 0, 10);
	EXPECT(submit_one(rig, 9) == -EBADF, "fsync");
	EXPECT(stats_of(rig).in_flight == 0, "the read is in flight for good");
	/* A short read breaks the link. */
	sqe = prep_read(rig, p, PAGE, FILE_LEN - 10, 11);
	sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	sqe = prep_read(rig, p + PAGE, PAGE, 0, 12);
	sqe->flags |= IOSQE_IO_LINK;
	prep_read(rig, p + PAGE, PAGE, 0, 13);
	EXPECT(submit_one(rig, 11) == 10, "short read");
	EXPECT(stats_of(rig).in_flight == 0, "what is linked is in flight for good");
	munmap(p, 2 * PAGE);
}

/* Cancelled by a link, it is not refused. */
static void refused_behind_link(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .modes = 1u << HMM_MODE_PIN};
	char *p =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct io_uring_sqe *sqe;
	struct rig rig;

	rig_open(&rig, 8, 0, NULL, 0);
	MUST(hmm_mirror_destroy(rig.mirror));
	MUST(hmm_mirror_create(hmm_uring_device(rig.u), &attr, &rig.mirror));
	sqe = io_uring_get_sqe(&rig.ring);
	io_uring_prep_fsync(sqe, -1, 0);
	io_uring_sqe_set_data64(sqe, 1);
	sqe->flags |= IOSQE_IO_LINK;
	prep_read(&rig, p, PAGE, 0, 2);
	EXPECT(submit_one(&rig, 1) == -EBADF, "fsync");
	EXPECT(reap(&rig, 2) == -ECANCELED, "read");
	EXPECT(stats_of(&rig).refused == 1, "it was to be refused");
	rig_close(&rig);
	munmap(p, PAGE);
}

/* ---- cancels ---- */

static int pipe_of(int pipes[2])
{
	if (pipe2(pipes, O_CLOEXEC))
		exit(1);
	return pipes[0];
}

/*
 * A read, and its cancel, are left by a short submit; then the read has to be redone, and
 * another one is prepared. It must not be the one that is cancelled.
 */
static void cancel_after_short(struct rig *rig, bool late)
{
	char *p = map_at(NULL, 2 * PAGE);
	int a[2], b[2], got[4] = {0};
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);

	memset(p, 0, 2 * PAGE);
	io_uring_prep_nop(sqe);
	sqe->opcode = 250;
	io_uring_sqe_set_data64(sqe, 0);
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_read(rig->u, sqe, pipe_of(a), p, 8, (uint64_t)-1);
	io_uring_sqe_set_data64(sqe, 1);
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_cancel(rig->u, sqe, 1, 0);
	io_uring_sqe_set_data64(sqe, 2);
	sqe->flags |= late ? IOSQE_ASYNC : 0;
	EXPECT(hmm_uring_submit(rig->u) == 1, "the bad one only");
	(void)mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0);
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_read(rig->u, sqe, pipe_of(b), p + PAGE, 8, (uint64_t)-1);
	io_uring_sqe_set_data64(sqe, 3);
	EXPECT(hmm_uring_submit(rig->u) == 3, "the others");
	EXPECT(write(b[1], "12345678", 8) == 8, "write");
	for (int i = 0; i < 4; i++) {
		struct __kernel_timespec limit = {.tv_sec = 20};
		struct io_uring_cqe *cqe;

		MUST(hmm_uring_wait_cqe_timeout(rig->u, &cqe, &limit));
		if (cqe->user_data < 4)
			got[cqe->user_data] = cqe->res;
		hmm_uring_cqe_seen(rig->u, cqe);
	}
	EXPECT(got[0] == -EINVAL && got[1] == -ECANCELED && got[2] == 0 && got[3] == 8,
	       "bad %d, cancelled %d, cancel %d, the other %d", got[0], got[1], got[2],
	       got[3]);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
	munmap(p, 2 * PAGE);
}

/* ---- sends
 * ----------------------------------------------------------------------------------------
 */

static void tcp_pair(int pair[2])
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len) ||
	    connect(pair[0], (void *)&addr, len))
		skip("no TCP over the loopback interface");
	pair[1] = accept(listener, NULL, NULL);
	close(listener);
}

/* IORING_SEND_VECTORIZED: the address is that of an array. */
static int send_pieces(struct rig *rig, bool ours, char *back)
{
	char *p = map_at(NULL, 2 * PAGE);
	struct iovec *iov = map_at(NULL, PAGE);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);
	struct io_uring_cqe *cqe;
	int pair[2], ret;
	bool more;

	memset(p, 'A', 2 * PAGE);
	iov[0] = (struct iovec){p, 100};
	iov[1] = (struct iovec){p + PAGE, 100};
	tcp_pair(pair);
	if (ours)
		hmm_uring_prep_send_zc(rig->u, sqe, pair[0], iov, 2, 0, 1u << 5);
	else
		io_uring_prep_send_zc(sqe, pair[0], iov, 2, 0, 1u << 5);
	io_uring_sqe_set_data64(sqe, 14);
	MUST(hmm_uring_submit(rig->u));
	MUST(hmm_uring_wait_cqe(rig->u, &cqe));
	ret = cqe->res;
	more = cqe->flags & IORING_CQE_F_MORE;
	hmm_uring_cqe_seen(rig->u, cqe);
	if (ret > 0)
		EXPECT(recv(pair[1], back, (size_t)ret, MSG_WAITALL) == ret, "recv");
	if (more)
		EXPECT(reap(rig, 14) >= 0, "notification");
	close(pair[0]);
	close(pair[1]);
	munmap(p, 2 * PAGE);
	munmap(iov, PAGE);
	return ret;
}

static void vectored_send(struct rig *rig)
{
	char a[400] = "", b[400] = "";
	int want = send_pieces(rig, false, a), got = send_pieces(rig, true, b);

	EXPECT(got == want, "%d, not %d", got, want);
	EXPECT(!memcmp(a, b, sizeof(a)), "other data");
}

/* ---- rings
 * --------------------------------------------------------------------------------------------
 */

/* A ring that may only read the plain way. */
static void restricted(const struct hmm_uring_attr *attr)
{
	struct io_uring_restriction allowed[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ},
		{.opcode = IORING_RESTRICTION_REGISTER_OP,
		 .register_op = IORING_REGISTER_BUFFERS_UPDATE},
		{.opcode = IORING_RESTRICTION_REGISTER_OP,
		 .register_op = IORING_REGISTER_ENABLE_RINGS},
	};
	char *p = map_at(NULL, PAGE);
	struct rig rig;

	if (!rig_open(&rig, 8, IORING_SETUP_R_DISABLED, attr, 0))
		return;
	MUST(io_uring_register(rig.ring.ring_fd, IORING_REGISTER_RESTRICTIONS, allowed, 3));
	MUST(io_uring_register(rig.ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
	EXPECT(read_to(&rig, p, PAGE, 0) == (int)PAGE, "read");
	EXPECT(!wrong_bytes(p, PAGE, 0), "data");
	rig_close(&rig);
	munmap(p, PAGE);
}

static void *open_elsewhere(void *arg)
{
	struct rig *rig = arg;
	struct hmm_uring *u;

	EXPECT(hmm_uring_open(rig->hmm, &rig->ring, NULL, &u) == -EEXIST, "it opened");
	EXPECT(strstr(hmm_error(), "IORING_SETUP_SINGLE_ISSUER"), "%s", hmm_error());
	return NULL;
}

static void another_threads(void)
{
	struct rig rig = {0};
	pthread_t thread;

	if (io_uring_queue_init(8, &rig.ring, 1u << 12))
		return;
	MUST(hmm_open(NULL, &rig.hmm));
	pthread_create(&thread, NULL, open_elsewhere, &rig);
	pthread_join(thread, NULL);
	io_uring_queue_exit(&rig.ring);
	hmm_close(rig.hmm);
}

/* Memory that the program watches itself is reached as without us. */
static void under_another(struct rig *rig)
{
	struct uffdio_api api = {.api = UFFD_API};
	char *p = map_at(NULL, 4 * PAGE);
	struct uffdio_register reg = {.range = {(uintptr_t)p, 4 * PAGE},
				      .mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd =
		(int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	memset(p, 1, 4 * PAGE);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		printf("no userfaultfd here\n");
	else
		EXPECT(read_to(rig, p, 100, 0) == 100, "read");
	close(fd);
	munmap(p, 4 * PAGE);
}

/* Little is moved: little becomes resident. */
static long resident_kb(void)
{
	long total, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%ld %ld", &total, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (long)PAGE / 1024;
}

static void little_of_much(struct rig *rig)
{
	size_t much = 64ul << 20;
	char *p = map_at(NULL, much);
	long before = resident_kb();
	struct io_uring_sqe *sqe;
	int pipes[2], null = open("/dev/null", O_WRONLY);

	pipe_of(pipes);
	EXPECT(write(pipes[1], "ten bytes.", 10) == 10, "write");
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_read(rig->u, sqe, pipes[0], p, (unsigned int)much, 0);
	io_uring_sqe_set_data64(sqe, 15);
	EXPECT(submit_one(rig, 15) == 10, "read");
	EXPECT(read_to(rig, p, much, FILE_LEN - 100) == 100, "read at the end of a file");
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_write(rig->u, sqe, null, p, (unsigned int)much, 0);
	io_uring_sqe_set_data64(sqe, 16);
	EXPECT(submit_one(rig, 16) == (int)much, "write");
	EXPECT(resident_kb() - before < 8192, "%ld KiB more", resident_kb() - before);
	close(pipes[0]);
	close(pipes[1]);
	close(null);
	munmap(p, much);
}

static void all(const struct hmm_uring_attr *attr)
{
	struct rig rig;

	rig_open(&rig, 8, 0, attr, 0);
	without_vectored_calls(&rig);
	written_to_comm(&rig);
	bad_array(&rig);
	fuse(&rig);
	o_direct(&rig);
	last_group(&rig);
	behind_skip(&rig);
	cancel_after_short(&rig, false);
	cancel_after_short(&rig, true);
	vectored_send(&rig);
	under_another(&rig);
	little_of_much(&rig);
	EXPECT(stats_of(&rig).in_flight == 0, "all came back");
	rig_close(&rig);
	restricted(attr);
}

int main(void)
{
	need_fixed_buffers();
	all(&some);
	all(NULL);
	refused_behind_link();
	another_threads();
	EXPECT(nothing_pinned(), "%ld KiB are pinned after close", pinned_kb());
	return test_end();
}
