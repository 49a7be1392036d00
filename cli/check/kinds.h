/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `hmm check`: kinds of memory that libc, the loader and the kernel make (heap.c). */
#ifndef CHECK_KINDS_H
#define CHECK_KINDS_H

#include "suite.h"

#include <pthread.h>

int make_heap(struct check_region *r);
int make_large(struct check_region *r);
void unmake_heap(struct check_region *r);
int make_brk(struct check_region *r);
void unmake_brk(struct check_region *r);
int make_stack(struct check_region *r);
int make_rodata(struct check_region *r);
int make_data(struct check_region *r);
int make_bss(struct check_region *r);
void unmake_kept(struct check_region *r);
int make_thread_big(struct check_region *r);
int make_thread_small(struct check_region *r);
void unmake_thread(struct check_region *r);
int make_library(struct check_region *r);
void unmake_library(struct check_region *r);

void thread_stack_end(struct check_region *r); /* the thread ends and is joined */

extern uint8_t *check_main_stack; /* SMALL bytes of the main thread's stack */

/* kinds.c, for dax.c */
int check_open_backing(const struct check_kind *kind);
int make_own(struct check_region *r);
void unmake_own(struct check_region *r);
int map_fd(struct check_region *r, const struct check_calls *calls, uint8_t *at, size_t len,
	   int flags, const uint8_t *data);
struct check_kind *check_kind_add(const struct check_kind *kind);
void check_dax_kinds(void); /* adds those of every place */

void check_huge_reserve(void);
void check_huge_give_back(void);

#endif
