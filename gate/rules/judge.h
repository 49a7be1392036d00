/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which rules does each export keep? */
#ifndef GATE_JUDGE_H
#define GATE_JUDGE_H

#include "model/scan.h"

struct waiver {
	const char *symbol, *reason, *owner, *expires;
	u32 line;
	bool expired, complete;
	bool used; /* some export needed it */
};

struct waivers {
	struct waiver *v;
	size_t n, cap;
	const char *path;
	struct arena arena;
};

/* `today` is YYYY-MM-DD; `releases` (may be NULL) are the names of those that are out. */
void waivers_parse(struct waivers *w, const char *path, const char *text, size_t len,
		   const char *today, const struct strings *releases);
void waivers_load(struct waivers *w, const struct scan *s, const struct strings *releases);
void waivers_free(struct waivers *w);

struct violation {
	enum rule rule;
	enum level level;
	const char *file;
	u32 line;
	const char *symbol;
	const char *reason;
};

struct judgement {
	struct {
		struct violation *v;
		size_t n, cap;
	} violations; /* sorted by file and line */
	struct waivers waivers;
	size_t failures, warnings;
	struct arena arena;
};

/*
 * Fills in the verdicts of all exports. `releases` are the tree's releases so far, oldest
 * first (history.h fills export.added and .consumed); NULL if no history is known.
 */
void judge(struct scan *s, const struct strings *releases, struct judgement *out);
void judge_add(struct judgement *j, enum rule rule, enum level level, const char *file,
	       u32 line, const char *symbol, const char *reason);
void judgement_free(struct judgement *j);
const char *today(void);

#endif
