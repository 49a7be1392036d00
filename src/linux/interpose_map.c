/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which libc calls change mappings and pages?
 *
 * Where a call's range cannot be told exactly (huge pages are rounded up by the kernel),
 * what is left over raises its event.
 */
#undef _FILE_OFFSET_BITS /* or mmap would be a name of mmap64 */
#include <limits.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "linux/interpose.h"
#include "linux/interpose_next.h"
#include "linux/kernel.h"

#if INTERPOSE

#define ADDR(p) ((uint64_t)(uintptr_t)(p))

INTERPOSED int munmap(void *addr, size_t len)
{
	const struct next *next = next_in_line();
	struct op op;
	int ret;

	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + len), UNMAPS);
	if (likely(next->munmap))
		ret = next->munmap(addr, len);
	else
		ret = (int)interpose_result(raw2(SYS_munmap, (long)addr, (long)len));
	interpose_end(&op);
	return ret;
}

/* Loaded late, the name munmap is libc's for us too: this one is ours for certain. */
HIDDEN int interpose_munmap(void *addr, size_t len)
	__attribute__((alias("munmap"), nothrow, leaf));

static void *map(next_mmap *next, void *addr, size_t len, int prot, int flags, int fd,
		 off_t offset)
{
	struct op op = {NULL};
	void *ret;

	if (flags & MAP_FIXED)
		interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + len), DISCARDS);
	if (likely(next))
		ret = next(addr, len, prot, flags, fd, offset);
	else
		ret = (void *)interpose_result(
			raw6(SYS_mmap, (long)addr, (long)len, prot, flags, fd, offset));
	interpose_end(&op);
	if (!(flags & MAP_FIXED) && ret != MAP_FAILED)
		interpose_placed(ADDR(ret), ADDR(ret) + len);
	return ret;
}

INTERPOSED void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return map(next_in_line()->mmap, addr, len, prot, flags, fd, offset);
}

INTERPOSED void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	return map(next_in_line()->mmap64, addr, len, prot, flags, fd, offset);
}

static void *next_mremap(void *addr, size_t old_len, size_t new_len, int flags, void *to)
{
	const struct next *next = next_in_line();

	if (likely(next->mremap))
		return next->mremap(addr, old_len, new_len, flags, to);
	return (void *)interpose_result(raw5(SYS_mremap, (long)addr, (long)old_len,
					     (long)new_len, flags, (long)to));
}

static void *move(void *addr, size_t old_len, size_t new_len, int flags, void *to)
{
	struct op op, target = {NULL};
	void *ret;

	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + old_len), DISCARDS);
	if (flags & MREMAP_FIXED)
		interpose_begin(&target, ADDR(to), page_up(ADDR(to) + new_len), DISCARDS);
	ret = next_mremap(addr, old_len, new_len, flags, to);
	interpose_end(&target);
	interpose_end(&op);
	if (!(flags & MREMAP_FIXED) && ret != MAP_FAILED)
		interpose_placed(ADDR(ret) + (ret == addr ? page_up(old_len) : 0),
				 ADDR(ret) + new_len);
	return ret;
}

INTERPOSED void *mremap(void *addr, size_t old_len, size_t new_len, int flags, ...)
{
	void *to = NULL;
	va_list args;

	if (flags & MREMAP_FIXED) {
		va_start(args, flags);
		to = va_arg(args, void *);
		va_end(args);
	}
	return move(addr, old_len, new_len, flags, to);
}

/* ---- protection --------------------------------------------------------------------- */

static int next_mprotect(void *addr, size_t len, int prot)
{
	const struct next *next = next_in_line();

	if (likely(next->mprotect))
		return next->mprotect(addr, len, prot);
	return (int)interpose_result(raw3(SYS_mprotect, (long)addr, (long)len, prot));
}

INTERPOSED int mprotect(void *addr, size_t len, int prot)
{
	struct op op;
	int ret;

	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + len), ALTERS);
	ret = next_mprotect(addr, len, prot);
	interpose_end(&op);
	return ret;
}

INTERPOSED int pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	const struct next *next = next_in_line();
	struct op op;
	int ret;

	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + len), ALTERS);
	/* As libc: -1 works on a machine without keys. */
	if (pkey == -1)
		ret = next_mprotect(addr, len, prot);
	else if (likely(next->pkey_mprotect))
		ret = next->pkey_mprotect(addr, len, prot, pkey);
	else
		ret = (int)interpose_result(
			raw4(SYS_pkey_mprotect, (long)addr, (long)len, prot, pkey));
	interpose_end(&op);
	return ret;
}

INTERPOSED int remap_file_pages(void *addr, size_t size, int prot, size_t pgoff, int flags)
{
	const struct next *next = next_in_line();
	struct op op;
	int ret;

	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + size), REPLACES);
	if (likely(next->remap_file_pages))
		ret = next->remap_file_pages(addr, size, prot, pgoff, flags);
	else
		ret = (int)interpose_result(raw5(SYS_remap_file_pages, (long)addr,
						 (long)size, prot, (long)pgoff, flags));
	interpose_end(&op);
	return ret;
}

/* ---- advice ---------------------------------------------------------------------------
 */

static bool removes(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
	       advice == K_MADV_DONTNEED_LOCKED;
}

void interpose_begin_advice(struct op *op, uint64_t start, size_t len, int advice)
{
	op->hmm = NULL;
	/* No huge page is made where pieces are watched and others are not, or pinned. */
	if (removes(advice) || advice == K_MADV_COLLAPSE)
		interpose_begin(op, start, page_up(start + len), DISCARDS);
	else if (advice == K_MADV_GUARD_INSTALL)
		interpose_begin(op, start, page_up(start + len), ALTERS);
}

INTERPOSED int madvise(void *addr, size_t len, int advice)
{
	const struct next *next = next_in_line();
	struct op op;
	int ret;

	interpose_begin_advice(&op, ADDR(addr), len, advice);
	if (likely(next->madvise))
		ret = next->madvise(addr, len, advice);
	else
		ret = (int)interpose_result(
			raw3(SYS_madvise, (long)addr, (long)len, advice));
	interpose_end(&op);
	return ret;
}

static ssize_t next_process_madvise(int pidfd, const struct iovec *iov, size_t nr,
				    int advice, unsigned int flags)
{
	const struct next *next = next_in_line();

	if (likely(next->process_madvise))
		return next->process_madvise(pidfd, iov, nr, advice, flags);
	return interpose_result(
		raw5(SYS_process_madvise, pidfd, (long)iov, (long)nr, advice, flags));
}

/*
 * Whose memory it is cannot be told from here: a change that is announced and does not come
 * is no harm. The list may lie where nothing can be read: that is for the kernel to say.
 */
ssize_t interpose_guard_each(next_advise_process *next, int pidfd, const struct iovec *iov,
			     size_t nr, unsigned int flags)
{
	ssize_t done = 0;

	for (size_t i = 0; i < nr; i++) {
		struct op op = {NULL};
		struct iovec range = {0};
		ssize_t ret;

		if (copy_in(NULL, &range, ADDR(&iov[i]), sizeof(range)) == 0)
			interpose_begin_advice(&op, ADDR(range.iov_base), range.iov_len,
					       K_MADV_GUARD_INSTALL);
		ret = next(pidfd, &iov[i], 1, K_MADV_GUARD_INSTALL, flags);
		interpose_end(&op);
		if (ret < 0)
			return done ? done : ret;
		done += ret;
		if ((size_t)ret < range.iov_len)
			break;
	}
	return done;
}

/*
 * Guards raise no event: so they are looked at one after the other, as the kernel does it.
 * What is discarded raises its events, which costs less than to look at the list here.
 */
bool interpose_guards(int advice, size_t nr)
{
	return advice == K_MADV_GUARD_INSTALL && interpose_open() && nr && nr <= IOV_MAX;
}

INTERPOSED ssize_t process_madvise(int pidfd, const struct iovec *iov, size_t nr,
				   int advice, unsigned int flags)
{
	if (!interpose_guards(advice, nr))
		return next_process_madvise(pidfd, iov, nr, advice, flags);
	return interpose_guard_each(next_process_madvise, pidfd, iov, nr, flags);
}

/* ---- the heap's end -------------------------------------------------------------------
 */

/* glibc's own: where it believes the heap to end, and the sbrk that knows it. */
extern void *__curbrk;
void *__sbrk(intptr_t increment);

static void begin_shrink(struct op *op, uint64_t to)
{
	op->hmm = NULL;
	if (to < ADDR(__curbrk))
		interpose_begin(op, page_up(to), page_up(ADDR(__curbrk)), UNMAPS);
}

/*
 * By the kernel's account: whoever lowered it by a system call has not told glibc, and what
 * comes back is new memory all the same.
 */
static uint64_t heap_end(void)
{
	uint64_t end = ADDR(__curbrk), real;

	if (!interpose_open())
		return end;
	real = (uint64_t)raw1(SYS_brk, 0);
	return real < end ? real : end;
}

static void grown(uint64_t from)
{
	if (ADDR(__curbrk) > from && from)
		interpose_placed(page_up(from), ADDR(__curbrk));
}

static int next_brk(void *addr)
{
	const struct next *next = next_in_line();
	long ret;

	if (likely(next->brk))
		return next->brk(addr);
	ret = raw1(SYS_brk, (long)addr);
	__curbrk = (void *)ret;
	if (ADDR(ret) >= ADDR(addr))
		return 0;
	errno = ENOMEM;
	return -1;
}

INTERPOSED int brk(void *addr)
{
	uint64_t from = heap_end();
	struct op op;
	int ret;

	begin_shrink(&op, ADDR(addr));
	ret = next_brk(addr);
	interpose_end(&op);
	grown(from);
	return ret;
}

INTERPOSED void *sbrk(intptr_t increment)
{
	const struct next *next = next_in_line();
	uint64_t from = increment ? heap_end() : ADDR(__curbrk);
	struct op op = {NULL};
	void *ret;

	if (increment < 0)
		begin_shrink(&op, ADDR(__curbrk) - (uint64_t)-increment);
	ret = next->sbrk ? next->sbrk(increment) : __sbrk(increment);
	interpose_end(&op);
	grown(from);
	return ret;
}

#endif
