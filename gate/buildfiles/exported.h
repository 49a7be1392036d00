/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which symbols does each shared library of the tree export? */
#ifndef GATE_EXPORTED_H
#define GATE_EXPORTED_H

#include "build.h"

/* Adds the exports of all shared libraries to the scan; false if it has none. */
bool exported_find(struct scan *s, struct build *b);

#endif
