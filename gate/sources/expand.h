/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What does a call of a macro make? */
#ifndef GATE_EXPAND_H
#define GATE_EXPAND_H

#include "facts.h"

/* A name that is used (MAKES_USE), or exported (otherwise, see enum export_kind). */
struct made {
	const char *name, *ns, *licence; /* the last two: NULL if there is none */
	int kind;
};
typedef void made_fn(void *arg, const struct made *m);

/*
 * Calls fn for all that the call makes, in either branch of an #if. `x` (may be NULL) knows
 * the macros of the file that calls, `ts` (may be NULL) those of the headers; `args` are
 * encoded as in struct fact_call.
 */
void expand_call(const struct extractor *x, const struct templates *ts, u64 callee,
		 const char *args, made_fn *fn, void *arg);
/* Can a call of it make anything? */
bool expand_makes(const struct extractor *x, u64 callee);

/* What the calls of macros at a header's file scope export. */
struct header_export {
	const char *name, *ns, *via; /* unnamed: what is written instead of the name */
	u32 kind, line;
	bool unnamed;
};
typedef void header_export_fn(void *arg, const struct header_export *e);
void header_exports(const struct facts *f, const struct templates *ts, header_export_fn *fn,
		    void *arg);

#endif
