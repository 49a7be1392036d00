/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The question this file answers: by which calls does the torture change memory: libc's,
 * which a library may interpose, or raw system calls, which nobody sees but the kernel?
 */
#ifndef TORTURE_CALLS_H
#define TORTURE_CALLS_H

#include <stdbool.h>
#include <sys/types.h>

/* All return 0 (or an address, a pid) or -1 with errno, as libc's do. */
struct calls {
	const char *name;
	bool raw;
	void *(*mmap)(void *at, size_t len, int prot, int flags, int fd, off_t off);
	int (*munmap)(void *at, size_t len);
	void *(*mremap)(void *from, size_t old, size_t len, int flags, void *to);
	int (*madvise)(void *at, size_t len, int advice);
	int (*process_madvise)(void *at, size_t len, int advice);
	int (*mprotect)(void *at, size_t len, int prot);
	int (*pkey_mprotect)(void *at, size_t len, int prot);
	void *(*shmat)(int id, void *at, int flags);
	int (*shmdt)(void *at);
	int (*ftruncate)(int fd, off_t len);
	int (*fallocate)(int fd, int mode, off_t off, off_t len);
	pid_t (*fork)(void);
};

extern const struct calls calls_libc, calls_raw;
/* A raw mprotect is seen a moment later (more than 8 processors), which the model does not
 * know: the devices are told of it. */
extern bool calls_raw_late;
/* Whichever was chosen. */
extern const struct calls *calls;

/* The descriptor that process_madvise names this process by. */
int calls_init(void);
void calls_fini(void);

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define TORTURE_GUARD_INSTALL 102
#define TORTURE_GUARD_REMOVE  103

#endif
