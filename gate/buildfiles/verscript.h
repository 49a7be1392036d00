/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which names does a version script, or a list of symbols, let out of a library? */
#ifndef GATE_VERSCRIPT_H
#define GATE_VERSCRIPT_H

#include "base/util.h"

struct verscript_entry {
	const char *pattern, *node;
	u32 line;
	bool global, glob;
};

struct verscript {
	VEC(struct verscript_entry) v;
	struct map exact; /* hash -> 1 + entry */
	bool nodes;       /* a version script: what it does not name is let out */
	struct arena arena;
};

/* False if the text is neither a version script nor a list of symbols. */
bool verscript_read(struct verscript *vs, const char *text, size_t len);
void verscript_free(struct verscript *vs);
/* Is the symbol let out? `entry`: what says so, NULL = nothing speaks of it. */
bool verscript_exports(const struct verscript *vs, const char *name,
		       const struct verscript_entry **entry);
bool verscript_has_node(const struct verscript *vs, const char *node);

#endif
