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
#include "linux/kernel.h"

#if INTERPOSE

#define ADDR(p) ((uint64_t)(uintptr_t)(p))

INTERPOSED int munmap(void *addr, size_t len)
{
	struct op op;
	long ret;

	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + len), UNMAPS);
	ret = raw2(SYS_munmap, (long)addr, (long)len);
	interpose_end(&op);
	return (int)interpose_result(ret);
}

/* Loaded late, the name munmap is libc's for us too: this one is ours for certain. */
HIDDEN int interpose_munmap(void *addr, size_t len)
	__attribute__((alias("munmap"), nothrow, leaf));

/*
 * Memory that the kernel chose a place for was free: if a device still has the place, the
 * news that it was unmapped is on its way (a raw call by another thread), and would come
 * too late for who uses the new memory.
 */
static void placed(uint64_t start, uint64_t end)
{
	struct op op;

	interpose_begin(&op, start, page_up(end), DISCARDS);
	interpose_end(&op);
}

static void *map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	struct op op = {NULL};
	long ret;

	if (flags & MAP_FIXED)
		interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + len), DISCARDS);
	ret = raw6(SYS_mmap, (long)addr, (long)len, prot, flags, fd, offset);
	interpose_end(&op);
	if (!(flags & MAP_FIXED) && !failed(ret))
		placed((uint64_t)ret, (uint64_t)ret + len);
	return (void *)interpose_result(ret);
}

INTERPOSED void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return map(addr, len, prot, flags, fd, offset);
}

INTERPOSED void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	return map(addr, len, prot, flags, fd, offset);
}

INTERPOSED void *mremap(void *addr, size_t old_len, size_t new_len, int flags, ...)
{
	struct op op, target = {NULL};
	void *to = NULL;
	va_list args;
	long ret;

	if (flags & MREMAP_FIXED) {
		va_start(args, flags);
		to = va_arg(args, void *);
		va_end(args);
	}
	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + old_len), DISCARDS);
	if (flags & MREMAP_FIXED)
		interpose_begin(&target, ADDR(to), page_up(ADDR(to) + new_len), DISCARDS);
	ret = raw5(SYS_mremap, (long)addr, (long)old_len, (long)new_len, flags, (long)to);
	interpose_end(&target);
	interpose_end(&op);
	if (!(flags & MREMAP_FIXED) && !failed(ret))
		placed((uint64_t)ret + ((uint64_t)ret == ADDR(addr) ? page_up(old_len) : 0),
		       (uint64_t)ret + new_len);
	return (void *)interpose_result(ret);
}

/* ---- protection --------------------------------------------------------------------- */

INTERPOSED int mprotect(void *addr, size_t len, int prot)
{
	struct op op;
	long ret;

	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + len), ALTERS);
	ret = raw3(SYS_mprotect, (long)addr, (long)len, prot);
	interpose_end(&op);
	return (int)interpose_result(ret);
}

INTERPOSED int pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	struct op op;
	long ret;

	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + len), ALTERS);
	/* As libc: -1 works on a machine without keys. */
	if (pkey == -1)
		ret = raw3(SYS_mprotect, (long)addr, (long)len, prot);
	else
		ret = raw4(SYS_pkey_mprotect, (long)addr, (long)len, prot, pkey);
	interpose_end(&op);
	return (int)interpose_result(ret);
}

INTERPOSED int remap_file_pages(void *addr, size_t size, int prot, size_t pgoff, int flags)
{
	struct op op;
	long ret;

	interpose_begin(&op, ADDR(addr), page_up(ADDR(addr) + size), REPLACES);
	ret = raw5(SYS_remap_file_pages, (long)addr, (long)size, prot, (long)pgoff, flags);
	interpose_end(&op);
	return (int)interpose_result(ret);
}

/* ---- advice ---------------------------------------------------------------------------
 */

static bool removes(int advice)
{
	return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
	       advice == K_MADV_DONTNEED_LOCKED;
}

static void begin_advice(struct op *op, const void *addr, size_t len, int advice)
{
	op->hmm = NULL;
	if (removes(advice))
		interpose_begin(op, ADDR(addr), page_up(ADDR(addr) + len), DISCARDS);
	else if (advice == K_MADV_GUARD_INSTALL)
		interpose_begin(op, ADDR(addr), page_up(ADDR(addr) + len), ALTERS);
}

INTERPOSED int madvise(void *addr, size_t len, int advice)
{
	struct op op;
	long ret;

	begin_advice(&op, addr, len, advice);
	ret = raw3(SYS_madvise, (long)addr, (long)len, advice);
	interpose_end(&op);
	return (int)interpose_result(ret);
}

/*
 * One range at a time: as the kernel does it, which answers with what was done when a
 * later range fails. Whose memory it is cannot be told from here: a change that is
 * announced and does not come is no harm.
 */
INTERPOSED ssize_t process_madvise(int pidfd, const struct iovec *iov, size_t nr,
				   int advice, unsigned int flags)
{
	ssize_t done = 0;

	if (!interpose_open() || !(removes(advice) || advice == K_MADV_GUARD_INSTALL) ||
	    nr > IOV_MAX || !nr)
		return interpose_result(raw5(SYS_process_madvise, pidfd, (long)iov,
					     (long)nr, advice, flags));
	for (size_t i = 0; i < nr; i++) {
		struct op op;
		long ret;

		begin_advice(&op, iov[i].iov_base, iov[i].iov_len, advice);
		ret = raw5(SYS_process_madvise, pidfd, (long)&iov[i], 1, advice, flags);
		interpose_end(&op);
		if (ret < 0)
			return done ? done : interpose_result(ret);
		done += ret;
		if ((size_t)ret < iov[i].iov_len)
			break;
	}
	return done;
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

INTERPOSED int brk(void *addr)
{
	struct op op;
	long ret;

	begin_shrink(&op, ADDR(addr));
	ret = raw1(SYS_brk, (long)addr);
	interpose_end(&op);
	__curbrk = (void *)ret;
	if (ADDR(ret) < ADDR(addr)) {
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

INTERPOSED void *sbrk(intptr_t increment)
{
	struct op op = {NULL};
	void *ret;

	if (increment < 0)
		begin_shrink(&op, ADDR(__curbrk) - (uint64_t)-increment);
	ret = __sbrk(increment);
	interpose_end(&op);
	return ret;
}

#endif
