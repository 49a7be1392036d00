/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does a program's own userfaultfd get what it gets without the library? Memory that a
 * device has used is registered, moved and let go by the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "linux/kernel.h"
#include "test_as.h"

#define LEN (16 * PAGE)

static struct plain plain;

static char *memory(int flags)
{
	char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	madvise(p, LEN, MADV_NOHUGEPAGE);
	return memset(p, 1, LEN);
}

static int own_uffd(uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int fd =
		(int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api)) {
		printf("no userfaultfd with features %#llx: %s\n",
		       (unsigned long long)features, strerror(errno));
		return -1;
	}
	return fd;
}

static int own(int fd, const char *p, uint64_t len, uint64_t mode)
{
	struct uffdio_register reg = {.range = {.start = (uintptr_t)p, .len = len},
				      .mode = mode};

	return ioctl(fd, UFFDIO_REGISTER, &reg) ? errno : 0;
}

static int let_go(int fd, const char *p, uint64_t len)
{
	struct uffdio_range range = {.start = (uintptr_t)p, .len = len};

	return ioctl(fd, UFFDIO_UNREGISTER, &range) ? errno : 0;
}

static struct hmm_translation translate(const char *p, enum hmm_mode mode)
{
	struct hmm_translation t;

	CHECK(!hmm_translate(plain.mirror, p, PAGE, HMM_READ | HMM_WRITE, &t));
	CHECK(t.mode == mode);
	return t;
}

/* Taken from the library while a device holds it, used meanwhile, and given back. */
static void registered(int fd)
{
	char *p = memory(MAP_PRIVATE);
	struct hmm_translation held = translate(p, HMM_MODE_PIN), t;

	CHECK(own(fd, p, LEN, UFFDIO_REGISTER_MODE_MISSING) == 0);
	CHECK(!hmm_translation_valid(&held));
	hmm_translation_put(&held);
	t = translate(p, HMM_MODE_DIRECT);
	hmm_translation_put(&t);
	/* Nobody tells of this change: so nothing was remembered. */
	CHECK(!raw_call(SYS_mprotect, p, PAGE, PROT_READ));
	CHECK(hmm_translate(plain.mirror, p, PAGE, HMM_WRITE, &t) == -EACCES);
	CHECK(!raw_call(SYS_mprotect, p, PAGE, PROT_READ | PROT_WRITE));
	CHECK(let_go(fd, p, LEN) == 0);
	t = translate(p, HMM_MODE_PIN);
	hmm_translation_put(&t);
	munmap(p, LEN);
}

/* The half that no device touched, of a mapping that is watched as a whole. */
static void half(int fd, int flags)
{
	char *p = memory(flags);
	struct hmm_translation t;

	CHECK(!hmm_translate(plain.mirror, p, PAGE, HMM_READ, &t));
	hmm_translation_put(&t);
	CHECK(own(fd, p + LEN / 2, LEN / 2, UFFDIO_REGISTER_MODE_MISSING) == 0);
	CHECK(!hmm_translate(plain.mirror, p, PAGE, HMM_READ, &t));
	CHECK(!raw_call(SYS_munmap, p, LEN / 4));
	CHECK(!hmm_translation_valid(&t) || t.mode == HMM_MODE_DIRECT);
	hmm_translation_put(&t);
	CHECK(let_go(fd, p + LEN / 2, LEN / 2) == 0);
	munmap(p, LEN);
}

/* What the kernel says of a bad argument is passed on. */
static void bad_arguments(int fd)
{
	char *p = memory(MAP_PRIVATE);

	CHECK(ioctl(fd, UFFDIO_REGISTER, NULL) == -1 && errno == EFAULT);
	CHECK(own(fd, p + 1, LEN, UFFDIO_REGISTER_MODE_MISSING) == EINVAL);
	CHECK(own(-1, p, LEN, UFFDIO_REGISTER_MODE_MISSING) == EBADF);
	munmap(p, LEN);
}

static void moved(void)
{
	int fd = own_uffd(1ull << 16); /* UFFD_FEATURE_MOVE, 6.8 */
	char *from = memory(MAP_PRIVATE), *to = memory(MAP_PRIVATE);
	struct k_uffdio_move move = {
		.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = PAGE};
	struct hmm_translation held;

	if (fd < 0)
		return;
	held = translate(from, HMM_MODE_PIN);
	CHECK(own(fd, to, LEN, UFFDIO_REGISTER_MODE_MISSING) == 0);
	CHECK(madvise(to, PAGE, MADV_DONTNEED) == 0);
	from[0] = 'm';
	CHECK(ioctl(fd, K_UFFDIO_MOVE, &move) == 0 && move.move == (int64_t)PAGE);
	CHECK(to[0] == 'm');
	CHECK(!hmm_translation_valid(&held));
	hmm_translation_put(&held);
	munmap(from, LEN);
	munmap(to, LEN);
	close(fd);
}

int main(void)
{
	int fd = own_uffd(0);

	if (fd < 0)
		return 77;
	plain_open(&plain, 0);
	if (!is_on("interposition") || !is_on("userfaultfd")) {
		printf("the program's calls are not seen here\n");
		return 77;
	}
	registered(fd);
	half(fd, MAP_PRIVATE);
	half(fd, MAP_SHARED);
	bad_arguments(fd);
	moved();
	plain_close(&plain);
	return 0;
}
