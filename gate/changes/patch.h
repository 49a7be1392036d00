/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What do the mails of a mailbox change, and does that apply? */
#ifndef GATE_PATCH_H
#define GATE_PATCH_H

#include "base/util.h"

struct trailer {
	const char *key, *value;
};

struct hunk {
	u32 old_start, old_lines, new_start, new_lines;
	const char *text; /* lines with their ' ', '+' or '-', each ending in '\n' */
	size_t len;
	u32 line; /* in the mail's decoded text */
};

struct file_change {
	const char *old_path, *new_path; /* NULL: created, deleted */
	bool binary;
	struct {
		struct hunk *v;
		size_t n, cap;
	} hunks;
};

/* One mail, or one commit. */
struct change {
	const char *title, *author, *message; /* message: without title and trailers */
	u32 line;                             /* where the mail begins in its mailbox */
	struct {
		struct trailer *v;
		size_t n, cap;
	} trailers;
	struct {
		struct file_change *v;
		size_t n, cap;
	} files;
};

struct changes {
	struct change *v;
	size_t n, cap;
	struct arena arena;
};

#define MAX_MAIL (64u << 20)

/*
 * Reads all mails. What is wrong is added to `errors`, a line each ("mbox:LINE: ...");
 * returns how many. Mails without a diff (a cover letter) are changes without files.
 */
int mbox_read(struct changes *out, const char *name, const char *text, size_t len,
	      struct buf *errors);
void changes_free(struct changes *c);

/* mail.c: the headers and decoded text of one mail. */
struct mail {
	const char *subject, *from, *text;
	size_t len;
};
/* NULL on success, or what is wrong. */
const char *mail_decode(struct arena *a, const char *raw, size_t len, struct mail *out);

/* Splits a message into text and trailers and adds them to the change. */
void change_set_message(struct changes *cs, struct change *c, const char *text, size_t len);
/* The diffs in the text; returns NULL, or what is wrong, with *line set. */
const char *change_parse_diff(struct changes *cs, struct change *c, const char *text,
			      size_t len, u32 *line);
/* Puts the hunks onto `old`; returns NULL, or what is wrong (in arena a). */
const char *change_apply(struct arena *a, const struct file_change *f, const char *old,
			 size_t len, struct buf *out);

#endif
