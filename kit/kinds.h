/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kit: what the files that make the kinds of memory have of one another. */
#ifndef KIT_KINDS_H
#define KIT_KINDS_H

#include "kit.h"

#include <pthread.h>

int make_heap(struct kit_region *r);
int make_large(struct kit_region *r);
void unmake_heap(struct kit_region *r);
int make_brk(struct kit_region *r);
void unmake_brk(struct kit_region *r);
int make_stack(struct kit_region *r);
int make_rodata(struct kit_region *r);
int make_data(struct kit_region *r);
int make_bss(struct kit_region *r);
void unmake_kept(struct kit_region *r);
int make_thread_big(struct kit_region *r);
int make_thread_small(struct kit_region *r);
void unmake_thread(struct kit_region *r);
int make_library(struct kit_region *r);
void unmake_library(struct kit_region *r);

void thread_stack_end(struct kit_region *r); /* the thread ends and is joined */

/* kinds_own.c */
#define MAP_ARGS                                                                      \
	struct kit_region *r, const struct kit_calls *calls, uint8_t *at, size_t len, \
		int flags, const uint8_t *data
int kit_open_backing(const struct kit_kind *kind);
int make_own(struct kit_region *r);
int make_thp(struct kit_region *r);
int make_hugetlb(struct kit_region *r);
void unmake_own(struct kit_region *r);
int map_fd(MAP_ARGS);
int map_anon(MAP_ARGS);
int map_anon_ro(MAP_ARGS);
int map_thp(MAP_ARGS);
int map_hugetlb(MAP_ARGS);
int map_sysv(MAP_ARGS);

/* kinds_dax.c: those of every place, at @out; how many there were. */
unsigned int kit_dax_kinds(struct kit_kind *out, unsigned int room);

/* region.c */
void kit_sizes_init(void);

#endif
