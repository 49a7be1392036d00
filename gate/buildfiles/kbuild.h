/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What do the two halves of reading Kbuild share? Private to kbuild.c and adopt.c. */
#ifndef GATE_KBUILD_H
#define GATE_KBUILD_H

#include "model/scan.h"

/* Folds "a/../b" and drops "./". The caller frees it. */
char *normal_path(const char *path);
/* Finds a place for the files that no object list names; `known` says which one does. */
void kbuild_adopt(struct scan *s, u8 *known);

#endif
