/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What exports does a series of changes add and remove, and by which rules? */
#ifndef GATE_SERIES_H
#define GATE_SERIES_H

#include "rules/judge.h"
#include "policy/maintainers.h"
#include "patch.h"

/* A file before and after one change; NULL text = it does not exist then. */
struct touched {
	const char *path, *old_path; /* they differ if it is renamed */
	char *before, *after;
	size_t before_len, after_len;
};

struct series_change {
	const struct change *c;
	struct {
		struct touched *v;
		size_t n, cap;
	} touched;
	struct {
		struct series_export {
			const char *name, *file;
			u32 kind, line;
			bool added; /* else removed */
		} * v;
		size_t n, cap;
	} exports;
	/* exported before and after it: by another file, or with another kind */
	struct {
		struct series_shift {
			const char *name, *from, *to;
			u32 kind, was, line;
		} * v;
		size_t n, cap;
	} shifts;
};

struct series {
	struct changes changes;
	struct {
		struct series_change *v;
		size_t n, cap;
	} v;
	struct policy *policy;
	struct scan *scan; /* of the tree after the last change */
	struct maintainers maintainers;
	struct strings releases;
	bool history;
	char *waivers; /* the waiver file after the last change; NULL = none */
	size_t waivers_len;
	struct arena arena;
	void *repo;
};

/* Both die with a message on trouble; errors in the mails or the patches are printed. */
bool series_from_mbox(struct series *s, const char *tree, const char *mbox,
		      struct policy *p);
bool series_from_range(struct series *s, const char *tree, const char *range,
		       struct policy *p);
void series_judge(struct series *s, struct judgement *j);
void series_free(struct series *s);

/* series_load.c -> series.c */
void series_find_exports(struct series *s);

#endif
