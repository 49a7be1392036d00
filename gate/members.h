/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What does the build say of a tree? */
#ifndef GATE_MEMBERS_H
#define GATE_MEMBERS_H

#include "model/scan.h"

/* Who belongs to which module: of a kernel tree, and of any other. */
void kbuild_members(struct scan *s);
void library_members(struct scan *s);
/* What version scripts and lists of symbols export. */
void library_exports(struct scan *s);

#endif
