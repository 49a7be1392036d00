// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: what happens when the program closes the driver's own
 * descriptor, or gives its number to a file of its own?
 *
 * At each moment of a full use, in each way. No byte of the program's file is touched,
 * every read lands where it must, and every call returns (an alarm ends the test).
 */
#include "uring_test.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#define LEN (64 * 1024ul)

enum way { CLOSE, RAW_CLOSE, RAW_DUP2, RAW_RING, CLOSE_RANGE, RAW_CLOSE_ALL, WAYS };
static const char *const ways[] = {"close()",          "close, raw",    "dup2, raw",
				   "another io_uring", "close_range()", "close_range, raw"};

enum moment {
	BEFORE_FIRST,
	PINNED,
	IN_FLIGHT,
	BEFORE_UNMAP,
	AFTER_UNMAP,
	BEFORE_DESTROY,
	BEFORE_CLOSE,
	MOMENTS
};

static enum way way;
static enum moment moment;
static struct stat file_before;
static int foreign = -1, driver_fd; /* the program's file, and where it was put */
static struct io_uring other;

static bool is_ring(int fd)
{
	char name[40], to[64];
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = 0;
	return !strcmp(to, "anon_inode:[io_uring]");
}

/* The driver's descriptor of the ring: the same file as the program's, by another number.
 */
static int find_driver_fd(const struct rig *rig)
{
	struct stat ring, found;
	int fd = 0;

	fstat(rig->ring.ring_fd, &ring);
	while (++fd < 4096)
		if (fd != rig->ring.ring_fd && is_ring(fd) && !fstat(fd, &found) &&
		    found.st_ino == ring.st_ino)
			return fd;
	return -1;
}

static void raw_dup2(int from, int to)
{
	syscall(SYS_close, to);
	syscall(SYS_dup3, from, to, O_CLOEXEC);
}

/* Everything but the first three, the ring and the files of the test. */
static void close_all(const struct rig *rig, long (*close_range)(int, int))
{
	int keep[] = {rig->ring.ring_fd, rig->file, foreign, other.ring_fd}, from = 3;

	for (int fd = 3; fd < 4096; fd++) {
		bool kept = false;

		for (int i = 0; i < 4; i++)
			kept |= keep[i] == fd;
		if (!kept)
			continue;
		if (fd > from)
			close_range(from, fd - 1);
		from = fd + 1;
	}
	close_range(from, INT_MAX);
}

static long raw_range(int first, int last)
{
	return syscall(SYS_close_range, first, last, 0);
}

static long libc_range(int first, int last)
{
	return close_range((unsigned int)first, (unsigned int)last, 0);
}

static void strike(const struct rig *rig, enum moment now)
{
	if (now != moment)
		return;
	driver_fd = find_driver_fd(rig);
	EXPECT(driver_fd >= 0, "the driver keeps no descriptor");
	switch (way) {
	case CLOSE:
		EXPECT(close(driver_fd) == -1 && errno == EBADF, "libc closed it");
		break;
	case RAW_CLOSE:
		syscall(SYS_close, driver_fd);
		break;
	case RAW_DUP2:
		raw_dup2(foreign, driver_fd);
		break;
	case RAW_RING:
		raw_dup2(other.ring_fd, driver_fd);
		break;
	case CLOSE_RANGE:
		close_all(rig, libc_range);
		break;
	default:
		close_all(rig, raw_range);
	}
}

/* A file with bytes, a position and flags: all as they were. */
static void check_foreign(void)
{
	struct stat now;
	char block[512];

	fstat(foreign, &now);
	EXPECT(now.st_size == file_before.st_size, "%lld bytes", (long long)now.st_size);
	EXPECT(lseek(foreign, 0, SEEK_CUR) == 7, "its position moved");
	EXPECT(pread(foreign, block, sizeof(block), 0) == sizeof(block), "pread");
	EXPECT(!wrong_bytes(block, sizeof(block), 0), "its bytes");
	/* The other ring has no table of buffers: none was put there. */
	EXPECT(io_uring_unregister_buffers(&other) == -ENXIO, "the other ring has buffers");
}

static void read_right(struct rig *rig, char *p, uint64_t offset)
{
	int ret = read_to(rig, p, LEN, offset);

	EXPECT(ret == (int)LEN, "%s, moment %d: %d", ways[way], moment, ret);
	EXPECT(!wrong_bytes(p, LEN, offset), "%s, moment %d: data", ways[way], moment);
}

static void use(struct rig *rig)
{
	char *p = map_at(NULL, LEN), *q = map_at(NULL, LEN);
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC))
		exit(1);
	strike(rig, BEFORE_FIRST);
	read_right(rig, p, 0);
	strike(rig, PINNED);
	read_right(rig, p, PAGE);
	read_right(rig, q, PAGE);
	prep_read(rig, p, LEN, 2 * PAGE, 5);
	EXPECT(hmm_uring_submit(rig->u) == 1, "submit");
	strike(rig, IN_FLIGHT);
	EXPECT(reap(rig, 5) == (int)LEN, "in flight");
	strike(rig, BEFORE_UNMAP);
	munmap(p, LEN);
	strike(rig, AFTER_UNMAP);
	map_at(p, LEN);
	read_right(rig, p, 3 * PAGE);
	read_right(rig, q, 4 * PAGE);
	strike(rig, BEFORE_DESTROY);
	EXPECT(!hmm_mirror_destroy(rig->mirror), "destroy");
	read_right(rig, q, 5 * PAGE);
	strike(rig, BEFORE_CLOSE);
	munmap(p, LEN);
	munmap(q, LEN);
	syscall(SYS_close, pipes[0]);
	syscall(SYS_close, pipes[1]);
}

static void one(void)
{
	struct rig rig;

	alarm(60);
	driver_fd = -1;
	MUST(io_uring_queue_init(2, &other, 0));
	foreign = pattern_file();
	lseek(foreign, 7, SEEK_SET);
	fstat(foreign, &file_before);
	rig_open(&rig, 8, 0, NULL, LEN);
	use(&rig);
	check_foreign();
	EXPECT(!hmm_uring_close(rig.u), "%s, moment %d: close: %s", ways[way], moment,
	       hmm_error());
	io_uring_queue_exit(&rig.ring);
	hmm_close(rig.hmm);
	check_foreign();
	if (way == RAW_DUP2 || way == RAW_RING) {
		struct stat now;

		EXPECT(!fstat(driver_fd, &now), "the program's descriptor was closed");
		syscall(SYS_close, driver_fd);
	}
	close(rig.file);
	close(foreign);
	io_uring_queue_exit(&other);
	EXPECT(nothing_pinned(), "%s, moment %d: %ld KiB are pinned", ways[way], moment,
	       pinned_kb());
}

/* The ring's own descriptor goes as well: nothing can be pinned, and the rest returns. */
static void both_gone(void)
{
	struct rig rig;
	char *p;

	alarm(60);
	MUST(io_uring_queue_init(2, &other, 0));
	foreign = pattern_file();
	lseek(foreign, 7, SEEK_SET);
	fstat(foreign, &file_before);
	rig_open(&rig, 8, 0, NULL, LEN);
	p = map_at(NULL, LEN);
	read_right(&rig, p, 0);
	driver_fd = find_driver_fd(&rig);
	raw_dup2(foreign, driver_fd);
	raw_dup2(foreign, rig.ring.ring_fd);
	EXPECT(read_to(&rig, p, LEN, 0) < 0, "a read through a file that is no ring");
	munmap(p, LEN);
	check_foreign();
	EXPECT(!hmm_uring_close(rig.u), "close: %s", hmm_error());
	hmm_quiesce(rig.hmm, 1000);
	hmm_close(rig.hmm);
	check_foreign();
	syscall(SYS_close, driver_fd);
	close(foreign);
	close(rig.file);
	io_uring_queue_exit(&other);
}

int main(void)
{
	need_fixed_buffers();
	for (way = CLOSE; way < WAYS; way++)
		for (moment = BEFORE_FIRST; moment < MOMENTS; moment++)
			one();
	printf("%d ways, %d moments\n", WAYS, MOMENTS);
	both_gone();
	return test_end();
}
