/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What does the tree's own policy file ask for? */
#ifndef GATE_POLICY_H
#define GATE_POLICY_H

#include "base/util.h"

#define POLICY_FILE ".exportgate"

enum rule {
	RULE_GPL_ONLY,
	RULE_CONSUMED,
	RULE_DEADLINE,
	RULE_NO_NEW,
	RULE_POSTED,
	RULE_MOTIVATION,
	RULE_ACK,
	RULE_WAIVER,
	RULE_COUNT
};

enum level { LEVEL_OFF, LEVEL_WARN, LEVEL_ON };

struct rule_text {
	const char *name;
	const char *asks;   /* one sentence */
	const char *remedy; /* what to do about a violation */
};
extern const struct rule_text rule_texts[RULE_COUNT];

enum project_kind { KIND_AUTO, KIND_LINUX, KIND_LIBRARY };

struct strings {
	const char **v;
	size_t n, cap;
};

/* A pattern and what it stands for. */
struct pairs {
	struct pair {
		const char *pattern, *value;
	} * v;
	size_t n, cap;
};

struct policy {
	enum project_kind kind;
	enum level level[RULE_COUNT];
	struct strings skip;
	struct pairs macros; /* name, "gpl" or "plain", perhaps " ns=2" */
	struct strings attributes, scripts, lists;
	struct strings judge, gpl; /* patterns of version nodes */
	struct strings consumers, not_consumers;
	struct pairs implicit; /* symbol pattern, why it counts as used */
	struct pairs modules, subsystems, maintainers;
	unsigned int depth; /* folders that make a subsystem */
	const char *tags;
	unsigned int last;  /* how many of the newest releases are looked at */
	unsigned int grace; /* releases after the one that brought an export */
	const char *waivers, *maintainers_file;
	unsigned int min_words;
	struct strings link_trailers;
	bool found; /* the tree has a policy file */
	u64 text;   /* a hash of that file */
	struct arena arena;
};

void policy_init(struct policy *p);
/* Errors go to `errors` as "name:line: reason" lines; returns how many. */
int policy_parse(struct policy *p, const char *name, const char *text, size_t len,
		 struct buf *errors);
/* Reads `path`, or the tree's own policy file if it is NULL; dies on an error in it. */
void policy_load(struct policy *p, const char *tree, const char *path);
void policy_free(struct policy *p);
/* The subsystem that a path belongs to; valid as long as the policy. */
const char *policy_subsystem(struct policy *p, const char *path);
/* A digest of all that changes what a scan finds. */
u64 policy_digest(const struct policy *p);

bool strings_match(const struct strings *s, const char *path);
const char *pairs_match(const struct pairs *p, const char *path);

#endif
