/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In which release did each export come, and in which was it first used? */
#ifndef GATE_HISTORY_H
#define GATE_HISTORY_H

#include "model/scan.h"

enum state { STATE_ABSENT, STATE_CONSUMED, STATE_DANGLING };

#define MAX_RELEASES 64

struct past_export {
	const char *name, *file, *subsystem;
	u32 line;
	bool gpl;
	u8 state[MAX_RELEASES];
	int added;    /* start of the newest run of releases that have it */
	int consumed; /* first release of that run with a consumer, or -1 */
};

struct history {
	struct strings releases; /* oldest first */
	struct {
		struct past_export *v;
		size_t n, cap;
	} exports; /* sorted by subsystem and name */
	struct map index;
	struct arena arena;
	void *repo; /* if the releases are tags */
};

/* One folder a release, as "NAME=DIR". */
void history_of_folders(struct history *h, const char *const *args, int n, struct policy *p,
			const char *cache);
/* The tags of the repository at `dir` that the policy names; false if there are none. */
bool history_of_tags(struct history *h, const char *dir, struct policy *p);
void history_free(struct history *h);
/* A git_repository without its past gives wrong answers. */
void warn_if_shallow(void *repo, const char *dir);

/*
 * Fills in export.added and .consumed of a scan whose tree is a git repository with
 * release tags, and the names of those. False if there are none, or no rule asks.
 */
bool history_of_tree(struct scan *s, struct strings *releases);
/* The same for a scan of a revision, of the repository at `dir`. */
bool history_at(struct scan *s, const char *dir, struct strings *releases);

/* Present, unconsumed and past its deadline at the newest release. */
bool past_export_is_due(const struct history *h, const struct past_export *e,
			unsigned int grace);
/* The commit that brought the export; its hash and title, or NULL. */
const char *history_find_commit(struct history *h, const struct past_export *e);

/* The numbers of one subsystem, or of all. */
struct tally {
	const char *subsystem;
	u32 exports; /* at the newest release */
	u32 added, in_time, late, waiting, dangling, removed, not_gpl;
	u32 unconsumed; /* at the newest release, whenever added */
};
struct tallies {
	struct tally *v;
	size_t n, cap;
};
void history_tally(const struct history *h, const struct policy *p, struct tallies *out,
		   struct tally *total);

#endif
