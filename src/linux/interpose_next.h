/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose function is it that an interposed call goes on to?
 *
 * The next one in line: libc's, or that of another library which wraps the same function
 * and has to hear of the call, too (the memory hooks of UCX, a preloaded allocator). NULL:
 * there is none, or it is being looked for; then the kernel is called.
 */
#ifndef AS_INTERPOSE_NEXT_H
#define AS_INTERPOSE_NEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Of two names. The library is built where off_t has 64 bits. */
typedef void *next_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
typedef int next_ftruncate(int fd, off_t len);
typedef int next_truncate(const char *path, off_t len);

struct next {
	int (*munmap)(void *addr, size_t len);
	next_mmap *mmap, *mmap64;
	void *(*mremap)(void *addr, size_t old_len, size_t new_len, int flags, ...);
	int (*mprotect)(void *addr, size_t len, int prot);
	int (*pkey_mprotect)(void *addr, size_t len, int prot, int pkey);
	int (*remap_file_pages)(void *addr, size_t size, int prot, size_t pgoff, int flags);
	int (*madvise)(void *addr, size_t len, int advice);
	ssize_t (*process_madvise)(int pidfd, const struct iovec *iov, size_t nr,
				   int advice, unsigned int flags);
	int (*brk)(void *addr);
	void *(*sbrk)(intptr_t increment);
	void *(*shmat)(int id, const void *addr, int flags);
	int (*shmdt)(const void *addr);
	next_ftruncate *ftruncate, *ftruncate64;
	next_truncate *truncate, *truncate64;

	void (*free)(void *block);
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t nr, size_t size);
	void *(*realloc)(void *block, size_t size);
	void *(*memalign)(size_t alignment, size_t size);
	void *(*aligned_alloc)(size_t alignment, size_t size);
	int (*posix_memalign)(void **block, size_t alignment, size_t size);
	void *(*valloc)(size_t size);
	void *(*pvalloc)(size_t size);
	bool glibc; /* the allocator in use is glibc's */
};

extern __attribute__((visibility("hidden"))) struct next next_table;
extern __attribute__((visibility("hidden"))) _Atomic bool next_known;

/* The first call of all, which may come before any constructor. */
const struct next *next_look(void);

static inline const struct next *next_in_line(void)
{
	if (__builtin_expect(!atomic_load_explicit(&next_known, memory_order_acquire), 0))
		return next_look();
	return &next_table;
}

/* While the linker is asked, it may ask for memory: a little, which is never given back. */
void *next_early_alloc(size_t size);
bool next_early_block(const void *block);

#endif
