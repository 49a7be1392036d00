// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which target of a C project is each source part of?
 *
 * The policy's [modules] say it first. Then the build files: meson's library() and
 * executable() calls, automake's _SOURCES, cmake's add_library and add_executable. What
 * none of them names is grouped by folder.
 */
#include <ctype.h>
#include <stdlib.h>

#include "members.h"

struct targets {
	struct scan *s;
	u8 *known;
	struct map vars; /* hash of the variable -> 1 + index in lists */
	VEC(struct strings) lists;
	const char *dir;
	struct arena arena;
};

static void add_path(struct targets *t, const char *path, const char *target)
{
	char full[1024];
	u32 file;

	while (has_prefix(path, "./"))
		path += 2;
	if (*t->dir)
		snprintf(full, sizeof(full), "%s/%s", t->dir, path);
	else
		snprintf(full, sizeof(full), "%s", path);
	file = tree_find(t->s->tree, full);
	if (file == NO_FILE)
		file = tree_find(t->s->tree, path);
	if (file == NO_FILE || t->known[file] == 2)
		return;
	scan_add_member(t->s, file, scan_module(t->s, target, false));
	t->known[file] = 1;
}

static bool is_source(const char *s)
{
	return has_suffix(s, ".c") || has_suffix(s, ".S");
}

/* ---------------------------------------------------------------- meson ------------ */

/* A word, a 'string' or one character of punctuation, starting with '\'' for strings. */
static bool meson_token(const char **p, const char *end, char *out, size_t size)
{
	size_t n = 0;

	for (; *p < end; ++*p) {
		if (**p == '#') {
			while (*p + 1 < end && (*p)[1] != '\n')
				++*p;
		} else if (!isspace((u8) * *p)) {
			break;
		}
	}
	if (*p >= end)
		return false;
	if (**p == '\'' || **p == '"') {
		char quote = *(*p)++;

		out[n++] = '\'';
		while (*p < end && **p != quote && n + 1 < size)
			out[n++] = *(*p)++;
		while (*p < end && *(*p)++ != quote)
			;
	} else if (isalnum((u8) * *p) || **p == '_') {
		while (*p < end && (isalnum((u8) * *p) || **p == '_') && n + 1 < size)
			out[n++] = *(*p)++;
	} else {
		out[n++] = *(*p)++;
	}
	out[n] = '\0';
	return true;
}

static struct strings *variable(struct targets *t, const char *name)
{
	u32 *at = map_get(&t->vars, hash_str(name), 0);
	struct strings fresh = {0};

	if (!*at) {
		vec_push(&t->lists, fresh);
		*at = t->lists.n;
	}
	return &t->lists.v[*at - 1];
}

static bool makes_target(const char *word)
{
	static const char *const names[] = {"executable",     "shared_library",
					    "static_library", "library",
					    "both_libraries", "shared_module"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], word))
			return true;
	return false;
}

/* What the word does to the depth of parentheses. */
static int nesting(const char *word)
{
	if (!strcmp(word, "(") || !strcmp(word, "["))
		return 1;
	return !strcmp(word, ")") || !strcmp(word, "]") ? -1 : 0;
}

static void add_variable(struct targets *t, const char *name, const char *target)
{
	const u32 *at = map_find(&t->vars, hash_str(name));
	const struct strings *list;
	size_t i;

	if (!at || !*at || *at > t->lists.n || !t->lists.v)
		return;
	list = &t->lists.v[*at - 1];
	for (i = 0; i < list->n; i++) {
		const char *dir = t->dir;

		t->dir = "";
		add_path(t, list->v[i], target);
		t->dir = dir;
	}
}

static void meson_target(struct targets *t, const char **p, const char *end)
{
	char word[512], target[512] = "";
	int depth = 0;

	while (meson_token(p, end, word, sizeof(word))) {
		depth += nesting(word);
		if (depth <= 0 && nesting(word) < 0)
			return;
		if (nesting(word))
			continue;
		if (word[0] == '\'' && !*target)
			strcpy(target, word + 1);
		else if (word[0] == '\'' && is_source(word))
			add_path(t, word + 1, target);
		else if (*target && (isalpha((u8)word[0]) || word[0] == '_'))
			add_variable(t, word, target);
	}
}

static void meson_assignment(struct targets *t, const char *name, const char **p,
			     const char *end)
{
	struct strings *list = variable(t, name);
	char word[512];
	int depth = 0;

	while (meson_token(p, end, word, sizeof(word))) {
		depth += nesting(word);
		if (depth <= 0 && nesting(word) < 0)
			return;
		if (nesting(word))
			continue;
		if (word[0] == '\'' && is_source(word))
			vec_push(list, arena_printf(&t->arena, "%s%s%s", t->dir,
						    *t->dir ? "/" : "", word + 1));
		else if (!depth && strcmp(word, "files") != 0)
			return;
	}
}

static void read_meson(struct targets *t, const char *text, size_t len)
{
	const char *p = text, *end = text + len, *before;
	char word[512], last[512] = "";

	while (meson_token(&p, end, word, sizeof(word))) {
		if (makes_target(word)) {
			meson_target(t, &p, end);
		} else if (!strcmp(word, "=") && isalpha((u8)last[0]) && p < end &&
			   *p != '=') {
			before = p;
			if (meson_token(&p, end, word, sizeof(word)) &&
			    (!strcmp(word, "[") || !strcmp(word, "files"))) {
				p = before;
				meson_assignment(t, last, &p, end);
			} else {
				p = before;
			}
		}
		if (word[0] != '+')
			strcpy(last, word);
	}
}

/* ---------------------------------------------------------------- make and cmake --- */

static void add_words(struct targets *t, char *words, const char *target)
{
	char *save = NULL, *w;

	for (w = strtok_r(words, " \t\r\n", &save); w;
	     w = strtok_r(NULL, " \t\r\n", &save)) {
		if (has_prefix(w, "$(srcdir)/"))
			w += 10;
		else if (has_prefix(w, "$(top_srcdir)/"))
			w += 14;
		if (is_source(w))
			add_path(t, w, target);
	}
}

static void read_automake(struct targets *t, const char *text, size_t len)
{
	struct buf line = {0};
	const char *end = text + len, *nl;

	for (; text < end; text = nl + 1) {
		char *eq, *sources;

		nl = memchr(text, '\n', end - text);
		if (!nl)
			nl = end;
		buf_add(&line, text, nl - text);
		if (line.n && line.s[line.n - 1] == '\\') {
			line.s[--line.n] = ' ';
			continue;
		}
		sources = strstr(line.s, "_SOURCES");
		eq = strchr(line.s, '=');
		if (sources && eq && sources < eq && !isspace((u8)line.s[0])) {
			*sources = '\0';
			add_words(t, eq + 1, line.s);
		}
		line.n = 0;
	}
	buf_free(&line);
}

static void read_cmake(struct targets *t, const char *text)
{
	static const char *const calls[] = {"add_library(", "add_executable("};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const char *p = text, *close;

		while ((p = strstr(p, calls[i]))) {
			char *body, *name;

			p += strlen(calls[i]);
			close = strchr(p, ')');
			if (!close)
				break;
			body = xstrndup(p, close - p);
			name = body + strspn(body, " \t\r\n");
			name[strcspn(name, " \t\r\n")] = '\0';
			if (name + strlen(name) < body + (close - p))
				add_words(t, name + strlen(name) + 1, name);
			free(body);
		}
	}
}

static void read_build_file(struct targets *t, const struct file *f)
{
	const char *slash = strrchr(f->path, '/'), *base = slash ? slash + 1 : f->path,
		   *text;
	struct buf b = {0};
	size_t len;

	t->dir = slash ? arena_strndup(&t->arena, f->path, slash - f->path) : "";
	text = tree_read(t->s->tree, f, &b, &len);
	if (!text)
		return;
	if (!strcmp(base, "meson.build"))
		read_meson(t, text, len);
	else if (!strcmp(base, "CMakeLists.txt"))
		read_cmake(t, text);
	else
		read_automake(t, text, len);
	buf_free(&b);
}

/* ---------------------------------------------------------------- the whole -------- */

static void add_by_policy(struct targets *t)
{
	size_t i;

	for (i = 0; i < t->s->tree->files.n; i++) {
		const char *name =
			pairs_match(&t->s->policy->modules, t->s->tree->files.v[i].path);

		if (!name)
			continue;
		scan_add_member(t->s, i, scan_module(t->s, name, false));
		t->known[i] = 2;
	}
}

static void add_by_folder(struct targets *t)
{
	size_t i;

	for (i = 0; i < t->s->tree->files.n; i++) {
		const struct file *f = &t->s->tree->files.v[i];
		const char *slash = strrchr(f->path, '/');
		char *dir;

		if (t->known[i] || (f->kind != FILE_C && f->kind != FILE_ASM))
			continue;
		dir = slash ? xstrndup(f->path, slash - f->path) : xstrdup(".");
		scan_add_member(t->s, i, scan_module(t->s, dir, false));
		free(dir);
	}
}

void library_members(struct scan *s)
{
	struct targets t = {.s = s};
	size_t i;

	t.known = xcalloc(s->tree->files.n + 1, 1);
	add_by_policy(&t);
	for (i = 0; i < s->tree->files.n; i++)
		if (s->tree->files.v[i].kind == FILE_MAKE)
			read_build_file(&t, &s->tree->files.v[i]);
	add_by_folder(&t);
	for (i = 0; i < t.lists.n; i++)
		free(t.lists.v[i].v);
	vec_free(&t.lists);
	map_free(&t.vars);
	arena_free(&t.arena);
	free(t.known);
}
