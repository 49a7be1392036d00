// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: does the kernel that runs this still behave as the
 * io_uring driver relies on?
 *
 * No line of libhmm is in here. A fact that no longer holds is a reason to change the
 * driver; what an older kernel lacks is skipped with a reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE          ((unsigned long)getpagesize())
#define READV_FIXED   60
#define SINGLE_ISSUER (1u << 12)
#define DEFER_TASKRUN (1u << 13)

static int failed;

static void fact(bool holds, const char *what, long got)
{
	printf("%s %s (%ld)\n", holds ? "ok  " : "FAIL", what, got);
	failed += !holds;
}

static void *anon(size_t len, void *at)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0);
	void *p = mmap(at, len, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static int pattern_file(void)
{
	static char block[1 << 16];
	int fd = memfd_create("facts", 0);

	memset(block, 0x5a, sizeof(block));
	if (fd < 0 || write(fd, block, sizeof(block)) != sizeof(block)) {
		perror("memfd");
		exit(1);
	}
	return fd;
}

static int slot_set(struct io_uring *ring, unsigned int slot, void *at, size_t len)
{
	struct iovec iov = {at, len};
	__u64 tag = 0;

	return io_uring_register_buffers_update_tag(ring, slot, &iov, &tag, 1);
}

static int reap(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int ret = io_uring_wait_cqe(ring, &cqe);

	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

static int read_fixed(struct io_uring *ring, int fd, void *at, size_t len, int slot)
{
	io_uring_prep_read_fixed(io_uring_get_sqe(ring), fd, at, len, 0, slot);
	io_uring_submit(ring);
	return reap(ring);
}

#define SOON 1000 /* times 10 ms: long for a machine that is emulated, too */

static long pinned_kb(void)
{
	char line[256];
	long pin = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "VmPin: %ld", &pin);
	}
	if (f)
		fclose(f);
	return pin;
}

static void stale(struct io_uring *ring, int fd)
{
	char *p = anon(16 * PAGE, NULL);
	long pinned;
	int ret;

	fact(slot_set(ring, 0, p, 16 * PAGE) == 1, "a sparse slot takes a buffer", 1);
	pinned = pinned_kb();
	fact(pinned == (long)(16 * PAGE / 1024) || (!pinned && !geteuid()),
	     "VmPin counts it (KiB; Linux 7 counts nothing for CAP_IPC_LOCK)", pinned);
	ret = read_fixed(ring, fd, p + PAGE, PAGE, 0);
	fact(ret == (int)PAGE && p[PAGE] == 0x5a, "READ_FIXED in the middle of it",
	     p[PAGE]);
	munmap(p, 16 * PAGE);
	anon(16 * PAGE, p);
	ret = read_fixed(ring, fd, p + PAGE, PAGE, 0);
	fact(ret == (int)PAGE && p[PAGE] == 0,
	     "after munmap and mmap it reports success and the new memory stays empty",
	     p[PAGE]);
	fact(slot_set(ring, 0, NULL, 0) == 1, "a slot is cleared by an empty iovec", 1);
	for (int i = 0; i < SOON && pinned_kb(); i++)
		usleep(10000);
	fact(pinned_kb() == 0,
	     "and nothing is pinned then (KiB; a second later before 6.4)", pinned_kb());
	ret = read_fixed(ring, fd, p, PAGE, 0);
	fact(ret == -EFAULT, "a cleared slot: EFAULT", ret);
	munmap(p, 16 * PAGE);
}

static void in_flight(struct io_uring *ring)
{
	char *p = anon(PAGE, NULL);
	int ret, pipes[2];

	if (pipe(pipes))
		exit(1);
	slot_set(ring, 1, p, PAGE);
	io_uring_prep_read_fixed(io_uring_get_sqe(ring), pipes[0], p, 4, 0, 1);
	io_uring_submit(ring);
	slot_set(ring, 1, NULL, 0);
	fact(write(pipes[1], "abcd", 4) == 4, "a fixed read waits on a pipe", 4);
	ret = reap(ring);
	fact(ret == 4 && p[0] == 'a', "it keeps its buffer when the slot is cleared", ret);
	close(pipes[0]);
	close(pipes[1]);
	munmap(p, PAGE);
}

static void refusals(struct io_uring *ring)
{
	char *p = anon(PAGE, NULL);
	int ret, fd;
	char *big = mmap(NULL, (1ul << 30) + PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ret = slot_set(ring, 2, big, (1ul << 30) + PAGE);
	/* The driver never asks for more. */
	printf("     more than 1 GiB: %s (%d)\n", ret < 0 ? "refused" : "taken", ret);
	slot_set(ring, 2, NULL, 0);
	munmap(big, (1ul << 30) + PAGE);
	mprotect(p, PAGE, PROT_READ);
	ret = slot_set(ring, 2, p, PAGE);
	fact(ret == -EFAULT, "read-only anonymous memory is refused", ret);
	munmap(p, PAGE);
	ret = slot_set(ring, 2, p, PAGE);
	fact(ret == -EFAULT, "a hole is refused", ret);
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	if (fd >= 0 && !ftruncate(fd, PAGE)) {
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ret = slot_set(ring, 2, p, PAGE);
		printf("     shared mapping of a file: %d\n", ret);
		munmap(p, PAGE);
		close(fd);
	}
	ret = slot_set(ring, 64, p, PAGE);
	fact(ret == -EINVAL, "a slot beyond the table is refused", ret);
	ret = io_uring_register_buffers_sparse(ring, 4);
	fact(ret == -EBUSY, "a second table is refused", ret);
}

static void tables(void)
{
	struct io_uring ring;
	struct iovec *iovs = calloc(16385, sizeof(*iovs));
	__u64 *tags = calloc(16385, sizeof(*tags));
	int ret;

	io_uring_queue_init(4, &ring, 0);
	ret = io_uring_register_buffers_sparse(&ring, 16385);
	fact(ret == -EINVAL, "16,385 slots are too many", ret);
	ret = io_uring_register_buffers_sparse(&ring, 16384);
	fact(ret == 0, "16,384 slots are had", ret);
	fact(io_uring_unregister_buffers(&ring) == 0, "an empty table goes", 0);
	ret = io_uring_register_buffers_tags(&ring, iovs, tags, 64);
	fact(ret == 0, "empty iovecs make a sparse table too (5.13)", ret);
	io_uring_queue_exit(&ring);
	free(iovs);
	free(tags);
}

struct foreign {
	struct io_uring *ring;
	void *p;
	int ret, clear;
};

static void *register_elsewhere(void *arg)
{
	struct foreign *f = arg;

	f->ret = slot_set(f->ring, 0, f->p, PAGE);
	f->clear = slot_set(f->ring, 0, NULL, 0);
	return NULL;
}

static void other_thread(unsigned int flags, int want, const char *what)
{
	struct foreign f = {0};
	struct io_uring ring;
	pthread_t thread;
	int fd = pattern_file();

	if (io_uring_queue_init(4, &ring, flags)) {
		printf("skip %s: this kernel has no such ring\n", what);
		return;
	}
	io_uring_register_buffers_sparse(&ring, 4);
	f.ring = &ring;
	f.p = anon(PAGE, NULL);
	pthread_create(&thread, NULL, register_elsewhere, &f);
	pthread_join(thread, NULL);
	fact(f.ret == want && (f.clear == want), what, f.ret);
	slot_set(&ring, 1, f.p, PAGE);
	fact(read_fixed(&ring, fd, f.p, PAGE, 1) == (int)PAGE, "  and it reads", 0);
	io_uring_queue_exit(&ring);
	close(fd);
}

static void vectored(struct io_uring *ring, int fd)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	char *p = anon(4 * PAGE, NULL);
	struct iovec iov[2] = {{p + 2 * PAGE, 100}, {p, 200}};
	struct io_uring_sqe *sqe;
	int ret, have = io_uring_opcode_supported(probe, READV_FIXED);

	io_uring_free_probe(probe);
	if (!have) {
		printf("skip READV_FIXED: needs kernel 6.15\n");
		return;
	}
	slot_set(ring, 3, p, 4 * PAGE);
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_readv(sqe, fd, iov, 2, 0);
	sqe->opcode = READV_FIXED;
	sqe->buf_index = 3;
	io_uring_submit(ring);
	ret = reap(ring);
	fact(ret == 300 && p[2 * PAGE + 99] == 0x5a && p[199] == 0x5a, "READV_FIXED", ret);
	iov[0].iov_base = &ret;
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_readv(sqe, fd, iov, 2, 0);
	sqe->opcode = READV_FIXED;
	sqe->buf_index = 3;
	io_uring_submit(ring);
	ret = reap(ring);
	fact(ret == -EFAULT, "READV_FIXED with a piece outside: EFAULT", ret);
	slot_set(ring, 3, NULL, 0);
	munmap(p, 4 * PAGE);
}

static void child_limit(void)
{
	struct rlimit limit = {1 << 20, 1 << 20};
	struct io_uring ring;
	char *p = anon(512 * PAGE, NULL);
	int ret, ok = 0;

	/* Of a huge page all is counted, whatever part of it is registered. */
	madvise(p, 512 * PAGE, MADV_NOHUGEPAGE);
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgid(65534) || setuid(65534))
		_exit(77);
	if (io_uring_queue_init(4, &ring, 0))
		_exit(77);
	io_uring_register_buffers_sparse(&ring, 1024);
	for (int i = 0; i < 512; i++)
		if (slot_set(&ring, i, p + i * PAGE, PAGE) == 1)
			ok++;
	ret = slot_set(&ring, 600, p, PAGE);
	printf("     RLIMIT_MEMLOCK 1 MiB: %d pages, then %d\n", ok, ret);
	fflush(stdout);
	if (ret != -ENOMEM || ok > (int)((1 << 20) / PAGE))
		_exit(1);
	slot_set(&ring, 0, NULL, 0);
	for (int i = 0; i < SOON && (ret = slot_set(&ring, 600, p, PAGE)) == -ENOMEM; i++)
		usleep(10000);
	_exit(ret == 1 ? 0 : 2);
}

static void memlock(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		child_limit();
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		printf("skip RLIMIT_MEMLOCK: cannot become nobody\n");
	else
		fact(status == 0, "RLIMIT_MEMLOCK is ENOMEM, and clearing a slot helps",
		     status);
}

int main(void)
{
	struct io_uring ring;
	int ret, fd = pattern_file();

	memlock();
	ret = io_uring_queue_init(8, &ring, 0);
	if (ret) {
		printf("io_uring: %s\n", strerror(-ret));
		return 77;
	}
	if (io_uring_register_buffers_sparse(&ring, 64)) {
		printf("sparse buffer tables need kernel 5.19\n");
		return 77;
	}
	stale(&ring, fd);
	in_flight(&ring);
	refusals(&ring);
	vectored(&ring, fd);
	io_uring_queue_exit(&ring);
	tables();
	other_thread(0, 1, "another thread may register");
	other_thread(IORING_SETUP_SQPOLL, 1, "SQPOLL: another thread may register");
	other_thread(SINGLE_ISSUER, -EEXIST, "SINGLE_ISSUER: another thread gets EEXIST");
	other_thread(SINGLE_ISSUER | DEFER_TASKRUN, -EEXIST,
		     "DEFER_TASKRUN: another thread gets EEXIST");
	return failed ? 1 : 0;
}
