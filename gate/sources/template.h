/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which macros of the tree's headers paste names or export? */
#ifndef GATE_TEMPLATE_H
#define GATE_TEMPLATE_H

#include "facts.h"

/* From the facts of all headers. `digest` changes if what any macro makes does. */
void templates_build(struct templates *ts, const struct facts *const *headers, size_t n,
		     const struct primitives *prims);
void templates_free(struct templates *ts);
/* Puts arguments into an encoded name; false if some part is unknown. */
bool template_fill(struct buf *out, const char *recipe, char **argv, u32 argc);
/* Splits encoded arguments; returns how many. */
u32 split_args(char *args, char **argv);

#endif
