// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which module are the files part of that no object list names?
 *
 * A .c that another one includes, a file in a folder whose makefile is beyond what is
 * understood, a header that exports, the parts of Rust's kernel crate.
 */
#include <stdlib.h>

#include "kbuild.h"

struct leftovers {
	struct scan *s;
	u8 *known;
};

/* A .c that another .c includes is part of what that one is part of. */
static bool inherit_from_includers(struct leftovers *k)
{
	struct scan *s = k->s;
	bool changed = false;
	u32 i, j, m;
	size_t n = s->tree->files.n;

	for (i = 0; i < n; i++) {
		const struct file *f = &s->tree->files.v[i];
		const struct fact_include *inc = f->facts.a[FA_INCLUDE];
		const char *slash = strrchr(f->path, '/');

		if (!k->known[i] || f->kind != FILE_C)
			continue;
		for (j = 0; j < f->facts.n[FA_INCLUDE]; j++) {
			const char *path = facts_str(&f->facts, inc[j].path);
			char *rel, *norm;
			u32 target;

			if (!has_suffix(path, ".c"))
				continue;
			rel = xasprintf("%.*s/%s", slash ? (int)(slash - f->path) : 1,
					slash ? f->path : ".", path);
			norm = normal_path(rel);
			target = tree_find(s->tree, norm);
			if (target != NO_FILE)
				s->includer[target] = i;
			if (target != NO_FILE && !k->known[target]) {
				size_t pairs = s->pairs.n;

				for (m = 0; m < pairs; m++)
					if (s->pairs.v[m].file == i)
						scan_add_member(s, target,
								s->pairs.v[m].module);
				k->known[target] = 1;
				changed = true;
			}
			free(rel);
			free(norm);
		}
	}
	return changed;
}

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
		if (o && *o != UINT32_MAX && *o != MODULE_BUILTIN + 1)
			scan_add_member(s, i, *o - 1);
		else
			s->stats.unbuilt++;
	}
	map_free(&owner);
}

static bool header_exports(const struct scan *s, const struct facts *f)
{
	const struct fact_call *call = f->a[FA_CALL];
	const struct fact_def *def = f->a[FA_DEF];
	u32 i, k;

	for (i = 0; i < f->n[FA_CALL]; i++) {
		const struct template_list *l =
			templates_find(&s->templates, call[i].callee);

		if (def[call[i].owner].kind != DEF_MADE || !l)
			continue;
		for (k = 0; k < l->n; k++)
			if (l->t[k].kind >= 0)
				return true;
	}
	return false;
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
			if (k->known[i])
				copy_members(k->s, i, header, pairs);
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

		if (f->kind == FILE_HEADER && f->has_facts && header_exports(s, &f->facts))
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
	int i;

	for (i = 0; i < 4 && inherit_from_includers(&k); i++)
		;
	adopt_by_folder(&k);
	add_header_members(&k);
	add_rust_crate(&k);
}
