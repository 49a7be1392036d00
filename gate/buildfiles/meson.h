/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What do meson's files and values look like? Private to mesoneval.c and buildmeson.c. */
#ifndef GATE_MESON_H
#define GATE_MESON_H

#include "build.h"

enum mkind { M_NONE, M_STRING, M_LIST, M_DICT, M_TARGET, M_DEP };

/* A list's or dictionary's parts; a dependency's: what it links and includes. */
struct mval {
	enum mkind kind;
	const char *s; /* a string; a target's name */
	struct mval **v;
	const char **key; /* of a dictionary; of named arguments */
	size_t n, cap;
	bool unknown; /* nothing is known of it */
};

enum mtoken { MT_END, MT_LINE, MT_NAME, MT_STRING, MT_NUMBER, MT_PUNCT };

/* Paths that do not depend on where they are used begin with this. */
#define MESON_ROOT "@src@/"

struct meson {
	struct build *b;
	const char *root, *dir;
	u32 file;
	const char *text, *p, *end; /* of the file that is read */
	u32 line;
	enum mtoken t;
	char word[4096];
	u8 punct;
	int parens;
	int skip;        /* > 0: read, but nothing is done */
	int depth;       /* of files and expressions */
	bool done;       /* subdir_done() */
	int conds;       /* conditions that have no value */
	bool rest;       /* a loop went on, or a file ended, in one of them */
	struct map vars; /* name -> 1 + value */
	VEC(struct mval *) values;
	struct map assigned; /* in an earlier branch of the condition */
	struct strings args; /* add_project_arguments() */
	u64 work;
};

void meson_next(struct meson *m);
bool meson_is(const struct meson *m, const char *punct_or_word);
struct mval *meson_expression(struct meson *m);
/* Arguments up to ')': positional ones in v, named ones with their key. */
struct mval *meson_arguments(struct meson *m);
struct mval *mval_new(struct meson *m, enum mkind kind);
struct mval *mval_string(struct meson *m, const char *s);
void mval_push(struct meson *m, struct mval *list, const char *key, struct mval *v);
const struct mval *mval_named(const struct mval *args, const char *key);
bool meson_is_bool(const struct mval *v);
struct mval *meson_get(struct meson *m, const char *name);
void meson_set(struct meson *m, const char *name, struct mval *v);
/* buildmeson.c: functions and methods; NULL = none of that name. */
struct mval *meson_call(struct meson *m, const char *name, const struct mval *args);

#endif
