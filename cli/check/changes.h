/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `hmm check`: changes that are in files of their own. */
#ifndef CHECK_CHANGES_H
#define CHECK_CHANGES_H

#include "suite.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define CHECK_GUARD_INSTALL 102
#define CHECK_GUARD_REMOVE  103

int call_failed(struct check_run *run, const char *call);
int apply_munmap(struct check_run *run);
int again_fresh(struct check_run *run);
void done_moved(struct check_run *run);
int moved_check(struct check_run *run);

/* files.c */
int apply_ftruncate(struct check_run *run);
int again_ftruncate(struct check_run *run);
int apply_punch(struct check_run *run);
int apply_unlink(struct check_run *run);
int again_unlink(struct check_run *run);
int apply_reflink(struct check_run *run);
int again_reflink(struct check_run *run);
void done_reflink(struct check_run *run);
int apply_reflink_onto(struct check_run *run);
int apply_remap_file_pages(struct check_run *run);
int apply_shmdt(struct check_run *run);
int apply_shmat(struct check_run *run);
int apply_fork(struct check_run *run);
int again_fork(struct check_run *run);
void done_fork(struct check_run *run);
int apply_spawn(struct check_run *run);
int other_start(void); /* the other process; before the library is opened */

/* told.c */
int apply_told(struct check_run *run);

/* inner.c */
int apply_free(struct check_run *run);
int again_free(struct check_run *run);
int apply_realloc(struct check_run *run);
int again_realloc(struct check_run *run);
void done_realloc(struct check_run *run);
int apply_trim(struct check_run *run);
int apply_brk_trim(struct check_run *run);
int again_heap(struct check_run *run);
void done_heap(struct check_run *run);
int apply_thread_exit(struct check_run *run);
int again_thread(struct check_run *run);
void done_thread(struct check_run *run);
int apply_dlclose(struct check_run *run);
int again_library(struct check_run *run);
void done_library(struct check_run *run);

#endif
