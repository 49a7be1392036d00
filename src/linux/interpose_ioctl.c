/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of memory that the program hands to a userfaultfd of its own?
 *
 * A mapping has one userfaultfd, and the program comes first: before it registers a range
 * every device is taken off it and the library's watch ends there. From then on it is
 * memory that cannot be watched, until the program lets it go.
 *
 * UFFDIO_MOVE takes pages from one place to another without an event, and refuses pages
 * that are pinned: so devices let go of both places first.
 */
#include <dlfcn.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "linux/interpose.h"
#include "linux/kernel.h"
#include "sys/sys.h"

#if INTERPOSE

#define RELEASE_MS 100 /* for who holds what is to be moved */

static int (*next_ioctl)(int, unsigned long, ...);

/* Not at the first call: that may come in a signal handler. */
static __attribute__((constructor)) void find_next(void)
{
	next_ioctl = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
}

static int pass_on(int fd, unsigned long request, void *arg)
{
	if (likely(next_ioctl))
		return next_ioctl(fd, request, arg);
	return (int)interpose_result(raw3(SYS_ioctl, fd, (long)request, (long)arg));
}

/* The range: of the program's own structs, which may lie at a bad address. */
static bool read_words(uint64_t *words, size_t nr, const void *arg)
{
	return copy_in(NULL, words, (uintptr_t)arg, nr * sizeof(*words)) == 0 &&
	       !((words[0] | words[1]) % page_size());
}

static int register_range(int fd, unsigned long request, void *arg)
{
	uint64_t range[2]; /* start, length */
	struct op op = {NULL};
	int ret;

	if (read_words(range, 2, arg))
		interpose_begin(&op, range[0], range[0] + range[1], REPLACES);
	ret = pass_on(fd, request, arg);
	if (ret && errno == EBUSY && interpose_open() && op.hmm) {
		/* Something is watched that the library does not know of: it grew, or
		 * moved. */
		uffd_unregister(&as_self.uffd, range[0], range[0] + range[1]);
		ret = pass_on(fd, request, arg);
	}
	interpose_end(&op);
	return ret;
}

static int move_pages(int fd, unsigned long request, void *arg)
{
	uint64_t move[3]; /* to, from, length */
	struct op from = {NULL}, to = {NULL};
	struct hmm *hmm = NULL;
	int ret;

	if (read_words(move, 3, arg)) {
		interpose_begin(&to, move[0], move[0] + move[2], ALTERS);
		interpose_begin(&from, move[1], move[1] + move[2], ALTERS);
	}
	ret = pass_on(fd, request, arg);
	if (ret && errno == EBUSY && from.hmm && (hmm = as_hold())) {
		hmm_quiesce(hmm, RELEASE_MS);
		as_drop();
		ret = pass_on(fd, request, arg);
	}
	interpose_end(&from);
	interpose_end(&to);
	return ret;
}

INTERPOSED int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (unlikely(request == UFFDIO_REGISTER) && interpose_open())
		return register_range(fd, request, arg);
	if (unlikely(request == K_UFFDIO_MOVE) && interpose_open())
		return move_pages(fd, request, arg);
	return pass_on(fd, request, arg);
}

#endif
