// SPDX-License-Identifier: GPL-2.0-or-later
/* In which release did each export come, and in which was it first used? */
#include <git2.h>
#include <stdlib.h>

#include "history.h"
#include "scan/run.h"

static struct past_export *entry_of(struct history *h, struct policy *p,
				    const struct scan *s, const struct export *e)
{
	u64 key = hash_str(e->name) ^ ((u64)(e->kind & EXP_TRACEPOINT) << 20);
	u32 *at = map_get(&h->index, key, UINT32_MAX);
	struct past_export fresh = {.added = -1, .consumed = -1}, *x;

	if (*at == UINT32_MAX) {
		*at = h->exports.n;
		fresh.name = arena_strndup(&h->arena, e->name, strlen(e->name));
		vec_push(&h->exports, fresh);
	}
	x = &h->exports.v[*at];
	x->file = arena_strndup(&h->arena, scan_path(s, e->file),
				strlen(scan_path(s, e->file)));
	x->line = e->line;
	x->subsystem = policy_subsystem(p, x->file);
	return x;
}

static void add_release(struct history *h, struct policy *p, const char *name,
			const struct scan *s)
{
	u32 r = h->releases.n, i;

	if (r == MAX_RELEASES)
		die("more than %d releases; name fewer", MAX_RELEASES);
	vec_push(&h->releases, arena_strndup(&h->arena, name, strlen(name)));
	for (i = 0; i < s->exports.n; i++) {
		const struct export *e = &s->exports.v[i];
		struct past_export *x;

		if (!e->judged)
			continue;
		x = entry_of(h, p, s, e);
		x->gpl = (e->kind & EXP_KIND_MASK) == EXP_GPL;
		/* one name in several places is consumed if it is in any of them */
		if (x->state[r] != STATE_CONSUMED)
			x->state[r] = e->nconsumers ? STATE_CONSUMED : STATE_DANGLING;
	}
}

static void date_exports(struct history *h)
{
	int last = (int)h->releases.n - 1, r, newest;
	size_t i;

	for (i = 0; i < h->exports.n; i++) {
		struct past_export *x = &h->exports.v[i];

		for (newest = last; newest >= 0 && x->state[newest] == STATE_ABSENT;
		     newest--)
			;
		for (r = newest; r > 0 && x->state[r - 1] != STATE_ABSENT; r--)
			;
		x->added = r;
		for (; r >= 0 && r <= newest && x->state[r] != STATE_CONSUMED; r++)
			;
		x->consumed = r >= 0 && r <= newest ? r : -1;
	}
}

static int by_subsystem(const void *a, const void *b)
{
	const struct past_export *x = a, *y = b;
	int d = strcmp(x->subsystem, y->subsystem);

	return d ? d : strcmp(x->name, y->name);
}

static void finish(struct history *h)
{
	date_exports(h);
	map_free(&h->index);
	if (h->exports.n)
		qsort(h->exports.v, h->exports.n, sizeof(*h->exports.v), by_subsystem);
}

void history_of_folders(struct history *h, const char *const *args, int n, struct policy *p,
			const char *cache)
{
	struct scan_options so = {.cache = cache};
	int i;

	for (i = 0; i < n; i++) {
		const char *eq = strchr(args[i], '=');
		struct scan *s;
		char *name;

		if (!eq || eq == args[i] || !eq[1])
			die("'%s' is no release; write NAME=DIR, such as 6.1=linux-6.1",
			    args[i]);
		name = xstrndup(args[i], eq - args[i]);
		s = scan_dir(eq + 1, p, &so);
		add_release(h, p, name, s);
		scan_free(s);
		free(name);
	}
	finish(h);
}

/* ---------------------------------------------------------------- tags ------------- */

struct tag {
	const char *name;
	git_oid tree;
	git_time_t time;
};

struct tags {
	VEC(struct tag) v;
	struct arena *arena;
	git_repository *repo;
	const char *pattern;
};

static int collect_tag(const char *name, git_oid *oid, void *arg)
{
	struct tags *t = arg;
	git_object *object = NULL, *commit = NULL;
	struct tag tag = {0};

	name += strlen("refs/tags/");
	if (!str_match(t->pattern, name))
		return 0;
	if (!git_object_lookup(&object, t->repo, oid, GIT_OBJECT_ANY) &&
	    !git_object_peel(&commit, object, GIT_OBJECT_COMMIT)) {
		tag.name = arena_strndup(t->arena, name, strlen(name));
		tag.time = git_commit_time((git_commit *)commit);
		tag.tree = *git_commit_tree_id((git_commit *)commit);
		vec_push(&t->v, tag);
	}
	git_object_free(object);
	git_object_free(commit);
	return 0;
}

/* Older first; of two tags of one second, the lower version is the older one. */
static int by_time(const void *a, const void *b)
{
	const struct tag *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return strverscmp(x->name, y->name);
}

void warn_if_shallow(void *repo, const char *dir)
{
	if (git_repository_is_shallow(repo))
		warn("%s is a shallow clone: what came before it is not seen; "
		     "'git fetch --unshallow --tags' gets it",
		     dir);
}

bool history_of_tags(struct history *h, const char *dir, struct policy *p)
{
	struct tags t = {.arena = &h->arena, .pattern = p->tags};
	git_tree *tree;
	struct scan *s;
	size_t i;

	git_libgit2_init();
	if (git_repository_open(&t.repo, dir))
		return false;
	h->repo = t.repo;
	warn_if_shallow(t.repo, dir);
	git_tag_foreach(t.repo, collect_tag, &t);
	if (t.v.n)
		qsort(t.v.v, t.v.n, sizeof(*t.v.v), by_time);
	for (i = t.v.n > p->last ? t.v.n - p->last : 0; i < t.v.n; i++) {
		if (git_tree_lookup(&tree, t.repo, &t.v.v[i].tree))
			continue;
		s = scan_run(tree_open_git(t.repo, tree, p->skip.v, p->skip.n), p, NULL);
		add_release(h, p, t.v.v[i].name, s);
		scan_free(s);
		git_tree_free(tree);
	}
	vec_free(&t.v);
	finish(h);
	return h->releases.n > 0;
}

bool history_of_tree(struct scan *s, struct strings *releases)
{
	return history_at(s, s->tree->root, releases);
}

bool history_at(struct scan *s, const char *dir, struct strings *releases)
{
	const struct policy *p = s->policy;
	struct history h = {0};
	struct map by_name = {0};
	size_t i;
	u32 *at;

	if (p->level[RULE_DEADLINE] == LEVEL_OFF && p->level[RULE_NO_NEW] == LEVEL_OFF)
		return false;
	if (!history_of_tags(&h, dir, s->policy)) {
		history_free(&h);
		return false;
	}
	for (i = 0; i < h.exports.n; i++)
		*map_get(&by_name, hash_str(h.exports.v[i].name), i) = i;
	for (i = 0; i < s->exports.n; i++) {
		struct export *e = &s->exports.v[i];

		at = map_find(&by_name, hash_str(e->name));
		/* one that the newest release does not have is new, whatever was before */
		if (!at || h.exports.v[*at].state[h.releases.n - 1] == STATE_ABSENT)
			continue;
		e->added = h.exports.v[*at].added;
		e->consumed = h.exports.v[*at].consumed;
	}
	for (i = 0; i < h.releases.n; i++)
		vec_push(releases, arena_strndup(&s->arena, h.releases.v[i],
						 strlen(h.releases.v[i])));
	map_free(&by_name);
	history_free(&h);
	return true;
}

void history_free(struct history *h)
{
	free(h->releases.v);
	free(h->exports.v);
	map_free(&h->index);
	arena_free(&h->arena);
	if (h->repo)
		git_repository_free(h->repo);
}

/* ---------------------------------------------------------------- due -------------- */

bool past_export_is_due(const struct history *h, const struct past_export *e,
			unsigned int grace)
{
	int last = (int)h->releases.n - 1;

	/* what the oldest release has already is older than what is known */
	return last >= 0 && e->state[last] == STATE_DANGLING && e->added > 0 &&
	       e->added + (int)grace <= last;
}

static bool word_at(const char *hit, const char *start, size_t n)
{
	char before = hit > start ? hit[-1] : ' ', after = hit[n];

#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return (!before || !strchr(WORD, before)) && (!after || !strchr(WORD, after));
}

/* Does this version of the file export the symbol? */
static bool text_exports(const char *text, const char *symbol, bool source)
{
	const char *hit, *line, *nl;
	size_t n = strlen(symbol);

	for (hit = text; (hit = strstr(hit, symbol)); hit++) {
		if (!word_at(hit, text, n))
			continue;
		for (line = hit; line > text && line[-1] != '\n'; line--)
			;
		nl = strchr(hit, '\n');
		if (!source || memmem(line, (nl ? nl : hit + n) - line, "EXPORT", 6))
			return true;
	}
	return false;
}

static bool commit_exports(git_repository *repo, git_commit *c, const struct past_export *e)
{
	enum file_kind kind = file_kind_of(e->file);
	git_tree *tree = NULL;
	git_tree_entry *entry = NULL;
	git_blob *blob = NULL;
	bool has = false;
	char *text;

	if (!git_commit_tree(&tree, c) && !git_tree_entry_bypath(&entry, tree, e->file) &&
	    !git_blob_lookup(&blob, repo, git_tree_entry_id(entry))) {
		text = xstrndup(git_blob_rawcontent(blob), git_blob_rawsize(blob));
		has = text_exports(text, e->name, kind == FILE_C || kind == FILE_ASM);
		free(text);
	}
	git_blob_free(blob);
	git_tree_entry_free(entry);
	git_tree_free(tree);
	return has;
}

const char *history_find_commit(struct history *h, const struct past_export *e)
{
	git_revwalk *walk;
	char *range, hex[13];
	const char *found = NULL;
	git_commit *c, *parent;
	git_oid oid;

	if (!h->repo || e->added < 1 || git_revwalk_new(&walk, h->repo))
		return NULL;
	range = xasprintf("refs/tags/%s", h->releases.v[e->added]);
	git_revwalk_push_ref(walk, range);
	free(range);
	range = xasprintf("refs/tags/%s", h->releases.v[e->added - 1]);
	git_revwalk_hide_ref(walk, range);
	free(range);
	git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL);
	while (!found && !git_revwalk_next(&oid, walk)) {
		if (git_commit_lookup(&c, h->repo, &oid))
			continue;
		if (git_commit_parentcount(c) == 1 && commit_exports(h->repo, c, e) &&
		    !git_commit_parent(&parent, c, 0)) {
			if (!commit_exports(h->repo, parent, e))
				found = arena_printf(&h->arena, "%s (\"%s\")",
						     git_oid_tostr(hex, sizeof(hex), &oid),
						     git_commit_summary(c));
			git_commit_free(parent);
		}
		git_commit_free(c);
	}
	git_revwalk_free(walk);
	return found;
}

/* ---------------------------------------------------------------- numbers ---------- */

static void count(struct tally *t, const struct history *h, const struct policy *p,
		  const struct past_export *e)
{
	int last = (int)h->releases.n - 1;
	bool here = e->state[last] != STATE_ABSENT;

	t->exports += here;
	t->not_gpl += here && !e->gpl;
	t->unconsumed += e->state[last] == STATE_DANGLING;
	if (e->added <= 0)
		return;
	t->added++;
	if (!here)
		t->removed++;
	if (e->consumed >= 0 && e->consumed <= e->added + (int)p->grace)
		t->in_time++;
	else if (e->consumed >= 0)
		t->late++;
	else if (here && e->added + (int)p->grace > last)
		t->waiting++;
	else if (here)
		t->dangling++;
}

void history_tally(const struct history *h, const struct policy *p, struct tallies *out,
		   struct tally *total)
{
	size_t i;

	memset(total, 0, sizeof(*total));
	total->subsystem = "all";
	for (i = 0; i < h->exports.n; i++) {
		const struct past_export *e = &h->exports.v[i];
		struct tally fresh = {.subsystem = e->subsystem};

		if (!out->n || strcmp(out->v[out->n - 1].subsystem, e->subsystem) != 0)
			vec_push(out, fresh);
		count(&out->v[out->n - 1], h, p, e);
		count(total, h, p, e);
	}
}
