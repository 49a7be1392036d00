// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how do the drivers' allocations, and what they ask of
 * liburing, fail on demand?
 *
 * The linker sends these calls of the static libraries here (--wrap). The scenario's own
 * code makes none of them.
 */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>

#include "util/debug.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *p, size_t size);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __real_io_uring_register(unsigned int fd, unsigned int opcode, const void *arg,
			     unsigned int nr);
int __real_io_uring_submit(struct io_uring *ring);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *p, size_t size);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_io_uring_register(unsigned int fd, unsigned int opcode, const void *arg,
			     unsigned int nr);
int __wrap_io_uring_submit(struct io_uring *ring);

static bool refuse(const char *what)
{
	if (!debug_inject(what))
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return refuse("malloc") ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return refuse("calloc") ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return refuse("realloc") ? NULL : __real_realloc(p, size);
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	int err = debug_inject("pthread_create");

	return err ? -err : __real_pthread_create(t, attr, fn, arg);
}

/* What ends a table is done even if it says that it failed, as close(2) is. */
int __wrap_io_uring_register(unsigned int fd, unsigned int opcode, const void *arg,
			     unsigned int nr)
{
	int err = debug_inject("io_uring_register");
	int ret = 0;

	if (!err || opcode == IORING_UNREGISTER_BUFFERS)
		ret = __real_io_uring_register(fd, opcode, arg, nr);
	return err ? err : ret;
}

/* The kernel refuses; what was prepared has been offered to it, as ever. */
int __wrap_io_uring_submit(struct io_uring *ring)
{
	int err = debug_inject("io_uring_submit"), fd = ring->enter_ring_fd;

	if (!err)
		return __real_io_uring_submit(ring);
	ring->enter_ring_fd = -1;
	__real_io_uring_submit(ring);
	ring->enter_ring_fd = fd;
	return err;
}
