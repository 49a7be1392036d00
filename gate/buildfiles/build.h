/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What does a C project build, of which sources, with which flags? */
#ifndef GATE_BUILD_H
#define GATE_BUILD_H

#include "model/scan.h"

enum target_kind {
	TARGET_SHARED, /* a shared library, or a module that is loaded */
	TARGET_STATIC, /* an archive, installed or a part of others */
	TARGET_PROGRAM,
	TARGET_OBJECTS, /* sources under a name: cmake's OBJECT and INTERFACE libraries */
};

struct target {
	const char *name;
	const char *dir; /* the folder that its words are relative to */
	enum target_kind kind;
	u32 file, line; /* the build file that makes it */
	bool installed;
	u8 hidden; /* -fvisibility=hidden: 1 for certain */
	struct strings defs, incs;
	struct strings scripts; /* version scripts: paths as they are written */
	struct strings lists;   /* -export-symbols and .def files */
	struct strings regexes; /* -export-symbols-regex */
	struct strings links;   /* other targets, by name */
	struct strings missing; /* sources that are made by the build */
	struct {
		u32 *v;
		size_t n, cap;
	} sources;
	struct {
		u8 *v;
		size_t n, cap;
	} maybe; /* per source: not in every configuration */
};

struct build {
	struct scan *s;
	struct {
		struct target **v;
		size_t n, cap;
	} targets;
	struct map index;      /* name -> 1 + target */
	struct strings macros; /* "NAME=VALUE" that the build writes into headers */
	struct strings notes;  /* what was not understood */
	bool conditional;      /* sources that are added now are in some configurations */
	struct arena arena;
};

/* Words that only builds for other systems have: BUILD_WIN32, HAVE_DARWIN. */
bool build_is_foreign(const char *text);
struct build *build_read(struct scan *s);
void build_free(struct build *b);

/* build.c, for the readers */
struct target *build_target(struct build *b, const char *dir, const char *name,
			    enum target_kind kind);
struct target *build_find(const struct build *b, const char *name);
/* A source or whatever word stands among them; false if the tree has no such file. */
bool build_add_source(struct build *b, struct target *t, const char *dir, const char *word);
/* All that counts in a line of compiler or linker flags. */
void build_add_flags(struct build *b, struct target *t, const char *dir, const char *flags);
void build_note(struct build *b, const char *fmt, ...) PRINTF(2, 3);
void strings_add(struct build *b, struct strings *s, const char *text);
/* The file that a word of a build file means, NO_FILE if there is none. */
u32 build_path(const struct build *b, const char *dir, const char *word);
char *build_join(struct build *b, const char *dir, const char *word);
const char *build_text(struct build *b, u32 file, size_t *len);

/* The readers: all that lies in a folder and below it. */
void build_make(struct build *b, const char *root);
void build_meson(struct build *b, const char *root);
void build_cmake(struct build *b, const char *root);
void build_commands(struct build *b, u32 file);
void build_info(struct build *b, const char *root);

#endif
