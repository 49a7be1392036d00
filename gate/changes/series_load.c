// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How do a mailbox or a commit range become files before and after each change?
 *
 * The patches of a mailbox are put onto the tree one after the other, in memory; the tree
 * itself is not touched. A range's commits have both sides in git.
 */
#include <errno.h>
#include <git2.h>
#include <stdlib.h>

#include "history.h"
#include "scan/run.h"
#include "series.h"

static char *copy_text(const char *s, size_t n)
{
	char *p = xcalloc(1, n + 64);

	if (n)
		memcpy(p, s, n);
	return p;
}

/* ---------------------------------------------------------------- mailbox ---------- */

/* What the patches so far made of a file. */
struct staged {
	const char *path;
	char *text; /* NULL = deleted */
	size_t len;
};

struct stage {
	const char *tree;
	VEC(struct staged) v;
};

static struct staged *find_staged(struct stage *st, const char *path)
{
	size_t i;

	for (i = 0; i < st->v.n; i++)
		if (!strcmp(st->v.v[i].path, path))
			return &st->v.v[i];
	return NULL;
}

/* The file as it is now; NULL if there is none. The caller frees it. */
static char *current_text(struct stage *st, const char *path, size_t *len)
{
	struct staged *s = find_staged(st, path);
	char *full, *text;

	if (s) {
		*len = s->len;
		return s->text ? copy_text(s->text, s->len) : NULL;
	}
	full = xasprintf("%s/%s", st->tree, path);
	text = read_file(full, len);
	free(full);
	return text;
}

static void put_staged(struct stage *st, const char *path, const char *text, size_t len)
{
	struct staged fresh = {.path = path}, *s = find_staged(st, path);

	if (!s) {
		vec_push(&st->v, fresh);
		s = &st->v.v[st->v.n - 1];
	}
	free(s->text);
	s->text = text ? copy_text(text, len) : NULL;
	s->len = len;
}

/* Returns NULL, or what is wrong. */
static const char *stage_file(struct series *s, struct stage *st, struct series_change *sc,
			      const struct file_change *f)
{
	struct touched t = {.path = f->new_path ? f->new_path : f->old_path,
			    .old_path = f->old_path ? f->old_path : f->new_path};
	struct buf out = {0};
	const char *err = NULL;

	if (!t.path)
		return "it names no file";

	if (f->old_path) {
		t.before = current_text(st, f->old_path, &t.before_len);
		if (!t.before)
			return arena_printf(&s->arena,
					    "%s is not in the tree; is it the right "
					    "base?",
					    f->old_path);
	} else if (f->new_path) {
		char *there = current_text(st, f->new_path, &t.before_len);

		t.before_len = 0;
		free(there);
		if (there)
			return arena_printf(&s->arena, "%s is to be created, but exists",
					    f->new_path);
	}
	if (f->binary) {
		free(t.before);
		return NULL;
	}
	err = change_apply(&s->arena, f, t.before ? t.before : "", t.before_len, &out);
	if (err) {
		free(t.before);
		buf_free(&out);
		return err;
	}
	if (f->old_path && f->new_path && strcmp(f->old_path, f->new_path) != 0)
		put_staged(st, f->old_path, NULL, 0);
	if (f->new_path) {
		t.after = copy_text(out.s, out.n);
		t.after_len = out.n;
	}
	put_staged(st, t.path, t.after, t.after_len);
	vec_push(&sc->touched, t);
	buf_free(&out);
	return NULL;
}

static bool stage_all(struct series *s, struct stage *st, const char *mbox)
{
	const char *err;
	bool good = true;
	size_t i, k;

	for (i = 0; i < s->changes.n; i++) {
		const struct change *c = &s->changes.v[i];
		struct series_change sc = {.c = c};

		for (k = 0; k < c->files.n; k++) {
			err = stage_file(s, st, &sc, &c->files.v[k]);
			if (err) {
				fprintf(stderr, "%s:%u: mail \"%s\": %s\n", mbox, c->line,
					c->title, err);
				good = false;
			}
		}
		vec_push(&s->v, sc);
	}
	return good;
}

static void load_maintainers(struct series *s, struct stage *st)
{
	static const char *const names[] = {"MAINTAINERS", "CODEOWNERS",
					    ".github/CODEOWNERS", "docs/CODEOWNERS"};
	const struct pairs *own = &s->policy->maintainers;
	const char *named = s->policy->maintainers_file;
	char *text;
	size_t i, len;

	for (i = 0; i < own->n; i++)
		maintainers_add(&s->maintainers, own->v[i].pattern, own->v[i].value);
	for (i = 0; i < ARRAY_SIZE(names) + 1; i++) {
		const char *name = i ? names[i - 1] : named;

		if (!name || !(text = current_text(st, name, &len)))
			continue;
		maintainers_parse(&s->maintainers, text, len,
				  has_suffix(name, "CODEOWNERS"));
		free(text);
	}
}

static void free_stage(struct stage *st)
{
	size_t i;

	for (i = 0; i < st->v.n; i++)
		free(st->v.v[i].text);
	vec_free(&st->v);
}

bool series_from_mbox(struct series *s, const char *dir, const char *mbox, struct policy *p)
{
	struct stage st = {.tree = dir};
	struct buf errors = {0};
	struct tree *tree;
	bool good;
	size_t len, i, patches = 0;
	char *text = read_file(mbox, &len);

	if (!text)
		die("cannot read mailbox %s: %s", mbox, strerror(errno));
	memset(s, 0, sizeof(*s));
	s->policy = p;
	good = !mbox_read(&s->changes, mbox, text, len, &errors);
	if (errors.n)
		fputs(errors.s, stderr);
	for (i = 0; i < s->changes.n; i++)
		patches += s->changes.v[i].files.n;
	if (good && !patches) {
		fprintf(stderr,
			"%s: none of its mails holds a patch; is it the right file?\n",
			mbox);
		good = false;
	}
	good = good && stage_all(s, &st, mbox);
	if (good) {
		tree = tree_open(dir, p->skip.v, p->skip.n);
		for (i = 0; i < st.v.n; i++)
			if (file_kind_of(st.v.v[i].path) != FILE_OTHER)
				tree_overlay(tree, st.v.v[i].path, st.v.v[i].text,
					     st.v.v[i].len);
		s->scan = scan_run(tree, p, NULL);
		s->history = history_of_tree(s->scan, &s->releases);
		load_maintainers(s, &st);
		s->waivers = current_text(&st, p->waivers, &s->waivers_len);
		series_find_exports(s);
	}
	free_stage(&st);
	buf_free(&errors);
	free(text);
	return good;
}

/* ---------------------------------------------------------------- commits ---------- */

static char *blob_text(git_repository *repo, const git_oid *oid, size_t *len)
{
	git_blob *blob;
	char *text = NULL;

	if (git_oid_is_zero(oid) || git_blob_lookup(&blob, repo, oid))
		return NULL;
	*len = git_blob_rawsize(blob);
	text = copy_text(git_blob_rawcontent(blob), *len);
	git_blob_free(blob);
	return text;
}

static void add_deltas(struct series *s, struct series_change *sc, git_diff *diff)
{
	size_t i;

	for (i = 0; i < git_diff_num_deltas(diff); i++) {
		const git_diff_delta *d = git_diff_get_delta(diff, i);
		struct touched t = {0};

		t.path = arena_strndup(&s->arena, d->new_file.path,
				       strlen(d->new_file.path));
		t.old_path = arena_strndup(&s->arena, d->old_file.path,
					   strlen(d->old_file.path));
		if (d->status != GIT_DELTA_ADDED)
			t.before = blob_text(s->repo, &d->old_file.id, &t.before_len);
		if (d->status != GIT_DELTA_DELETED)
			t.after = blob_text(s->repo, &d->new_file.id, &t.after_len);
		vec_push(&sc->touched, t);
	}
}

static void add_commit(struct series *s, git_commit *commit)
{
	const char *message = git_commit_message(commit), *body = strchr(message, '\n');
	const git_signature *author = git_commit_author(commit);
	struct change c = {
		.title = arena_strndup(&s->arena, message, strcspn(message, "\n"))};
	git_tree *before = NULL, *after = NULL;
	git_commit *parent = NULL;
	git_diff *diff;

	c.author = arena_printf(&s->arena, "%s <%s>", author->name, author->email);
	c.message = "";
	if (body)
		change_set_message(&s->changes, &c, body, strlen(body));
	vec_push(&s->changes, c);
	struct series_change sc = {0};

	if (git_commit_parentcount(commit) && !git_commit_parent(&parent, commit, 0))
		git_commit_tree(&before, parent);
	git_commit_tree(&after, commit);
	if (!git_diff_tree_to_tree(&diff, s->repo, before, after, NULL)) {
		git_diff_find_similar(diff, NULL);
		add_deltas(s, &sc, diff);
		git_diff_free(diff);
	}
	vec_push(&s->v, sc);
	git_tree_free(before);
	git_tree_free(after);
	git_commit_free(parent);
}

static void add_range(struct series *s, const char *range, git_commit **last)
{
	git_revwalk *walk;
	git_commit *c;
	git_oid oid;
	size_t i;

	if (git_revwalk_new(&walk, s->repo) || git_revwalk_push_range(walk, range))
		die("'%s' is no range of commits: %s; write FIRST..LAST", range,
		    git_error_last() ? git_error_last()->message : "unknown");
	git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_REVERSE);
	while (!git_revwalk_next(&oid, walk)) {
		if (git_commit_lookup(&c, s->repo, &oid))
			continue;
		if (git_commit_parentcount(c) < 2)
			add_commit(s, c);
		git_commit_free(*last);
		*last = c;
	}
	/* the array of changes does not move any more */
	for (i = 0; i < s->v.n; i++)
		s->v.v[i].c = &s->changes.v[i];
	git_revwalk_free(walk);
}

/* MAINTAINERS and the like, as they are after the last commit. */
static void load_committed_maintainers(struct series *s, git_tree *tree)
{
	static const char *const names[] = {"MAINTAINERS", "CODEOWNERS",
					    ".github/CODEOWNERS", "docs/CODEOWNERS"};
	const struct pairs *own = &s->policy->maintainers;
	git_tree_entry *entry;
	size_t i, len;
	char *text;

	for (i = 0; i < own->n; i++)
		maintainers_add(&s->maintainers, own->v[i].pattern, own->v[i].value);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (git_tree_entry_bypath(&entry, tree, names[i]))
			continue;
		text = blob_text(s->repo, git_tree_entry_id(entry), &len);
		if (text)
			maintainers_parse(&s->maintainers, text, len, i > 0);
		free(text);
		git_tree_entry_free(entry);
	}
}

bool series_from_range(struct series *s, const char *dir, const char *range,
		       struct policy *p)
{
	git_commit *last = NULL;
	git_tree_entry *entry;
	git_repository *repo;
	git_tree *tree;

	memset(s, 0, sizeof(*s));
	s->policy = p;
	git_libgit2_init();
	if (git_repository_open(&repo, dir))
		die("%s is no git repository; use -C to name one, or give a mailbox", dir);
	s->repo = repo;
	warn_if_shallow(repo, dir);
	add_range(s, range, &last);
	if (!last)
		die("the range %s holds no commits", range);
	if (git_commit_tree(&tree, last))
		die("cannot read the last commit of %s", range);
	s->scan = scan_run(tree_open_git(repo, tree, p->skip.v, p->skip.n), p, NULL);
	s->history = history_at(s->scan, dir, &s->releases);
	load_committed_maintainers(s, tree);
	if (!git_tree_entry_bypath(&entry, tree, p->waivers)) {
		s->waivers = blob_text(repo, git_tree_entry_id(entry), &s->waivers_len);
		git_tree_entry_free(entry);
	}
	series_find_exports(s);
	git_tree_free(tree);
	git_commit_free(last);
	return true;
}

void series_free(struct series *s)
{
	size_t i, k;

	for (i = 0; i < s->v.n; i++) {
		for (k = 0; k < s->v.v[i].touched.n; k++) {
			free(s->v.v[i].touched.v[k].before);
			free(s->v.v[i].touched.v[k].after);
		}
		free(s->v.v[i].touched.v);
		free(s->v.v[i].shifts.v);
		free(s->v.v[i].exports.v);
	}
	free(s->v.v);
	free(s->releases.v);
	free(s->waivers);
	scan_free(s->scan);
	changes_free(&s->changes);
	maintainers_free(&s->maintainers);
	arena_free(&s->arena);
	if (s->repo)
		git_repository_free(s->repo);
}
