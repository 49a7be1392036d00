/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of the library's own.
 *
 * The question this file answers: where does memory come from when nobody may call malloc
 * (hard rule 2)?
 *
 * Address space is reserved once, with no memory behind it until it is touched; it is
 * never given back before arena_free, never mirrored, never unmapped piecemeal.
 */
#ifndef UTIL_ARENA_H
#define UTIL_ARENA_H

#include <stddef.h>
#include <stdint.h>

/* Reserve; zeroed, untouched. NULL and *err = -errno. Unlocked only. */
void *arena_reserve(size_t size, int *err);
/* As arena_reserve, but the child of a fork finds it zeroed (even by a raw clone). */
void *arena_reserve_wiped(size_t size, int *err);
void arena_free(void *memory, size_t size);
/* Give the memory back to the kernel, keep the addresses. Unlocked only. */
void arena_discard(void *memory, size_t size);
size_t page_size(void);
/* Address space reserved just now, in bytes. */
uint64_t arena_reserved(void);

#endif
