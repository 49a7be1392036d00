/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kit: changes that are in files of their own, and what all of them share. */
#ifndef KIT_CHANGES_H
#define KIT_CHANGES_H

#include "kit.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define KIT_GUARD_INSTALL 102
#define KIT_GUARD_REMOVE  103

#define AT(act)    ((act)->r->addr + (act)->lo)
#define LEN(act)   ((act)->hi - (act)->lo)
#define FRESH(act) ((act)->r->fresh + (act)->lo)

/* With a reason: the kernel does not offer it; it failed; others see what is wrong. */
int act_skip(struct kit_act *act, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int act_fail(struct kit_act *act, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int act_wrong(struct kit_act *act, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int call_failed(struct kit_act *act, const char *call);

/* changes_map.c */
int restore_fresh(struct kit_act *act);
int apply_none(struct kit_act *act);
int apply_munmap(struct kit_act *act);
int apply_map_over(struct kit_act *act);
int apply_map_none(struct kit_act *act);
void cleanup_moved(struct kit_act *act);
int apply_mremap_move(struct kit_act *act);
int apply_mremap_dontunmap(struct kit_act *act);
int apply_mremap_onto(struct kit_act *act);
int apply_mremap_shrink(struct kit_act *act);
int apply_brk(struct kit_act *act);
int restore_brk(struct kit_act *act);
int apply_dontneed(struct kit_act *act);
int apply_dontneed_locked(struct kit_act *act);
int apply_free_advice(struct kit_act *act);
int restore_nothing(struct kit_act *act);
int apply_remove(struct kit_act *act);
int apply_process_madvise(struct kit_act *act);
int apply_guard(struct kit_act *act);
int restore_guard(struct kit_act *act);
void cleanup_guard(struct kit_act *act);
int apply_pageout(struct kit_act *act);
int apply_collapse(struct kit_act *act);
int apply_mprotect_ro(struct kit_act *act);
int apply_mprotect_none(struct kit_act *act);
int apply_mprotect_rw(struct kit_act *act);
int restore_mprotect(struct kit_act *act);
int apply_pkey_mprotect(struct kit_act *act);
int restore_pkey_mprotect(struct kit_act *act);

/* changes_file.c */
int apply_ftruncate(struct kit_act *act);
int restore_ftruncate(struct kit_act *act);
int apply_punch(struct kit_act *act);
int apply_unlink(struct kit_act *act);
int restore_unlink(struct kit_act *act);
int apply_reflink(struct kit_act *act);
int restore_reflink(struct kit_act *act);
void cleanup_reflink(struct kit_act *act);
int apply_reflink_onto(struct kit_act *act);
int apply_remap_file_pages(struct kit_act *act);
int apply_shmdt(struct kit_act *act);
int apply_shmat(struct kit_act *act);
int apply_fork(struct kit_act *act);
int restore_fork(struct kit_act *act);
void cleanup_fork(struct kit_act *act);
int apply_spawn(struct kit_act *act);

/* changes_inner.c */
int apply_free(struct kit_act *act);
int restore_free(struct kit_act *act);
int apply_realloc(struct kit_act *act);
int restore_realloc(struct kit_act *act);
void cleanup_realloc(struct kit_act *act);
int apply_trim(struct kit_act *act);
int apply_brk_trim(struct kit_act *act);
int restore_heap(struct kit_act *act);
void cleanup_heap(struct kit_act *act);
int apply_thread_exit(struct kit_act *act);
int restore_thread(struct kit_act *act);
int apply_dlclose(struct kit_act *act);
int restore_there(struct kit_act *act);
void cleanup_there(struct kit_act *act);

#endif
