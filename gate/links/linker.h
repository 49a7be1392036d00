/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who consumes what? */
#ifndef GATE_LINKER_H
#define GATE_LINKER_H

#include "model/scan.h"

/* Before the modules are known, and after. */
struct linker;
struct linker *linker_create(struct scan *s);
void linker_link(struct linker *l);

#endif
