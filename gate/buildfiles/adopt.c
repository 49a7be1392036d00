// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which module are the files part of that no object list names?
 *
 * A .c that another one includes, a file in a folder whose makefile is beyond what is
 * understood, a header that exports, the parts of Rust's kernel crate.
 */
#include <stdlib.h>

#include "kbuild.h"
#include "sources/expand.h"

struct leftovers {
	struct scan *s;
	u8 *known;
};

/* ---------------------------------------------------------------- sources ---------- */

struct sources {
	struct scan *s;
	struct map by_base; /* hash of the base name -> 1 + file, chained by next */
	u32 *next;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void index_sources(struct sources *src)
{
	const struct tree *t = src->s->tree;
	u32 i, *last;

	src->next = xcalloc(t->files.n + 1, sizeof(u32));
	for (i = 0; i < t->files.n; i++) {
		if (t->files.v[i].kind != FILE_C)
			continue;
		last = map_get(&src->by_base, hash_str(base_name(t->files.v[i].path)), 0);
		src->next[i] = *last;
		*last = i + 1;
	}
}

static u32 common_folders(const char *a, const char *b)
{
	u32 n = 0;

	for (; *a && *a == *b; a++, b++)
		n += *a == '/';
	return n;
}

static void add_included(struct scan *s, u32 file, u32 includer)
{
	struct membership m = {file, includer};

	if (file != includer)
		vec_push(&s->included, m);
}

/* Found with -I: those of that path that are nearest to the source that includes them. */
static void include_by_path(struct sources *src, u32 includer, const char *path)
{
	const struct file *files = src->s->tree->files.v;
	u32 *first = map_find(&src->by_base, hash_str(base_name(path))), i, near = 0, pass;

	while (has_prefix(path, "../") || has_prefix(path, "./"))
		path = strchr(path, '/') + 1;
	for (pass = 0; pass < 2; pass++)
		for (i = first ? *first : 0; i; i = src->next[i - 1]) {
			const char *its = files[i - 1].path;
			size_t n = strlen(its), m = strlen(path);
			u32 depth = common_folders(its, files[includer].path);

			if (!has_suffix(its, path) || (n > m && its[n - m - 1] != '/'))
				continue;
			if (!pass)
				near = depth > near ? depth : near;
			else if (depth == near)
				add_included(src->s, i - 1, includer);
		}
}

static void note_includes(struct sources *src, u32 includer)
{
	const struct file *f = &src->s->tree->files.v[includer];
	const struct fact_include *inc = f->facts.a[FA_INCLUDE];
	const char *slash = strrchr(f->path, '/');
	u32 i, target;

	for (i = 0; i < f->facts.n[FA_INCLUDE]; i++) {
		const char *path = facts_str(&f->facts, inc[i].path);
		char *rel, *norm;

		if (!has_suffix(path, ".c"))
			continue;
		rel = xasprintf("%.*s/%s", slash ? (int)(slash - f->path) : 1,
				slash ? f->path : ".", path);
		norm = normal_path(rel);
		target = tree_find(src->s->tree, norm);
		if (target != NO_FILE)
			add_included(src->s, target, includer);
		else
			include_by_path(src, includer, path);
		free(rel);
		free(norm);
	}
}

static int by_both(const void *a, const void *b)
{
	const struct membership *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->module < y->module ? -1 : x->module > y->module;
}

static bool has_pair(const struct scan *s, size_t sorted, u32 file, u32 module)
{
	struct membership m = {file, module};

	return sorted && bsearch(&m, s->pairs.v, sorted, sizeof(m), by_both);
}

/* The modules of each source that includes it are those of the file too. */
static bool inherit_once(struct leftovers *k)
{
	struct scan *s = k->s;
	size_t sorted = s->pairs.n, i, lo, hi, mid;

	if (sorted)
		qsort(s->pairs.v, sorted, sizeof(*s->pairs.v), by_both);
	for (i = 0; i < s->included.n; i++) {
		u32 file = s->included.v[i].file, from = s->included.v[i].module;

		for (lo = 0, hi = sorted; lo < hi;) {
			mid = (lo + hi) / 2;
			if (s->pairs.v[mid].file < from)
				lo = mid + 1;
			else
				hi = mid;
		}
		for (; lo < sorted && s->pairs.v[lo].file == from; lo++)
			if (!has_pair(s, sorted, file, s->pairs.v[lo].module))
				scan_add_member(s, file, s->pairs.v[lo].module);
		k->known[file] |= k->known[from] ? LISTED_BY_OTHERS : 0;
		s->optional[file] |= s->optional[from];
	}
	return s->pairs.n > sorted;
}

#define MAX_NESTED 8

/* A .c that others include is part of what each of those is part of. */
static void inherit_from_includers(struct leftovers *k)
{
	struct sources src = {.s = k->s};
	u32 i, n = k->s->tree->files.n;

	index_sources(&src);
	for (i = 0; i < n; i++)
		if (k->s->tree->files.v[i].kind == FILE_C)
			note_includes(&src, i);
	for (i = 0; i < MAX_NESTED && inherit_once(k); i++)
		;
	map_free(&src.by_base);
	free(src.next);
}

/* ---------------------------------------------------------------- folders ---------- */

static size_t folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash - path : 0;
}

/*
 * A file that no list names, in a folder tree whose other files all make one module, is
 * taken for a part of it: its makefile is beyond what is understood here.
 */
static void adopt_by_folder(struct leftovers *k)
{
	struct scan *s = k->s;
	struct map owner = {0}; /* folder -> 1 + module, UINT32_MAX = several */
	size_t i, n;
	u32 *o;

	for (i = 0; i < s->pairs.n; i++) {
		const char *path = s->tree->files.v[s->pairs.v[i].file].path;
		char *dir = xstrndup(path, folder_len(path));

		for (n = strlen(dir); n; n = folder_len(dir), dir[n] = '\0') {
			o = map_get(&owner, hash_bytes(dir, n), s->pairs.v[i].module + 1);
			if (*o != s->pairs.v[i].module + 1)
				*o = UINT32_MAX;
		}
		free(dir);
	}
	for (i = 0; i < s->tree->files.n; i++) {
		const struct file *f = &s->tree->files.v[i];

		if (k->known[i] || (f->kind != FILE_C && f->kind != FILE_ASM) ||
		    has_prefix(f->path, "tools/") || has_prefix(f->path, "scripts/"))
			continue;
		o = NULL;
		for (n = folder_len(f->path); n && !o;) {
			char *dir = xstrndup(f->path, n);

			o = map_find(&owner, hash_bytes(dir, n));
			n = folder_len(dir);
			free(dir);
		}
		s->optional[i] = 1;
		if (o && *o != UINT32_MAX && *o != MODULE_BUILTIN + 1)
			scan_add_member(s, i, *o - 1);
		else
			s->stats.unbuilt++;
	}
	map_free(&owner);
}

static void note_any(void *arg, const struct header_export *e)
{
	*(bool *)arg = true;
}

static bool exports_something(const struct scan *s, const struct facts *f)
{
	bool any = false;

	header_exports(f, &s->templates, note_any, &any);
	return any;
}

static bool includes_by_name(const struct file *f, const char *header)
{
	const struct fact_include *inc = f->facts.a[FA_INCLUDE];
	u32 i;

	for (i = 0; i < f->facts.n[FA_INCLUDE]; i++) {
		const char *path = facts_str(&f->facts, inc[i].path);
		const char *slash = strrchr(path, '/'), *base = strrchr(header, '/');

		if (strcmp(slash ? slash + 1 : path, base ? base + 1 : header) != 0)
			continue;
		if (has_suffix(header, path) || folder_len(header) == 0 ||
		    !strncmp(f->path, header, folder_len(header) + 1))
			return true;
	}
	return false;
}

static int by_file_number(const void *a, const void *b)
{
	const struct membership *x = a, *y = b;

	return x->file < y->file ? -1 : x->file > y->file;
}

/* `to` is part of what `from` is part of; the first `sorted` pairs are sorted by file. */
static void copy_members(struct scan *s, u32 from, u32 to, size_t sorted)
{
	size_t lo = 0, hi = sorted;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->pairs.v[mid].file < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < sorted && s->pairs.v[lo].file == from; lo++)
		scan_add_member(s, to, s->pairs.v[lo].module);
}

#define MAX_BETWEEN 16

static bool is_private(const char *path)
{
	return !has_prefix(path, "include/") && !strstr(path, "/include/");
}

/*
 * A header that exports is a part of the source that includes it, also by way of other
 * headers if those are private.
 */
static void add_members_of(struct leftovers *k, u32 header, size_t pairs)
{
	const struct file *files = k->s->tree->files.v;
	u32 between[MAX_BETWEEN] = {header}, n = 1, at, i, j;

	for (at = 0; at < n; at++)
		for (i = 0; i < k->s->tree->files.n; i++) {
			bool may = k->known[i] || files[i].kind == FILE_HEADER;

			if (!may || !includes_by_name(&files[i], files[between[at]].path))
				continue;
			if (k->known[i]) {
				copy_members(k->s, i, header, pairs);
				add_included(k->s, header, i);
			}
			for (j = 0; j < n && between[j] != i; j++)
				;
			if (files[i].kind == FILE_HEADER && is_private(files[i].path) &&
			    j == n && n < MAX_BETWEEN)
				between[n++] = i;
		}
}

static void add_header_members(struct leftovers *k)
{
	struct scan *s = k->s;
	size_t h, pairs = s->pairs.n;

	if (pairs)
		qsort(s->pairs.v, pairs, sizeof(*s->pairs.v), by_file_number);
	for (h = 0; h < s->tree->files.n; h++) {
		const struct file *f = &s->tree->files.v[h];

		if (f->kind == FILE_HEADER && f->has_facts &&
		    exports_something(s, &f->facts))
			add_members_of(k, h, pairs);
	}
}

/* The generic parts of Rust's kernel crate are compiled into the modules that use it. */
static void add_rust_crate(struct leftovers *k)
{
	struct scan *s = k->s;
	u32 crate = scan_module(s, "rust/kernel", false);
	size_t i;

	for (i = 0; i < s->tree->files.n; i++)
		if (s->tree->files.v[i].kind == FILE_RUST && !k->known[i])
			scan_add_member(s, i, crate);
}

void kbuild_adopt(struct scan *s, u8 *known)
{
	struct leftovers k = {.s = s, .known = known};

	inherit_from_includers(&k);
	adopt_by_folder(&k);
	add_header_members(&k);
	add_rust_crate(&k);
}
