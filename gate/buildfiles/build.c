// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What does a C project build, of which sources, with which flags?
 *
 * Of each tree of build files, one system is read: automake, meson, cmake, OpenSSL's
 * build.info, make. Many projects have several, and those that nobody uses rot.
 */
#include <ctype.h>
#include <stdlib.h>

#include "build.h"

void strings_add(struct build *b, struct strings *s, const char *text)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (!strcmp(s->v[i], text))
			return;
	vec_push(s, arena_strndup(&b->arena, text, strlen(text)));
}

void build_note(struct build *b, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	strings_add(b, &b->notes, text);
}

struct target *build_find(const struct build *b, const char *name)
{
	const u32 *at = map_find(&b->index, hash_str(name));

	return at && *at ? b->targets.v[*at - 1] : NULL;
}

struct target *build_target(struct build *b, const char *dir, const char *name,
			    enum target_kind kind)
{
	u32 *at = map_get(&b->index, hash_str(name), 0);
	struct target *t = *at ? b->targets.v[*at - 1] : NULL;

	if (t && t->kind == kind && !strcmp(t->dir, dir))
		return t;
	t = arena_alloc(&b->arena, sizeof(*t));
	*t = (struct target){.kind = kind, .file = NO_FILE};
	t->name = arena_strndup(&b->arena, name, strlen(name));
	t->dir = arena_strndup(&b->arena, dir, strlen(dir));
	vec_push(&b->targets, t); /* NOLINT(bugprone-sizeof-expression): pointers */
	if (!*at || b->targets.v[*at - 1]->kind == TARGET_PROGRAM)
		*at = b->targets.n;
	return t;
}

char *build_join(struct build *b, const char *dir, const char *word)
{
	char *full = xasprintf("%s%s%s", dir, *dir ? "/" : "", word), *out;
	struct buf path = {0};
	char *save = NULL, *part;

	buf_add(&path, "", 0);
	for (part = strtok_r(full, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		char *slash;

		if (!strcmp(part, "."))
			continue;
		if (!strcmp(part, "..")) {
			slash = path.n ? memrchr(path.s, '/', path.n) : NULL;
			path.n = slash ? slash - path.s : 0;
			continue;
		}
		if (path.n)
			buf_putc(&path, '/');
		buf_puts(&path, part);
	}
	out = arena_strndup(&b->arena, path.n ? path.s : "", path.n);
	buf_free(&path);
	free(full);
	return out;
}

u32 build_path(const struct build *b, const char *dir, const char *word)
{
	struct build *own = (struct build *)b; /* for its arena only */
	u32 file = tree_find(b->s->tree, build_join(own, dir, word));

	if (file != NO_FILE)
		return file;
	return *dir ? tree_find(b->s->tree, build_join(own, "", word)) : NO_FILE;
}

const char *build_text(struct build *b, u32 file, size_t *len)
{
	struct buf buf = {0};
	const char *text = tree_read(b->s->tree, &b->s->tree->files.v[file], &buf, len);
	char *copy = text ? arena_strndup(&b->arena, text, *len) : NULL;

	buf_free(&buf);
	return copy;
}

bool build_is_foreign(const char *text)
{
	static const char *const words[] = {"WIN32",   "WIN64",   "WINDOWS", "MINGW",
					    "CYGWIN",  "MSVC",    "DARWIN",  "APPLE",
					    "MACOS",   "FREEBSD", "SUNOS",   "SOLARIS",
					    "AIX",     "HPUX",    "ANDROID", "VMS",
					    "OPENBSD", "NETBSD",  "HAIKU",   "Windows",
					    "Darwin",  "MACOSX",  "OS2",     "BORLAND"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		const char *hit = strstr(text, words[i]);

		if (hit && (hit == text || !islower((u8)hit[-1])))
			return true;
	}
	return false;
}

static bool is_source(const char *s)
{
	static const char *const ends[] = {".c", ".S", ".s", ".cc", ".cpp", ".cxx"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ends); i++)
		if (has_suffix(s, ends[i]))
			return true;
	return false;
}

bool build_add_source(struct build *b, struct target *t, const char *dir, const char *word)
{
	size_t i;
	u32 file;

	if (!is_source(word))
		return false;
	file = build_path(b, dir, word);
	if (file == NO_FILE) {
		strings_add(b, &t->missing, word);
		return false;
	}
	for (i = 0; i < t->sources.n; i++)
		if (t->sources.v[i] == file) {
			t->maybe.v[i] &= b->conditional;
			return true;
		}
	vec_push(&t->sources, file);
	vec_push(&t->maybe, b->conditional);
	return true;
}

/* ---------------------------------------------------------------- flags ------------ */

static void add_dir(struct build *b, struct target *t, const char *dir, const char *word)
{
	strings_add(b, &t->incs, build_join(b, dir, word));
}

/* A word of the linker's flags that names a script: --version-script=F and the like. */
static void add_linker_word(struct build *b, struct target *t, const char *dir,
			    const char *word)
{
	const char *eq;

	while (*word == '"' || *word == '\'')
		word++;
	if (has_prefix(word, "--version-script") || has_prefix(word, "-version-script")) {
		eq = strchr(word, '=');
		if (eq && eq[1])
			strings_add(b, &t->scripts, build_join(b, dir, eq + 1));
		return;
	}
	if (has_prefix(word, "--dynamic-list") || *word == '-')
		return;
	u32 file = build_path(b, dir, word);

	if (file == NO_FILE) {
		char *in = xasprintf("%s.in", word);

		file = build_path(b, dir, in);
		free(in);
	}
	if (file != NO_FILE && (b->s->tree->files.v[file].kind == FILE_SCRIPT))
		strings_add(b, &t->scripts, build_join(b, dir, word));
}

static void add_wl(struct build *b, struct target *t, const char *dir, char *word)
{
	char *save = NULL, *part;
	bool script = false;

	for (part = strtok_r(word, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		if (script && *part != '-')
			strings_add(b, &t->scripts, build_join(b, dir, part));
		else
			add_linker_word(b, t, dir, part);
		script = has_suffix(part, "-version-script");
	}
}

/* The next word, quotes taken off, or NULL. Changes the text. */
static char *next_flag(char **text)
{
	char *p = *text, *out, *word;
	char quote = 0;

	while (isspace((u8)*p))
		p++;
	if (!*p)
		return NULL;
	for (word = out = p; *p && (quote || !isspace((u8)*p)); p++) {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\'' || p[1] == '$'))
			continue;
		if (quote ? *p == quote : *p == '"' || *p == '\'')
			quote = quote ? 0 : *p;
		else
			*out++ = *p;
	}
	*text = *p ? p + 1 : p;
	*out = '\0';
	return word;
}

void build_add_flags(struct build *b, struct target *t, const char *dir, const char *flags)
{
	char *copy = xstrdup(flags), *rest = copy, *word;

	while ((word = next_flag(&rest))) {
		if (has_prefix(word, "-D") && b->conditional)
			continue; /* the build decides, see cpp_mention() */
		if (has_prefix(word, "-D"))
			strings_add(b, &t->defs,
				    word[2]                     ? word + 2
				    : (word = next_flag(&rest)) ? word
								: "_");
		else if (has_prefix(word, "-I"))
			add_dir(b, t, dir,
				word[2]                     ? word + 2
				: (word = next_flag(&rest)) ? word
							    : ".");
		else if (!strcmp(word, "-isystem") || !strcmp(word, "-iquote") ||
			 !strcmp(word, "-idirafter"))
			add_dir(b, t, dir, (word = next_flag(&rest)) ? word : ".");
		else if (!strcmp(word, "-fvisibility=hidden") ||
			 !strcmp(word, "-fvisibility=internal") ||
			 !strcmp(word, "-xldscope=hidden"))
			t->hidden = 1;
		else if (!strcmp(word, "-export-symbols") && (word = next_flag(&rest)))
			strings_add(b, &t->lists, build_join(b, dir, word));
		else if (word && !strcmp(word, "-export-symbols-regex") &&
			 (word = next_flag(&rest)))
			strings_add(b, &t->regexes, word);
		else if (word && has_prefix(word, "-Wl,"))
			add_wl(b, t, dir, word + 4);
		else if (word && (has_prefix(word, "-Xlinker") || *word == ','))
			add_wl(b, t, dir, word);
		else if (word &&
			 (strchr(word, ',') || has_prefix(word, "--version-script")))
			add_wl(b, t, dir, word);
		if (!word)
			break;
	}
	free(copy);
}

/* ---------------------------------------------------------------- which system ----- */

static bool has_file(const struct build *b, const char *dir, const char *name)
{
	return tree_find(b->s->tree, build_join((struct build *)b, dir, name)) != NO_FILE;
}

/* Reads the folder's build system; false if it has none. */
static bool read_root(struct build *b, const char *dir)
{
	if (has_file(b, dir, "Makefile.am"))
		build_make(b, dir);
	else if (has_file(b, dir, "meson.build"))
		build_meson(b, dir);
	else if (has_file(b, dir, "build.info"))
		build_info(b, dir);
	else if (has_file(b, dir, "CMakeLists.txt"))
		build_cmake(b, dir);
	else if (has_file(b, dir, "Makefile") || has_file(b, dir, "GNUmakefile") ||
		 has_file(b, dir, "Makefile.in") || has_file(b, dir, "makefile"))
		build_make(b, dir);
	else
		return false;
	return true;
}

/* Folders without a build system hold others that have one. */
static void find_roots(struct build *b)
{
	const struct tree *t = b->s->tree;
	struct map done = {0};
	size_t i, n;

	for (i = 0; i < t->files.n; i++) {
		const char *path = t->files.v[i].path;
		char dir[2048];
		u32 *state;

		/* from the top down: the first folder with a build system reads all below
		 */
		for (n = 0;; n = strcspn(path + n + (n > 0), "/") + n + (n > 0)) {
			if (n && !path[n])
				break;
			if (n >= sizeof(dir))
				break;
			memcpy(dir, path, n);
			dir[n] = '\0';
			state = map_get(&done, hash_str(*dir ? dir : "."), 0);
			if (!*state)
				*state = read_root(b, dir) ? 2 : 1;
			if (*state == 2)
				break;
		}
	}
	map_free(&done);
}

struct build *build_read(struct scan *s)
{
	struct build *b = xcalloc(1, sizeof(*b));
	size_t i;

	b->s = s;
	find_roots(b);
	for (i = 0; i < s->tree->files.n; i++)
		if (s->tree->files.v[i].kind == FILE_BUILD &&
		    has_suffix(s->tree->files.v[i].path, "compile_commands.json"))
			build_commands(b, i);
	return b;
}

void build_free(struct build *b)
{
	size_t i;

	for (i = 0; i < b->targets.n; i++) {
		struct target *t = b->targets.v[i];

		free(t->defs.v);
		free(t->incs.v);
		free(t->scripts.v);
		free(t->lists.v);
		free(t->regexes.v);
		free(t->links.v);
		free(t->missing.v);
		free(t->sources.v);
		free(t->maybe.v);
	}
	vec_free(&b->targets);
	map_free(&b->index);
	free(b->macros.v);
	free(b->notes.v);
	arena_free(&b->arena);
	free(b);
}
