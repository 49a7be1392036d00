// SPDX-License-Identifier: GPL-2.0-or-later
/* In which order does a tree become a list of exports with consumers? */
#include <stdlib.h>
#include <unistd.h>

#include "cache.h"
#include "links/linker.h"
#include "buildfiles/members.h"
#include "run.h"

/* Folders of a kernel tree whose files are never part of a kernel or a module. */
static bool is_host_file(const char *path)
{
	return has_prefix(path, "Documentation/") || has_prefix(path, "scripts/") ||
	       has_prefix(path, "usr/") || has_prefix(path, "LICENSES/") ||
	       (has_prefix(path, "tools/") && !has_prefix(path, "tools/testing/"));
}

/* Kinds of files that only libraries are made out by. */
static bool is_of_libraries(enum file_kind kind)
{
	return kind == FILE_TEMPLATE || kind == FILE_CONFIGURE || kind == FILE_BUILD ||
	       kind == FILE_CXX;
}

static void drop_host_files(struct tree *t)
{
	size_t i, kept = 0;

	map_free(&t->index);
	for (i = 0; i < t->files.n; i++) {
		if (is_host_file(t->files.v[i].path) || is_of_libraries(t->files.v[i].kind))
			continue;
		*map_get(&t->index, hash_str(t->files.v[i].path), kept) = kept;
		t->files.v[kept++] = t->files.v[i];
	}
	t->files.n = kept;
}

static enum project_kind detect_kind(const struct tree *t)
{
	static const char *const marks[] = {"include/linux/export.h",
					    "include/linux/module.h", "Kbuild"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(marks); i++)
		if (tree_find(t, marks[i]) != NO_FILE)
			return KIND_LINUX;
	return KIND_LIBRARY;
}

static void add_policy_macros(struct scan *s)
{
	const struct pairs *m = &s->policy->macros;
	size_t i;

	primitives_init(&s->prims);
	s->prims.visibility = s->kind == KIND_LIBRARY && !s->policy->scripts.n;
	for (i = 0; i < s->policy->attributes.n && i < ARRAY_SIZE(s->prims.attribute); i++)
		s->prims.attribute[s->prims.nattributes++] =
			hash_str(s->policy->attributes.v[i]);
	for (i = 0; i < m->n; i++) {
		const char *ns = strstr(m->v[i].value, "ns=");

		primitives_add(&s->prims, m->v[i].pattern,
			       has_prefix(m->v[i].value, "gpl") ? EXP_GPL : EXP_PLAIN,
			       ns ? atoi(ns + 3) : 0, 0);
	}
}

/* ---------------------------------------------------------------- extraction ------- */

struct extraction {
	struct scan *s;
	bool headers;
	u32 next;
	struct arena *arenas; /* one a worker, kept with the scan */
	u64 *bytes;
	u32 *read;
};

static enum text_kind text_kind_of(enum file_kind kind)
{
	switch (kind) {
	case FILE_HEADER:
		return TEXT_HEADER;
	case FILE_ASM:
		return TEXT_ASM;
	case FILE_RUST:
		return TEXT_RUST;
	default:
		return TEXT_SOURCE;
	}
}

static bool wanted(const struct extraction *e, const struct file *f)
{
	if (f->has_facts)
		return false;
	if (e->headers)
		return f->kind == FILE_HEADER;
	return f->kind == FILE_C || f->kind == FILE_CXX || f->kind == FILE_ASM ||
	       f->kind == FILE_RUST;
}

#define CHUNK 32

static void extract_files(void *arg, unsigned int worker)
{
	struct extraction *e = arg;
	struct tree *t = e->s->tree;
	struct extractor *x = extractor_create(&e->s->prims);
	struct buf b = {0};
	const char *text;
	size_t len;
	u32 i, end;

	if (!e->headers)
		extractor_use_templates(x, &e->s->templates);
	while ((i = __atomic_fetch_add(&e->next, CHUNK, __ATOMIC_RELAXED)) < t->files.n) {
		end = i + CHUNK < t->files.n ? i + CHUNK : t->files.n;
		for (; i < end; i++) {
			struct file *f = &t->files.v[i];

			if (!wanted(e, f))
				continue;
			text = tree_read(t, f, &b, &len);
			if (!text)
				continue;
			e->bytes[worker] += len;
			e->read[worker]++;
			facts_extract(x, text_kind_of(f->kind), text, len,
				      &e->arenas[worker], &f->facts);
			f->has_facts = true;
		}
	}
	extractor_destroy(x);
	buf_free(&b);
}

static void extract(struct scan *s, bool headers)
{
	struct extraction e = {.s = s, .headers = headers};
	unsigned int i;

	e.arenas = xcalloc(s->workers, sizeof(*e.arenas));
	e.bytes = xcalloc(s->workers, sizeof(*e.bytes));
	e.read = xcalloc(s->workers, sizeof(*e.read));
	run_workers(s->workers, extract_files, &e);
	for (i = 0; i < s->workers; i++) {
		arena_join(&s->arena, &e.arenas[i]);
		s->stats.bytes += e.bytes[i];
		s->stats.read += e.read[i];
	}
	free(e.arenas);
	free(e.bytes);
	free(e.read);
}

static void build_templates(struct scan *s)
{
	const struct facts **headers =
		xcalloc(s->tree->files.n + 1, sizeof(const struct facts *));
	size_t i, n = 0;

	for (i = 0; i < s->tree->files.n; i++)
		if (s->tree->files.v[i].kind == FILE_HEADER &&
		    s->tree->files.v[i].has_facts)
			headers[n++] = &s->tree->files.v[i].facts;
	templates_build(&s->templates, headers, n, &s->prims);
	free(headers);
}

/* ---------------------------------------------------------------- the whole -------- */

static int by_name(const void *a, const void *b)
{
	const struct export *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	if (d)
		return d;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->line < y->line ? -1 : x->line > y->line;
}

static void find_members(struct scan *s)
{
	if (s->kind == KIND_LINUX) {
		scan_module(s, "vmlinux", true);
		kbuild_members(s);
	} else {
		scan_module(s, "(none)", true);
		library_members(s);
	}
	scan_seal_members(s);
}

struct linking {
	struct scan *s;
	struct linker *l;
};

/* Who is in which module, and what headers define: neither needs the other. */
static void prepare(void *arg, unsigned int worker)
{
	struct linking *k = arg;

	if (worker)
		k->l = linker_create(k->s);
	else
		find_members(k->s);
}

static void link_all(struct scan *s)
{
	struct linking k = {.s = s};

	if (s->kind == KIND_LINUX)
		kbuild_include_dirs(s);
	run_workers(2, prepare, &k);
	linker_link(k.l);
	if (s->exports.n)
		qsort(s->exports.v, s->exports.n, sizeof(*s->exports.v), by_name);
}

struct scan *scan_run(struct tree *tree, struct policy *policy,
		      const struct scan_options *opt)
{
	struct scan *s = xcalloc(1, sizeof(*s));
	struct cache *cache = NULL;
	double t0 = now_seconds(), t1;

	s->tree = tree;
	s->policy = policy;
	s->workers = cpu_count();
	s->kind = policy->kind != KIND_AUTO ? policy->kind : detect_kind(tree);
	if (s->kind == KIND_LINUX)
		drop_host_files(tree);
	s->stats.files = tree->files.n;
	add_policy_macros(s);
	if (opt && opt->cache && !opt->refresh)
		cache = cache_load(opt->cache, tree, policy_digest(policy));
	if (cache)
		cache_take(cache, tree, true, 0);
	extract(s, true);
	build_templates(s);
	s->stats.headers = (t1 = now_seconds()) - t0;
	if (cache)
		s->stats.cached = cache_take(cache, tree, false, s->templates.digest);
	extract(s, false);
	s->stats.sources = now_seconds() - t1;
	if (opt && opt->cache && s->stats.read)
		cache_store(opt->cache, tree, policy_digest(policy), s->templates.digest);
	t1 = now_seconds();
	if (!cache || s->stats.read || !linked_load(opt->cache, s)) {
		link_all(s);
		/* what could not be read, or was given up, is to be said again */
		if (opt && opt->cache && !s->given_up.n && !*s->tree->unread)
			linked_store(opt->cache, s);
	}
	s->stats.link = now_seconds() - t1;
	s->cache = cache;
	return s;
}

struct scan *scan_dir(const char *dir, struct policy *policy,
		      const struct scan_options *opt)
{
	double t0 = now_seconds();
	struct tree *t = tree_open(dir, policy->skip.v, policy->skip.n);
	struct scan *s;

	t0 = now_seconds() - t0;
	s = scan_run(t, policy, opt);
	s->stats.walk = t0;
	return s;
}

void scan_free(struct scan *s)
{
	size_t i;

	if (!s)
		return;
	for (i = 0; i < s->exports.n; i++)
		free(s->exports.v[i].consumers);
	vec_free(&s->exports);
	vec_free(&s->defs);
	vec_free(&s->unnamed);
	vec_free(&s->modules);
	map_free(&s->module_index);
	templates_free(&s->templates);
	free(s->prims.v);
	free(s->first);
	free(s->member);
	free(s->listed);
	free(s->optional);
	vec_free(&s->included);
	vec_free(&s->foreign);
	vec_free(&s->include_dirs);
	vec_free(&s->given_up);
	map_free(&s->foreign_of);
	map_free(&s->dirs_of);
	tree_close(s->tree);
	cache_free(s->cache);
	arena_free(&s->arena);
	free(s);
}
