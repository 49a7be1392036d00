/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why does no line of the source export what was built? */
#ifndef GATE_UNSEEN_H
#define GATE_UNSEEN_H

#include "model/scan.h"

/* A program of the tree writes the export when the tree is built. */
bool unseen_is_generated(const struct scan *s, const char *symbol, const char *module);
/* An export of that module is written with a macro that makes another name of it. */
bool unseen_is_renamed(const struct scan *s, const char *symbol, const char *module);

#endif
