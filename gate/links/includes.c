// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which headers does a file see, by its own includes and theirs?
 *
 * Not every include path (-I) is known, so an include may mean every header whose path ends
 * with what is written; a quoted one that exists beside the file means that one. Headers
 * of an architecture are seen by that architecture's files and by those of none. The
 * closure is a set of bits a header, made over the strongly connected components, because
 * kernel headers include each other in circles.
 */
#include <stdlib.h>

#include "base/components.h"
#include "includes.h"

#define NONE UINT32_MAX

struct includes {
	const struct scan *s;
	u32 n, words;
	u32 *header_of; /* file -> header number */
	u32 *file_of;
	struct map by_base; /* base name -> 1 + header, chained by next */
	u32 *next;
	u32 *edge_first, *edges; /* header -> headers */
	u64 *closure;            /* component -> set of headers */
	u32 *component;
	u32 ncomponents;
	u64 *always; /* what the build includes into every file */
};

/* "arch/x86/..." gives "x86" and its length. */
static const char *arch_of(const char *path, size_t *n)
{
	if (!has_prefix(path, "arch/"))
		return NULL;
	*n = strcspn(path + 5, "/");
	return path + 5;
}

static bool same_arch(const char *a, const char *b)
{
	size_t na, nb;
	const char *x = arch_of(a, &na), *y = arch_of(b, &nb);

	return !x || !y || (na == nb && !memcmp(x, y, na)) || !memcmp(x, "um/", 3) ||
	       !memcmp(y, "um/", 3);
}

static bool ends_with_path(const char *path, const char *tail)
{
	size_t n = strlen(path), m = strlen(tail);

	return n >= m && !strcmp(path + n - m, tail) && (n == m || path[n - m - 1] == '/');
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

typedef void found_fn(void *arg, u32 header);

/* The header beside the includer: "x.h" or "../y/x.h" from its folder. */
static u32 beside(const struct includes *inc, const char *from, const char *what)
{
	size_t dir = base_name(from) - from;
	char path[1024];
	u32 file;

	while (has_prefix(what, "../") && dir) {
		what += 3;
		for (dir--; dir && from[dir - 1] != '/'; dir--)
			;
	}
	if (dir + strlen(what) >= sizeof(path))
		return NONE;
	memcpy(path, from, dir);
	strcpy(path + dir, what);
	file = tree_find(inc->s->tree, path);
	return file == NO_FILE ? NONE : inc->header_of[file];
}

/* Folders that both paths begin with. */
static u32 common_folders(const char *a, const char *b)
{
	u32 n = 0;

	for (; *a && *a == *b; a++, b++)
		n += *a == '/';
	return n;
}

/* Found with -Iinclude or -Iarch/X/include, which every file of a kernel is built with. */
static bool is_public(const char *path, const char *tail)
{
	const char *slash;

	if (has_prefix(path, "arch/")) {
		slash = strchr(path + 5, '/');
		path = slash ? slash + 1 : path;
	}
	if (!has_prefix(path, "include/"))
		return false;
	path += strlen("include/");
	if (!strcmp(path, tail))
		return true;
	/* include/uapi, include/generated/uapi, arch/X/include/asm/mach-Y: one more folder
	 */
	return has_suffix(path, tail) && strchr(tail, '/') != NULL;
}

/*
 * Headers whose path ends with `tail`: the public ones, and of the private ones those
 * nearest to the includer; if there is neither, all.
 */
static void each_match(const struct includes *inc, const char *from, const char *tail,
		       found_fn *fn, void *arg)
{
	const struct file *files = inc->s->tree->files.v;
	u32 *at = map_find(&inc->by_base, hash_str(base_name(tail)));
	bool tools = has_prefix(from, "tools/"), any_public = false;
	u32 h, near = 0, pass, depth;

	for (pass = 0; pass < 2; pass++)
		for (h = at ? *at : 0; h; h = inc->next[h - 1]) {
			const char *path = files[inc->file_of[h - 1]].path;
			bool public = is_public(path, tail);

			if ((!tools && has_prefix(path, "tools/")) ||
			    !ends_with_path(path, tail) || !same_arch(from, path))
				continue;
			depth = public ? 0 : common_folders(from, path);
			if (!pass) {
				any_public |= public;
				near = depth > near ? depth : near;
			} else if (public || (near >= 2 ? depth == near : !any_public)) {
				fn(arg, h - 1);
			}
		}
}

/* What -I and -include in the makefiles of the folder and of those above it add. */
struct dirs {
	VEC(const char *) v;
};

static void find_dirs(const struct includes *inc, const char *from, struct dirs *dirs)
{
	const struct scan *s = inc->s;
	size_t n = base_name(from) - from;
	u32 *last, i;

	if (!s->include_dirs.n)
		return;
	while (n) {
		last = map_find(&s->dirs_of, hash_bytes(from, n - 1));
		for (i = last ? *last : 0; i; i = s->include_dirs.v[i - 1].next)
			vec_push(&dirs->v, s->include_dirs.v[i - 1].dir);
		for (n--; n && from[n - 1] != '/'; n--)
			;
	}
}

static void each_in_dirs(const struct includes *inc, const struct dirs *dirs,
			 const char *what, found_fn *fn, void *arg)
{
	char path[1024];
	size_t i;
	u32 file;

	for (i = 0; i < dirs->v.n; i++) {
		if (snprintf(path, sizeof(path), "%s/%s", dirs->v.v[i], what) >=
		    (int)sizeof(path))
			continue;
		file = tree_find(inc->s->tree, path);
		if (file != NO_FILE && inc->header_of[file] != NONE)
			fn(arg, inc->header_of[file]);
	}
}

static void each_forced(const struct includes *inc, const struct dirs *dirs, found_fn *fn,
			void *arg)
{
	size_t i;
	u32 file;

	for (i = 0; i < dirs->v.n; i++) {
		file = tree_find(inc->s->tree, dirs->v.v[i]);
		if (file != NO_FILE && inc->header_of[file] != NONE)
			fn(arg, inc->header_of[file]);
	}
}

/* As a file at the path `from` would see what the file includes. */
static void resolve(const struct includes *inc, u32 file, const char *from, found_fn *fn,
		    void *arg)
{
	const struct file *f = &inc->s->tree->files.v[file];
	const struct fact_include *i = f->facts.a[FA_INCLUDE];
	struct dirs dirs = {0};
	u32 k, h;

	find_dirs(inc, from, &dirs);
	if (f->kind != FILE_HEADER)
		each_forced(inc, &dirs, fn, arg);

	for (k = 0; k < f->facts.n[FA_INCLUDE]; k++) {
		const char *what = facts_str(&f->facts, i[k].path);
		char generic[300];

		h = i[k].quoted ? beside(inc, f->path, what) : NONE;
		if (h != NONE) {
			fn(arg, h);
			continue;
		}
		while (has_prefix(what, "../") || has_prefix(what, "./"))
			what = strchr(what, '/') + 1;
		each_in_dirs(inc, &dirs, what, fn, arg);
		each_match(inc, from, what, fn, arg);
		if (has_prefix(what, "asm/")) {
			snprintf(generic, sizeof(generic), "asm-generic/%s", what + 4);
			each_match(inc, from, generic, fn, arg);
		}
	}
	vec_free(&dirs.v);
}

static void collect_headers(struct includes *inc)
{
	const struct tree *t = inc->s->tree;
	u32 i, *at;

	inc->header_of = xmalloc(t->files.n * sizeof(u32) + 1);
	inc->file_of = xmalloc(t->files.n * sizeof(u32) + 1);
	inc->next = xmalloc(t->files.n * sizeof(u32) + 1);
	for (i = 0; i < t->files.n; i++) {
		const struct file *f = &t->files.v[i];

		inc->header_of[i] = NONE;
		if (f->kind != FILE_HEADER || !f->has_facts)
			continue;
		if (!f->facts.n[FA_DEF] && !f->facts.n[FA_INCLUDE] && !f->facts.n[FA_DECL])
			continue;
		inc->header_of[i] = inc->n;
		inc->file_of[inc->n] = i;
		at = map_get(&inc->by_base, hash_str(base_name(f->path)), 0);
		inc->next[inc->n] = *at;
		*at = ++inc->n;
	}
}

struct edge_vec {
	VEC(u32) e;
};

static void push_edge(void *arg, u32 header)
{
	struct edge_vec *v = arg;

	vec_push(&v->e, header);
}

static void collect_edges(struct includes *inc)
{
	struct edge_vec v = {0};
	u32 h;

	inc->edge_first = xmalloc((inc->n + 1) * sizeof(u32));
	for (h = 0; h < inc->n; h++) {
		inc->edge_first[h] = v.e.n;
		resolve(inc, inc->file_of[h], inc->s->tree->files.v[inc->file_of[h]].path,
			push_edge, &v);
	}
	inc->edge_first[inc->n] = v.e.n;
	inc->edges = v.e.v;
}

/* ---------------------------------------------------------------- closure ---------- */

static void close_members(void *arg, const u32 *members, u32 n)
{
	struct includes *inc = arg;
	u64 *set = inc->closure + (size_t)inc->ncomponents * inc->words;
	u32 c = inc->ncomponents++, i, e, w;

	for (i = 0; i < n; i++) {
		inc->component[members[i]] = c;
		set[members[i] / 64] |= 1ull << (members[i] % 64);
	}
	for (i = 0; i < n; i++) {
		u32 h = members[i];

		for (e = inc->edge_first[h]; e < inc->edge_first[h + 1]; e++) {
			u32 d = inc->component[inc->edges[e]];
			const u64 *other = inc->closure + (size_t)d * inc->words;

			if (d == c || (set[inc->edges[e] / 64] >> (inc->edges[e] % 64)) & 1)
				continue; /* all that it sees is here already */
			for (w = 0; w < inc->words; w++)
				set[w] |= other[w];
		}
	}
}

static void build_closure(struct includes *inc)
{
	inc->words = (inc->n + 63) / 64;
	inc->closure = xcalloc((size_t)inc->n * inc->words, sizeof(u64));
	inc->component = xcalloc(inc->n, sizeof(u32));
	each_component(inc->n, inc->edge_first, inc->edges, close_members, inc);
}

/* Where add_closure() adds to. */
struct adder {
	const struct includes *inc;
	u64 *bits;
};

static void add_closure(void *arg, u32 header)
{
	const struct adder *a = arg;
	const u64 *set =
		a->inc->closure + (size_t)a->inc->component[header] * a->inc->words;
	u32 w;

	if ((a->bits[header / 64] >> (header % 64)) & 1)
		return;
	for (w = 0; w < a->inc->words; w++)
		a->bits[w] |= set[w];
}

static void find_always(struct includes *inc)
{
	static const char *const names[] = {"include/linux/kconfig.h",
					    "include/linux/compiler_types.h",
					    "include/linux/compiler-version.h"};
	struct adder a = {inc, xcalloc(inc->words, sizeof(u64))};
	size_t i;
	u32 file;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		file = tree_find(inc->s->tree, names[i]);
		if (file != NO_FILE && inc->header_of[file] != NONE)
			add_closure(&a, inc->header_of[file]);
	}
	inc->always = a.bits;
}

struct includes *includes_create(const struct scan *s)
{
	struct includes *inc = xcalloc(1, sizeof(*inc));

	inc->s = s;
	collect_headers(inc);
	collect_edges(inc);
	build_closure(inc);
	find_always(inc);
	return inc;
}

void includes_free(struct includes *inc)
{
	map_free(&inc->by_base);
	free(inc->header_of);
	free(inc->file_of);
	free(inc->next);
	free(inc->edge_first);
	free(inc->edges);
	free(inc->closure);
	free(inc->component);
	free(inc->always);
	free(inc);
}

u32 includes_header(const struct includes *inc, u32 file)
{
	return inc->header_of[file];
}

void visible_init(const struct includes *inc, struct visible *v)
{
	v->words = inc->words;
	v->bits = xcalloc(inc->words, sizeof(u64));
}

/* Also what the makefiles of other architectures that name the file let it see. */
static void resolve_everywhere(const struct includes *inc, u32 file, struct adder *a)
{
	const struct scan *s = inc->s;
	const char *path = s->tree->files.v[file].path;
	u32 *last, i;

	resolve(inc, file, path, add_closure, a);
	if (!s->foreign.n)
		return;
	last = map_find(&s->foreign_of, (u64)file + 1);
	for (i = last ? *last : 0; i; i = s->foreign.v[i - 1].next) {
		char *as = xasprintf("%s/%s", s->foreign.v[i - 1].folder, base_name(path));

		resolve(inc, file, as, add_closure, a);
		free(as);
	}
}

#define MAX_INCLUDERS 64

void visible_fill(const struct includes *inc, u32 file, struct visible *v)
{
	u32 from[MAX_INCLUDERS] = {file}, n = 1, at, k;
	struct adder a = {inc, v->bits};
	const struct scan *s = inc->s;
	size_t i;

	memcpy(v->bits, inc->always, inc->words * sizeof(u64));
	/* a .c that is included by others sees what those do */
	for (at = 0; at < n; at++) {
		resolve_everywhere(inc, from[at], &a);
		if (!s->included.n)
			break;
		for (i = scan_first_includer(s, from[at]);
		     i < s->included.n && s->included.v[i].file == from[at]; i++) {
			for (k = 0; k < n && from[k] != s->included.v[i].module; k++)
				;
			if (k == n && n < MAX_INCLUDERS)
				from[n++] = s->included.v[i].module;
		}
	}
}

void visible_fill_header(const struct includes *inc, u32 file, struct visible *v)
{
	u32 h = inc->header_of[file], w;
	const u64 *set;

	memset(v->bits, 0, inc->words * sizeof(u64));
	if (h == NONE)
		return;
	set = inc->closure + (size_t)inc->component[h] * inc->words;
	for (w = 0; w < inc->words; w++)
		v->bits[w] = set[w] | inc->always[w];
}

bool visible_has(const struct includes *inc, const struct visible *v, u32 header_file)
{
	u32 h = inc->header_of[header_file];

	return h != NONE && ((v->bits[h / 64] >> (h % 64)) & 1);
}

void visible_free(struct visible *v)
{
	free(v->bits);
	v->bits = NULL;
}
