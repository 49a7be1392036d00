// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Hard rule 2, enforced.
 *
 * The question this file answers: does the core allocate or free while it holds its lock?
 *
 * The test programs are linked so that every call of malloc and its kin, and every mapping
 * made or undone by the library, comes through here.
 */
#include "fake.h"

#include "sys/sys.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
int __real_sys_mmap(void **out, size_t len, int prot, int flags, int fd);
int __real_sys_munmap(void *addr, size_t len);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);
int __wrap_sys_mmap(void **out, size_t len, int prot, int flags, int fd);
int __wrap_sys_munmap(void *addr, size_t len);

void *__wrap_malloc(size_t size)
{
	CHECK(!core_busy());
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	CHECK(!core_busy());
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	CHECK(!core_busy());
	return __real_realloc(old, size);
}

void __wrap_free(void *memory)
{
	CHECK(!core_busy());
	__real_free(memory);
}

int __wrap_sys_mmap(void **out, size_t len, int prot, int flags, int fd)
{
	CHECK(!core_busy());
	return __real_sys_mmap(out, len, prot, flags, fd);
}

int __wrap_sys_munmap(void *addr, size_t len)
{
	CHECK(!core_busy());
	return __real_sys_munmap(addr, len);
}
