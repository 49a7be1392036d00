/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The question this file answers: what do the tests of the io_uring driver share?
 *
 * A test opens a rig (a ring, its device, a mirror, a file with a known pattern), says
 * what it EXPECTs, and ends with test_end(): 0, 1, or 77 with a reason printed.
 */
#ifndef URING_TEST_H
#define URING_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <hmm/hmm.h>
#include <hmm/uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE     ((unsigned long)getpagesize())
#define FILE_LEN (4ul << 20)

static int test_failed;

#define EXPECT(condition, ...)                                                         \
	do {                                                                           \
		if (!(condition)) {                                                    \
			printf("%s:%d: not so: %s: ", __FILE__, __LINE__, #condition); \
			printf(__VA_ARGS__);                                           \
			printf("\n");                                                  \
			test_failed++;                                                 \
		}                                                                      \
	} while (0)

#define MUST(call)                                                               \
	do {                                                                     \
		int must_ = (call);                                              \
		if (must_ < 0) {                                                 \
			printf("%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call, \
			       strerror(-must_), hmm_error());                   \
			exit(1);                                                 \
		}                                                                \
	} while (0)

struct rig {
	struct hmm *hmm;
	struct io_uring ring;
	struct hmm_uring *u;
	struct hmm_mirror *mirror;
	int file; /* byte at offset o is pattern(o) */
};

static inline void skip(const char *reason)
{
	printf("skip: %s\n", reason);
	exit(77);
}

/* Where changes of memory cannot be watched, nothing is ever on a fixed buffer. */
static inline void need_fixed_buffers(void)
{
	struct hmm_feature features[32];
	int nr = hmm_features(features, 32, sizeof(*features));

	for (int i = 0; i < nr && i < 32; i++)
		if (!strcmp(features[i].name, "userfaultfd") &&
		    features[i].state != HMM_FEATURE_ON)
			skip(features[i].reason);
}

static inline unsigned char pattern(size_t offset)
{
	return 1 + (offset * 7 + offset / 4096) % 251;
}

static inline int test_end(void)
{
	if (test_failed)
		printf("%d failed\n", test_failed);
	return test_failed ? 1 : 0;
}

#define ALIGN (64 * 1024ul)

/*
 * Private anonymous memory. NULL: at a multiple of ALIGN, between mappings that nobody may
 * touch, so that the kernel makes no larger mapping of it and a neighbour.
 */
static inline void *map_at(void *at, size_t len)
{
	char *room;

	if (!at) {
		room = mmap(NULL, len + 2 * ALIGN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		if (room == MAP_FAILED)
			goto err;
		at = (void *)(((uintptr_t)room + ALIGN) & -ALIGN);
	}
	at = mmap(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		  -1, 0);
	if (at != MAP_FAILED)
		return at;
err:
	perror("mmap");
	exit(1);
}

static inline int pattern_file(void)
{
	unsigned char *block = malloc(FILE_LEN);
	int fd = memfd_create("pattern", MFD_CLOEXEC);

	for (size_t i = 0; i < FILE_LEN; i++)
		block[i] = pattern(i);
	if (fd < 0 || write(fd, block, FILE_LEN) != (ssize_t)FILE_LEN) {
		perror("memfd");
		exit(1);
	}
	free(block);
	return fd;
}

/*
 * False: this kernel has no such ring. @attr NULL: fixed buffers wherever they are
 * possible, since most of what the tests use gains nothing by them.
 */
static inline bool rig_open(struct rig *rig, unsigned int entries, unsigned int setup,
			    const struct hmm_uring_attr *attr, uint64_t granule)
{
	static const struct hmm_uring_attr all = {.size = sizeof(all),
						  .flags = HMM_URING_PIN_ALL};
	struct hmm_mirror_attr mirror = {.size = sizeof(mirror), .granule = granule};
	int ret;

	memset(rig, 0, sizeof(*rig));
	ret = hmm_open(NULL, &rig->hmm);
	if (ret) {
		printf("skip: hmm_open: %s\n", hmm_error());
		exit(77);
	}
	ret = io_uring_queue_init(entries, &rig->ring, setup);
	if (ret == -ENOSYS || ret == -EPERM)
		skip("no io_uring here: see `hmm info`");
	if (ret) {
		hmm_close(rig->hmm);
		return false;
	}
	MUST(hmm_uring_open(rig->hmm, &rig->ring, attr ? attr : &all, &rig->u));
	MUST(hmm_mirror_create(hmm_uring_device(rig->u), &mirror, &rig->mirror));
	rig->file = pattern_file();
	return true;
}

static inline void rig_close(struct rig *rig)
{
	MUST(hmm_uring_close(rig->u));
	io_uring_queue_exit(&rig->ring);
	hmm_close(rig->hmm);
	close(rig->file);
}

static inline struct hmm_uring_stats stats_of(struct rig *rig)
{
	struct hmm_uring_stats stats;

	MUST(hmm_uring_stats(rig->u, &stats, sizeof(stats)));
	return stats;
}

/* The next completion's result; its user_data must be @user_data. */
static inline int reap(struct rig *rig, uint64_t user_data)
{
	struct __kernel_timespec limit = {.tv_sec = 20};
	struct io_uring_cqe *cqe;
	int ret;

	do
		ret = hmm_uring_wait_cqe_timeout(rig->u, &cqe, &limit);
	while (ret == -EINTR);
	if (ret)
		return ret;
	EXPECT(cqe->user_data == user_data, "user_data %llx, not %llx",
	       (unsigned long long)cqe->user_data, (unsigned long long)user_data);
	ret = cqe->res;
	hmm_uring_cqe_seen(rig->u, cqe);
	return ret;
}

static inline struct io_uring_sqe *prep_read(struct rig *rig, void *to, size_t len,
					     uint64_t offset, uint64_t user_data)
{
	struct io_uring_sqe *sqe;

	/* With SQPOLL the queue is full until the kernel's thread gets to run. */
	while (!(sqe = io_uring_get_sqe(&rig->ring)))
		io_uring_sqring_wait(&rig->ring);
	hmm_uring_prep_read(rig->u, sqe, rig->file, to, len, offset);
	io_uring_sqe_set_data64(sqe, user_data);
	return sqe;
}

/* Read file bytes [offset, offset + len) into @to; the result. */
static inline int read_to(struct rig *rig, void *to, size_t len, uint64_t offset)
{
	int ret;

	prep_read(rig, to, len, offset, offset ^ 0x5eed);
	ret = hmm_uring_submit(rig->u);
	return ret < 0 ? ret : reap(rig, offset ^ 0x5eed);
}

/* How many bytes at @at are not those of the file at @offset. */
static inline size_t wrong_bytes(const void *at, size_t len, uint64_t offset)
{
	const volatile unsigned char *p = at;
	size_t wrong = 0;

	for (size_t i = 0; i < len; i++)
		wrong += p[i] != pattern(offset + i);
	return wrong;
}

/* KiB pinned by the process, as the kernel counts them. */
static inline long pinned_kb(void)
{
	char line[256];
	long pin = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmPin: %ld", &pin);
	if (f)
		fclose(f);
	return pin;
}

/*
 * May so many KiB be pinned now? Linux 7.3 counts none for who has CAP_IPC_LOCK: a buffer
 * that is registered with a ring without a mirror tells.
 */
static inline bool pinned_is(long kb)
{
	size_t page = (size_t)getpagesize();
	long before = pinned_kb(), counted = 0;
	struct iovec buffer = {map_at(NULL, page), page};
	struct io_uring ring;

	if (!io_uring_queue_init(2, &ring, 0)) {
		if (!io_uring_register_buffers(&ring, &buffer, 1))
			counted = pinned_kb() - before;
		io_uring_queue_exit(&ring);
	}
	munmap(buffer.iov_base, page);
	return before == (counted ? kb : 0);
}

/* Nothing is: the kernel lets go of a request's buffer a little after it completed. */
static inline bool nothing_pinned(void)
{
	for (int i = 0; i < 2000 && pinned_kb(); i++)
		usleep(1000);
	return pinned_kb() == 0;
}

#endif
