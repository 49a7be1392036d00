// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which file of the tree does an #include mean?
 *
 * As a compiler looks: beside the file, in the target's folders. Then, as the folders may
 * not be known, the file of the tree whose path ends so and is nearest; and what a
 * configure script makes of "NAME.in".
 */
#include "cpp.h"
#include "policy/policy.h"

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_header(const struct file *f)
{
	return f->kind == FILE_HEADER || f->kind == FILE_C || f->kind == FILE_TEMPLATE;
}

void cpp_index_headers(struct cpp *p)
{
	size_t i;
	u32 *first;

	p->next_base = xcalloc(p->tree->files.n + 1, sizeof(u32));
	for (i = p->tree->files.n; i-- > 0;) {
		if (!is_header(&p->tree->files.v[i]))
			continue;
		first = map_get(&p->by_base, hash_str(base_of(p->tree->files.v[i].path)),
				0);
		p->next_base[i] = *first;
		*first = i + 1;
	}
}

/* Folds "a/../b" and "./"; false if the path leaves the tree. */
static bool fold(char *path)
{
	char *out = path, *in = path, *next;
	size_t n;

	for (; *in; in = next) {
		n = strcspn(in, "/");
		next = in + n + (in[n] == '/');
		if (!n || (n == 1 && *in == '.'))
			continue;
		if (n == 2 && in[0] == '.' && in[1] == '.') {
			if (out == path)
				return false;
			for (out--; out > path && out[-1] != '/'; out--)
				;
			continue;
		}
		memmove(out, in, next - in);
		out += next - in;
	}
	*out = '\0';
	return true;
}

static u32 find_at(struct cpp *p, const char *dir, size_t len, const char *path)
{
	char full[2048];
	int n = snprintf(full, sizeof(full) - 4, "%.*s%s%s", (int)len, dir,
			 len && dir[len - 1] != '/' ? "/" : "", path);
	u32 file;

	if (n < 0 || (size_t)n >= sizeof(full) - 4 || !fold(full))
		return NO_FILE;
	file = tree_find(p->tree, full);
	if (file != NO_FILE)
		return file;
	strcpy(full + strlen(full), ".in");
	return tree_find(p->tree, full);
}

static u32 shared(const char *a, const char *b)
{
	u32 n = 0;

	for (; *a && *a == *b; a++, b++)
		n += *a == '/';
	return n;
}

static bool path_ends(const char *whole, const char *end, const char *suffix)
{
	size_t n = strlen(whole), m = strlen(end), k = strlen(suffix);

	if (n < m + k || strcmp(whole + n - k, suffix) != 0 ||
	    memcmp(whole + n - m - k, end, m) != 0)
		return false;
	return n == m + k || whole[n - m - k - 1] == '/';
}

static u32 nearest(struct cpp *p, u32 includer, const char *path, const char *suffix)
{
	const struct file *v = p->tree->files.v;
	char base[256];
	u32 best = NO_FILE, near, top = 0, i;
	const u32 *first;

	while (has_prefix(path, "../") || has_prefix(path, "./"))
		path += path[1] == '.' ? 3 : 2;
	snprintf(base, sizeof(base), "%s%s", base_of(path), suffix);
	first = map_find(&p->by_base, hash_str(base));
	for (i = first ? *first : 0; i; i = p->next_base[i - 1]) {
		if (!path_ends(v[i - 1].path, path, suffix))
			continue;
		near = 1 + shared(v[includer].path, v[i - 1].path);
		if (near > top) {
			top = near;
			best = i - 1;
		}
	}
	return best;
}

/* Headers of the C library that a tree may have a stand-in for, in a folder of its own. */
static bool is_system(const char *path)
{
	static const char *const names[] = {
		"assert", "ctype",    "errno",  "fcntl",    "limits",  "locale",
		"math",   "signal",   "stdarg", "stdbool",  "stddef",  "stdint",
		"stdio",  "stdlib",   "string", "time",     "unistd",  "pthread",
		"endian", "byteswap", "elf",    "getopt",   "err",     "dlfcn",
		"poll",   "sched",    "wchar",  "inttypes", "features"};
	size_t i, n = strcspn(path, ".");

	if (has_prefix(path, "sys/") || has_prefix(path, "linux/") ||
	    has_prefix(path, "bits/") || has_prefix(path, "asm/"))
		return true;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == n && !memcmp(names[i], path, n))
			return true;
	return false;
}

u32 cpp_find_header(struct cpp *p, u32 includer, const char *path, bool quoted)
{
	const char *from = p->tree->files.v[includer].path;
	static const char *const suffixes[] = {".in", ".cmake", ".template", ".prebuilt"};
	u32 file = NO_FILE;
	size_t i;

	if (quoted)
		file = find_at(p, from, base_of(from) - from, path);
	for (i = 0; file == NO_FILE && p->incs && i < p->incs->n; i++)
		file = find_at(p, p->incs->v[i], strlen(p->incs->v[i]), path);
	if (file != NO_FILE || (!quoted && is_system(path)))
		return file;
	file = nearest(p, includer, path, "");
	for (i = 0; file == NO_FILE && i < ARRAY_SIZE(suffixes); i++)
		file = nearest(p, includer, path, suffixes[i]);
	return file;
}
