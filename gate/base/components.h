/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What in a directed graph reaches itself? */
#ifndef GATE_COMPONENTS_H
#define GATE_COMPONENTS_H

#include "util.h"

typedef void component_fn(void *arg, const u32 *members, u32 n);
/*
 * Calls fn for each strongly connected component; all that a component reaches came
 * before it. The edges of node i are edges[first[i]] to edges[first[i + 1] - 1].
 */
void each_component(u32 n, const u32 *first, const u32 *edges, component_fn *fn, void *arg);

#endif
