// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What do CMake's build files build?
 *
 * They are run: variables, lists, functions and macros, loops and subfolders as cmake
 * does, and every branch of a condition, because nobody knows the configuration.
 */
#include <ctype.h>
#include <stdlib.h>

#include "build.h"

#define ROOT      "@src@/" /* a path that begins so does not depend on the folder */
#define MAX_STEPS 200000
#define MAX_VALUE (1u << 20)

struct words {
	char **v;
	size_t n, cap;
};

struct cmake_function {
	const char *name;
	const char *from, *end; /* its body */
	struct words params;
	u32 file, line;
};

struct cmake {
	struct build *b;
	const char *root, *dir;
	u32 file, line;
	struct map vars;
	VEC(char *) values;
	struct map assigned; /* in an earlier branch of the condition */
	VEC(struct cmake_function) functions;
	struct buf flags; /* of the folder */
	int conds, skip, depth;
	u32 steps;
};

/* ---------------------------------------------------------------- variables -------- */

static const char *get(const struct cmake *c, const char *name)
{
	const u32 *at = map_find(&c->vars, hash_str(name));

	return at && *at ? c->values.v[*at - 1] : "";
}

static void put(struct cmake *c, const char *name, const char *value)
{
	u32 *at = map_get(&c->vars, hash_str(name), 0);

	if (!*at) {
		vec_push(&c->values, NULL);
		*at = c->values.n;
	}
	c->values.v[*at - 1] =
		arena_strndup(&c->b->arena, value, strnlen(value, MAX_VALUE));
}

/* In a later branch of a condition, what the earlier one says may hold too. */
static void assign(struct cmake *c, const char *name, const char *value)
{
	u64 key = hash_str(name);

	if (c->conds && map_find(&c->assigned, key) && *get(c, name) &&
	    strcmp(get(c, name), value) != 0)
		value = arena_printf(&c->b->arena, "%s;%s", get(c, name), value);
	if (c->conds)
		map_get(&c->assigned, key, 1);
	put(c, name, value);
}

/* ${NAME}, also in names; a generator expression's text stays. */
static void expand(const struct cmake *c, struct buf *out, const char *s, size_t n,
		   int depth)
{
	size_t i, end, nest;

	for (i = 0; i < n && out->n < MAX_VALUE; i++) {
		if (s[i] != '$' || i + 1 >= n || s[i + 1] != '{' || depth > 20) {
			buf_putc(out, s[i]);
			continue;
		}
		for (end = i + 2, nest = 1; end < n; end++) {
			if (s[end] == '{')
				nest++;
			else if (s[end] == '}' && !--nest)
				break;
		}
		struct buf name = {0};

		buf_add(&name, "", 0);
		expand(c, &name, s + i + 2, end - i - 2, depth + 1);
		buf_puts(out, get(c, name.s));
		buf_free(&name);
		i = end;
	}
}

/* ---------------------------------------------------------------- commands' text --- */

static void free_words(struct words *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		free(w->v[i]);
	vec_free(w);
}

static void add_list(struct words *w, const char *s)
{
	size_t n;

	for (; *s; s += n + (s[n] == ';')) {
		n = strcspn(s, ";");
		if (n)
			vec_push(w, xstrndup(s, n));
	}
}

static void add_word(struct cmake *c, struct words *w, const char *s, size_t n, bool quoted)
{
	struct buf full = {0};

	buf_add(&full, "", 0);
	expand(c, &full, s, n, 0);
	if (quoted)
		vec_push(w, xstrdup(full.n ? full.s : ""));
	else if (full.n)
		add_list(w, full.s);
	buf_free(&full);
}

static const char *skip_space(struct cmake *c, const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '#') {
			while (p + 1 < end && p[1] != '\n')
				p++;
		} else if (*p == '\n') {
			c->line++;
		} else if (!isspace((u8)*p)) {
			break;
		}
	}
	return p;
}

/* The arguments behind '('; returns what comes after ')'. */
static const char *read_words(struct cmake *c, const char *p, const char *end,
			      struct words *w)
{
	int depth = 1;

	while ((p = skip_space(c, p, end)) < end) {
		const char *from = p;

		if (*p == '(' || *p == ')') {
			depth += *p == '(' ? 1 : -1;
			p++;
			if (!depth)
				return p;
			continue;
		}
		if (*p == '"') {
			for (p++; p < end && *p != '"'; p++) {
				p += *p == '\\' && p + 1 < end;
				c->line += *p == '\n';
			}
			add_word(c, w, from + 1, p - from - 1, true);
			p += p < end;
			continue;
		}
		while (p < end && !isspace((u8)*p) && *p != '(' && *p != ')' && *p != '"')
			p++;
		/* "-DX="y"": quotes inside of a word */
		if (p < end && *p == '"' && p > from) {
			for (p++; p < end && *p != '"' && *p != '\n'; p++)
				;
			p += p < end;
		}
		add_word(c, w, from, p - from, false);
	}
	return p;
}

/* ---------------------------------------------------------------- targets ---------- */

static const char *plain(const char *s, const char **dir)
{
	const char *hit = NULL, *p = s;

	while ((p = strstr(p, ROOT)))
		hit = p, p++;
	if (!hit)
		return s;
	*dir = "";
	return hit + strlen(ROOT);
}

static void source(struct cmake *c, struct target *t, const char *word)
{
	const char *dir = c->dir, *end;
	char *name;

	if (has_prefix(word, "$<TARGET_OBJECTS:")) {
		word += strlen("$<TARGET_OBJECTS:");
		end = strchr(word, '>');
		name = xstrndup(word, end ? (size_t)(end - word) : strlen(word));
		strings_add(c->b, &t->links, name);
		free(name);
		return;
	}
	word = plain(word, &dir);
	c->b->conditional = c->conds > 0;
	build_add_source(c->b, t, dir, word);
	c->b->conditional = false;
}

/* Flags whose paths may begin with ROOT. */
static void flags(struct cmake *c, struct target *t, const char *text)
{
	char *copy = xstrdup(text), *save = NULL, *w;

	for (w = strtok_r(copy, " ;\n\t", &save); w; w = strtok_r(NULL, " ;\n\t", &save)) {
		const char *dir = c->dir, *root, *path = plain(w, &dir);
		char *flag = xstrdup(w);

		root = strstr(w, ROOT);
		if (root) {
			/* of a doubled path, what the last ROOT begins */
			snprintf(flag, strlen(w) + 1, "%.*s%s", (int)(root - w), w, path);
		}
		build_add_flags(c->b, t, dir, flag);
		free(flag);
	}
	free(copy);
}

static bool is_any(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (!strcasecmp(s, *list))
			return true;
	return false;
}

static void add_target(struct cmake *c, const struct words *w, bool library)
{
	static const char *const stop[] = {"ALIAS", "IMPORTED", NULL};
	enum target_kind kind = library ? TARGET_SHARED : TARGET_PROGRAM;
	struct target *t;
	size_t i;

	for (i = 1; i < w->n; i++)
		if (is_any(w->v[i], stop))
			return;
	for (i = 1; library && i < w->n; i++) {
		if (!strcmp(w->v[i], "SHARED") || !strcmp(w->v[i], "MODULE")) {
			kind = TARGET_SHARED;
			break;
		}
		if (!strcmp(w->v[i], "STATIC"))
			kind = TARGET_STATIC;
		else if (!strcmp(w->v[i], "OBJECT") || !strcmp(w->v[i], "INTERFACE"))
			kind = TARGET_OBJECTS;
	}
	if (!w->n || c->skip)
		return;
	t = build_target(c->b, c->dir, w->v[0], kind);
	t->file = c->file;
	t->line = c->line;
	for (i = 1; i < w->n; i++)
		source(c, t, w->v[i]);
	strings_add(c->b, &t->incs, c->dir);
	if (c->flags.n)
		flags(c, t, c->flags.s);
	flags(c, t, get(c, "CMAKE_C_FLAGS"));
	flags(c, t, get(c, "CMAKE_SHARED_LINKER_FLAGS"));
	if (!strcmp(get(c, "CMAKE_C_VISIBILITY_PRESET"), "hidden"))
		t->hidden = 1;
}

static struct target *named(struct cmake *c, const struct words *w, size_t i)
{
	return w->n > i ? build_find(c->b, w->v[i]) : NULL;
}

static bool is_scope(const char *s)
{
	static const char *const scopes[] = {"PUBLIC",       "PRIVATE", "INTERFACE",
					     "BEFORE",       "SYSTEM",  "LINK_PUBLIC",
					     "LINK_PRIVATE", "AFTER",   NULL};

	return is_any(s, scopes);
}

static void target_command(struct cmake *c, const char *name, const struct words *w)
{
	struct target *t = named(c, w, 0);
	size_t i;

	if (!t || c->skip)
		return;
	for (i = 1; i < w->n; i++) {
		const char *s = w->v[i], *dir = c->dir;

		if (is_scope(s))
			continue;
		if (!strcmp(name, "target_sources")) {
			source(c, t, s);
		} else if (!strcmp(name, "target_include_directories")) {
			if (has_prefix(s, "$<BUILD_INTERFACE:"))
				s += strlen("$<BUILD_INTERFACE:");
			char *path = xstrndup(s, strcspn(s, ">"));
			const char *p = plain(path, &dir);

			strings_add(c->b, &t->incs, build_join(c->b, dir, p));
			free(path);
		} else if (!strcmp(name, "target_compile_definitions")) {
			if (c->conds)
				continue;
			strings_add(c->b, &t->defs, has_prefix(s, "-D") ? s + 2 : s);
		} else {
			flags(c, t, s);
			if (*s != '-')
				strings_add(c->b, &t->links, s);
		}
	}
}

static void property(struct cmake *c, struct target *t, const char *key, const char *value)
{
	if (!strcmp(key, "C_VISIBILITY_PRESET")) {
		t->hidden = !strcmp(value, "hidden");
	} else if (!strcmp(key, "COMPILE_DEFINITIONS")) {
		struct words list = {0};
		size_t i;

		add_list(&list, value);
		for (i = 0; i < list.n; i++)
			strings_add(c->b, &t->defs, list.v[i]);
		free_words(&list);
	} else if (!strcmp(key, "DEFINE_SYMBOL")) {
		strings_add(c->b, &t->defs, value);
	} else if (strstr(key, "FLAGS") || strstr(key, "OPTIONS")) {
		flags(c, t, value);
	}
}

/* set_target_properties(a b PROPERTIES KEY VALUE ...), set_property(TARGET a ...) */
static void set_properties(struct cmake *c, const struct words *w, bool one)
{
	size_t i, k;

	for (i = one;
	     i < w->n && strcmp(w->v[i], "PROPERTIES") && strcmp(w->v[i], "PROPERTY"); i++)
		;
	for (k = one; k < i && !c->skip; k++) {
		struct target *t = named(c, w, k);
		size_t p;

		if (!t)
			continue;
		for (p = i + 1; p + 1 < w->n; p += 2)
			property(c, t, w->v[p], w->v[p + 1]);
	}
}

/* ---------------------------------------------------------------- lists and files -- */

static void list_command(struct cmake *c, const struct words *w)
{
	struct buf b = {0};
	size_t i;
	bool prepend;

	if (w->n < 3 || c->skip)
		return;
	prepend = !strcasecmp(w->v[0], "PREPEND");
	if (strcasecmp(w->v[0], "APPEND") != 0 && !prepend)
		return;
	buf_puts(&b, get(c, w->v[1]));
	for (i = 2; i < w->n; i++)
		buf_printf(&b, "%s%s", b.n ? ";" : "", w->v[i]);
	put(c, w->v[1], b.s);
	buf_free(&b);
}

static void glob(struct cmake *c, struct buf *out, const char *pattern, bool deep)
{
	const struct tree *t = c->b->s->tree;
	const char *dir = c->dir, *slash;
	const char *p = plain(pattern, &dir);
	char *full = build_join(c->b, dir, p);
	size_t i;

	slash = strrchr(full, '/');
	if (deep)
		full = arena_printf(&c->b->arena, "%.*s**/%s",
				    slash ? (int)(slash + 1 - full) : 0, full,
				    slash ? slash + 1 : full);
	for (i = 0; i < t->files.n; i++) {
		const char *path = t->files.v[i].path;

		if (strchr(full, '/') ? path_match(full, path)
				      : !strchr(path, '/') && str_match(full, path))
			buf_printf(out, "%s" ROOT "%s", out->n ? ";" : "", path);
	}
}

static void file_command(struct cmake *c, const struct words *w)
{
	struct buf b = {0};
	size_t i;

	if (w->n < 3 || c->skip || strncasecmp(w->v[0], "GLOB", 4) != 0)
		return;
	buf_add(&b, "", 0);
	for (i = 2; i < w->n; i++)
		if (strchr(w->v[i], '*'))
			glob(c, &b, w->v[i], strlen(w->v[0]) > 4);
	assign(c, w->v[1], b.s);
	buf_free(&b);
}

static void set_command(struct cmake *c, const struct words *w)
{
	struct buf b = {0};
	size_t i;

	if (!w->n || c->skip)
		return;
	buf_add(&b, "", 0);
	for (i = 1; i < w->n; i++) {
		if (!strcmp(w->v[i], "CACHE") || !strcmp(w->v[i], "PARENT_SCOPE"))
			break;
		buf_printf(&b, "%s%s", b.n ? ";" : "", w->v[i]);
	}
	assign(c, w->v[0], b.s);
	buf_free(&b);
}

static void string_command(struct cmake *c, const struct words *w)
{
	char *s;
	size_t i;

	if (w->n < 3 || c->skip)
		return;
	if (!strcmp(w->v[0], "TOUPPER") || !strcmp(w->v[0], "TOLOWER")) {
		s = xstrdup(w->v[1]);
		for (i = 0; s[i]; i++)
			s[i] = w->v[0][2] == 'U' ? toupper((u8)s[i]) : tolower((u8)s[i]);
		put(c, w->v[2], s);
		free(s);
	} else if (!strcmp(w->v[0], "CONCAT") || !strcmp(w->v[0], "APPEND")) {
		struct buf b = {0};

		buf_puts(&b, *w->v[0] == 'A' ? get(c, w->v[1]) : "");
		for (i = 2; i < w->n; i++)
			buf_puts(&b, w->v[i]);
		put(c, w->v[1], b.s);
		buf_free(&b);
	}
}

/* ---------------------------------------------------------------- running ---------- */

static const char *run(struct cmake *c, const char *p, const char *end,
		       const char *const *stop);

static void run_file(struct cmake *c, u32 file)
{
	u32 old = c->file, line = c->line;
	size_t len;
	const char *text;

	if (c->depth > 40)
		return;
	text = build_text(c->b, file, &len);
	c->file = file;
	c->line = 1;
	if (text)
		run(c, text, text + len, NULL);
	c->file = old;
	c->line = line;
}

static void set_folders(struct cmake *c)
{
	static const char *const here[] = {"CMAKE_CURRENT_SOURCE_DIR",
					   "CMAKE_CURRENT_BINARY_DIR",
					   "CMAKE_CURRENT_LIST_DIR"};
	static const char *const top[] = {"CMAKE_SOURCE_DIR", "CMAKE_BINARY_DIR",
					  "PROJECT_SOURCE_DIR", "PROJECT_BINARY_DIR"};
	char *s = arena_printf(&c->b->arena, ROOT "%s", c->dir);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(here); i++)
		put(c, here[i], s);
	s = arena_printf(&c->b->arena, ROOT "%s", c->root);
	for (i = 0; i < ARRAY_SIZE(top); i++)
		put(c, top[i], s);
}

static void add_subdirectory(struct cmake *c, const struct words *w)
{
	const char *dir = c->dir, *sub;
	char *path;
	u32 file;
	size_t kept = c->flags.n;

	if (!w->n || c->skip)
		return;
	sub = plain(w->v[0], &dir);
	path = build_join(c->b, dir, sub);
	file = tree_find(c->b->s->tree, build_join(c->b, path, "CMakeLists.txt"));
	if (file == NO_FILE)
		return;
	dir = c->dir;
	c->dir = path;
	set_folders(c);
	run_file(c, file);
	c->dir = dir;
	c->flags.n = kept;
	if (c->flags.s)
		c->flags.s[kept] = '\0';
	set_folders(c);
}

/* A file by its path, or a module by its name, wherever the tree has it. */
static void include_command(struct cmake *c, const struct words *w)
{
	const struct tree *t = c->b->s->tree;
	const char *dir = c->dir, *path;
	char *name;
	size_t i;
	u32 file;

	if (!w->n || c->skip)
		return;
	path = plain(w->v[0], &dir);
	file = build_path(c->b, dir, path);
	if (file != NO_FILE) {
		run_file(c, file);
		return;
	}
	name = xasprintf("/%s.cmake", path);
	for (i = 0; i < t->files.n; i++)
		if (has_suffix(t->files.v[i].path, name) ||
		    !strcmp(t->files.v[i].path, name + 1)) {
			run_file(c, i);
			break;
		}
	free(name);
}

static struct cmake_function *find_function(struct cmake *c, const char *name)
{
	size_t i;

	for (i = c->functions.n; i-- > 0;)
		if (!strcasecmp(c->functions.v[i].name, name))
			return &c->functions.v[i];
	return NULL;
}

static void call_function(struct cmake *c, const struct cmake_function *f,
			  const struct words *w)
{
	struct buf rest = {0}, all = {0};
	char number[32];
	size_t i;
	u32 line = c->line;

	if (c->depth > 40)
		return;
	buf_add(&rest, "", 0);
	buf_add(&all, "", 0);
	for (i = 0; i < w->n; i++) {
		snprintf(number, sizeof(number), "ARGV%zu", i);
		put(c, number, w->v[i]);
		buf_printf(&all, "%s%s", all.n ? ";" : "", w->v[i]);
		if (i >= f->params.n)
			buf_printf(&rest, "%s%s", rest.n ? ";" : "", w->v[i]);
	}
	for (i = 0; i < f->params.n; i++)
		put(c, f->params.v[i], i < w->n ? w->v[i] : "");
	put(c, "ARGN", rest.s);
	put(c, "ARGV", all.s);
	run(c, f->from, f->end, NULL);
	c->line = line;
	buf_free(&rest);
	buf_free(&all);
}

static void generate_export_header(struct cmake *c, const struct words *w)
{
	char *macro;
	size_t i;

	if (!w->n || c->skip)
		return;
	macro = xasprintf("%s_EXPORT", w->v[0]);
	for (i = 0; macro[i]; i++)
		macro[i] = isalnum((u8)macro[i]) ? toupper((u8)macro[i]) : '_';
	for (i = 1; i + 1 < w->n; i++)
		if (!strcmp(w->v[i], "EXPORT_MACRO_NAME")) {
			free(macro);
			macro = xstrdup(w->v[i + 1]);
		}
	strings_add(c->b, &c->b->macros,
		    arena_printf(&c->b->arena,
				 "%s=__attribute__((visibility(\"default\")))", macro));
	free(macro);
}

static void folder_flags(struct cmake *c, const char *name, const struct words *w)
{
	size_t i;

	for (i = 0; i < w->n && !c->skip; i++)
		/* a macro that only some configurations define is for the build to decide
		 */
		if (!is_scope(w->v[i]) &&
		    !(c->conds && (has_prefix(w->v[i], "-D") ||
				   !strcmp(name, "add_compile_definitions"))))
			buf_printf(&c->flags, " %s%s",
				   !strcmp(name, "include_directories")       ? "-I"
				   : !strcmp(name, "add_compile_definitions") ? "-D"
									      : "",
				   w->v[i]);
}

static void command(struct cmake *c, const char *name, const struct words *w)
{
	const struct cmake_function *f = find_function(c, name);

	if (f) {
		if (!c->skip)
			call_function(c, f, w);
	} else if (!strcmp(name, "set")) {
		set_command(c, w);
	} else if (!strcmp(name, "project") && w->n && !c->skip) {
		put(c, "PROJECT_NAME", w->v[0]);
		put(c, "CMAKE_PROJECT_NAME", w->v[0]);
	} else if (!strcmp(name, "list")) {
		list_command(c, w);
	} else if (!strcmp(name, "file")) {
		file_command(c, w);
	} else if (!strcmp(name, "string")) {
		string_command(c, w);
	} else if (!strcmp(name, "add_library") || !strcmp(name, "add_executable")) {
		add_target(c, w, name[4] == 'l');
	} else if (!strcmp(name, "add_subdirectory")) {
		add_subdirectory(c, w);
	} else if (!strcmp(name, "include")) {
		include_command(c, w);
	} else if (has_prefix(name, "target_")) {
		target_command(c, name, w);
	} else if (!strcmp(name, "set_target_properties")) {
		set_properties(c, w, false);
	} else if (!strcmp(name, "set_property")) {
		set_properties(c, w, true);
	} else if (!strcmp(name, "include_directories") ||
		   !strcmp(name, "add_definitions") ||
		   !strcmp(name, "add_compile_options") ||
		   !strcmp(name, "add_link_options") ||
		   !strcmp(name, "add_compile_definitions")) {
		folder_flags(c, name, w);
	} else if (!strcmp(name, "generate_export_header")) {
		generate_export_header(c, w);
	}
}

/* ---------------------------------------------------------------- control ---------- */

static const char *const ends_if[] = {"endif", "else", "elseif", NULL};
static const char *const ends_loop[] = {"endforeach", "endwhile", NULL};
static const char *const ends_function[] = {"endfunction", "endmacro", NULL};

/* The next command's name; NULL at the end. p is left behind its '('. */
static char *next_command(struct cmake *c, const char **p, const char *end)
{
	const char *from;
	char *name;
	size_t n, i;

	for (;;) {
		*p = skip_space(c, *p, end);
		if (*p >= end)
			return NULL;
		if (isalpha((u8) * *p) || **p == '_')
			break;
		++*p;
	}
	for (from = *p; *p < end && (isalnum((u8) * *p) || **p == '_'); ++*p)
		;
	n = *p - from;
	while (*p < end && (**p == ' ' || **p == '\t'))
		++*p;
	if (*p < end && **p == '(')
		++*p;
	name = xstrndup(from, n);
	for (i = 0; i < n; i++)
		name[i] = tolower((u8)name[i]);
	return name;
}

/* 1: other systems only; -1: everywhere but there; 0: nobody knows. */
static int foreign(const struct words *w)
{
	bool hit = false, negated = false, mixed = false;
	size_t i;

	for (i = 0; i < w->n; i++) {
		hit |= build_is_foreign(w->v[i]);
		negated |= !strcmp(w->v[i], "NOT");
		mixed |= !strcmp(w->v[i], "OR");
	}
	if (!hit || mixed)
		return 0;
	return negated ? -1 : 1;
}

static const char *run_if(struct cmake *c, const char *p, const char *end, struct words *w)
{
	struct map outer = c->assigned;
	int what = foreign(w);
	bool all = what<0, off = what> 0;
	char *name;

	c->assigned = (struct map){0};
	c->conds += !all;
	for (;;) {
		c->skip += off;
		p = run(c, p, end, ends_if);
		c->skip -= off;
		name = next_command(c, &p, end);
		free_words(w);
		if (!name)
			break;
		p = read_words(c, p, end, w);
		if (!strcmp(name, "endif"))
			break;
		off = all || (!strcmp(name, "elseif") && foreign(w) > 0);
		free(name);
	}
	free(name);
	c->conds -= !all;
	map_free(&c->assigned);
	c->assigned = outer;
	return p;
}

static const char *run_foreach(struct cmake *c, const char *p, const char *end,
			       const struct words *w)
{
	size_t i = 1;
	const char *after = p;
	u32 line = c->line;

	while (i < w->n && (!strcmp(w->v[i], "IN") || !strcmp(w->v[i], "ITEMS")))
		i++;
	if (i < w->n && !strcmp(w->v[i], "LISTS")) {
		struct words all = {0};

		for (i++; i < w->n; i++)
			add_list(&all, get(c, w->v[i]));
		for (i = 0; i < all.n && !c->skip; i++) {
			c->line = line;
			put(c, w->v[0], all.v[i]);
			after = run(c, p, end, ends_loop);
		}
		i = all.n ? SIZE_MAX : w->n;
		free_words(&all);
	}
	for (; i < w->n && !c->skip; i++) {
		c->line = line;
		put(c, w->v[0], w->v[i]);
		after = run(c, p, end, ends_loop);
	}
	if (after == p) {
		c->skip++;
		after = run(c, p, end, ends_loop);
		c->skip--;
	}
	return after;
}

static const char *read_function(struct cmake *c, const char *p, const char *end,
				 const struct words *w)
{
	struct cmake_function f = {.from = p, .file = c->file, .line = c->line};
	size_t i;

	c->skip++;
	p = run(c, p, end, ends_function);
	c->skip--;
	f.end = p;
	if (!w->n || c->skip)
		return p;
	f.name = arena_strndup(&c->b->arena, w->v[0], strlen(w->v[0]));
	for (i = 1; i < w->n; i++)
		vec_push(&f.params, arena_strndup(&c->b->arena, w->v[i], strlen(w->v[i])));
	vec_push(&c->functions, f);
	return p;
}

/* Runs up to one of the words, and stays before it. */
static const char *run(struct cmake *c, const char *p, const char *end,
		       const char *const *stop)
{
	const char *at, *from;
	struct words w = {0};
	char *name;

	c->depth++;
	while (c->steps < MAX_STEPS && c->depth < 60) {
		u32 line = c->line;

		at = p;
		name = next_command(c, &p, end);
		if (!name)
			break;
		if (stop && is_any(name, stop)) {
			free(name);
			p = at;
			c->line = line;
			break;
		}
		c->steps++;
		from = p = read_words(c, p, end, &w);
		if (!strcmp(name, "if"))
			p = run_if(c, p, end, &w);
		else if (!strcmp(name, "foreach") || !strcmp(name, "while"))
			p = run_foreach(c, p, end, &w);
		else if (!strcmp(name, "function") || !strcmp(name, "macro"))
			p = read_function(c, p, end, &w);
		else
			command(c, name, &w);
		/* behind the word that ended the block */
		if (p != from && strcmp(name, "if") != 0) {
			char *close = next_command(c, &p, end);

			free_words(&w);
			if (close)
				p = read_words(c, p, end, &w);
			free(close);
		}
		free_words(&w);
		free(name);
	}
	c->depth--;
	return p;
}

void build_cmake(struct build *b, const char *root)
{
	struct cmake c = {.b = b, .root = root, .dir = root};
	u32 file = tree_find(b->s->tree, build_join(b, root, "CMakeLists.txt"));
	size_t i;

	set_folders(&c);
	put(&c, "CMAKE_DL_LIBS", "dl");
	if (file != NO_FILE)
		run_file(&c, file);
	if (c.steps >= MAX_STEPS)
		build_note(b, "%s/CMakeLists.txt: too much work to run to its end", root);
	for (i = 0; i < c.functions.n; i++)
		vec_free(&c.functions.v[i].params);
	vec_free(&c.functions);
	vec_free(&c.values);
	map_free(&c.vars);
	map_free(&c.assigned);
	buf_free(&c.flags);
}
