/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which files does the tree hold, and what is in them? */
#ifndef GATE_TREE_H
#define GATE_TREE_H

#include "facts.h"

enum file_kind {
	FILE_C,
	FILE_CXX, /* C++: it consumes; what it exports has other names */
	FILE_HEADER,
	FILE_ASM,
	FILE_RUST,
	FILE_MAKE, /* Makefile, Kbuild, Makefile.am, CMakeLists.txt, meson.build */
	FILE_KCONFIG,
	FILE_SCRIPT,    /* version scripts and export lists, also as templates (.map.in) */
	FILE_TEMPLATE,  /* headers that the build makes: config.h.in */
	FILE_CONFIGURE, /* configure.ac and its macros */
	FILE_BUILD,     /* *.cmake, build.info, compile_commands.json */
	FILE_OTHER,
};

struct file {
	const char *path; /* from the tree's root, no leading "./" */
	enum file_kind kind;
	u64 size, mtime;       /* mtime: made of all that changes when the file does */
	unsigned char oid[20]; /* git: the blob */
	char *text;            /* held in memory (an overlay); NULL = read it */
	size_t text_len;
	struct facts facts;
	bool has_facts;
};

struct tree {
	char *root;
	int dirfd;
	void *repo; /* a tree in git: its repository */
	struct {
		struct file *v;
		size_t n, cap;
	} files; /* sorted by path */
	struct arena arena;
	struct map index; /* hash of path -> file */
	u32 *unread;      /* files and folders that could not be read: how many */
};

enum file_kind file_kind_of(const char *path);

/* The directory's files; those that match a pattern of `skip` are left out. Dies if the
 * directory cannot be read. */
struct tree *tree_open(const char *dir, const char *const *skip, size_t nskip);
/* The same of a revision (a git_repository and a git_tree). */
struct tree *tree_open_git(void *repo, void *git_tree, const char *const *skip,
			   size_t nskip);
void tree_close(struct tree *t);

#define NO_FILE UINT32_MAX
u32 tree_find(const struct tree *t, const char *path);
/*
 * The text of a file, with 64 readable bytes after it: in `b`, or in place. NULL if it
 * cannot be read (it has gone since the walk).
 */
const char *tree_read(const struct tree *t, const struct file *f, struct buf *b,
		      size_t *len);
/* Replaces or adds the text of a file; NULL removes it. Takes a copy. */
void tree_overlay(struct tree *t, const char *path, const char *text, size_t len);

#endif
