/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is the value of a variable of this makefile, over all configurations? */
#ifndef GATE_MAKEVAR_H
#define GATE_MAKEVAR_H

#include "sources/tree.h"

struct makevars {
	struct map index;
	VEC(struct makevar {
		struct buf value;
		struct buf always; /* what every configuration has of it */
		char *name;
		bool conditional; /* assigned in some branch: others add to it */
	})
	vars;
	const char *dir;         /* what $(src) stands for */
	const struct tree *tree; /* for $(wildcard); may be NULL */
	u32 work;                /* expansions so far */
	bool given_up;           /* they were too many */
	/* reads what $(eval) makes, as lines of the makefile */
	void (*eval)(void *arg, const char *text, size_t len);
	void *eval_arg;
	/* a C project's makefile, and no Kbuild: what $(wildcard) finds */
	void (*list)(void *arg, struct buf *out, const char *pattern);
	void *list_arg;
};

void makevars_set(struct makevars *mv, const char *name, const char *value, char op,
		  bool conditional);
const char *makevars_get(struct makevars *mv, const char *name);
/* What is assigned to it under no condition; NULL if nothing is. */
const char *makevars_always(struct makevars *mv, const char *name);
/* Expands as make does, as far as object lists need it; unknown functions give nothing. */
void makevars_expand(struct makevars *mv, struct buf *out, const char *text, size_t len,
		     int depth);
void makevars_free(struct makevars *mv);

#endif
