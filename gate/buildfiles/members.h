/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What does the build say of a tree? */
#ifndef GATE_MEMBERS_H
#define GATE_MEMBERS_H

#include "model/scan.h"

/* Who belongs to which module: of a kernel tree, and of any other. */
void kbuild_members(struct scan *s);
/* Where the sources of each folder of a kernel tree find headers. */
void kbuild_include_dirs(struct scan *s);
void library_members(struct scan *s);
/* What version scripts and lists of symbols export. */
void library_exports(struct scan *s);

/* The names that a version script or a symbol list exports. */
typedef void script_fn(void *arg, const char *name, const char *node, u32 line);
void library_script_names(const char *text, size_t len, script_fn *fn, void *arg);

#endif
