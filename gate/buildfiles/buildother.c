// SPDX-License-Identifier: GPL-2.0-or-later
/* What do OpenSSL's build.info files and a compile_commands.json say of the targets? */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>

#include "build.h"

/* ---------------------------------------------------------------- build.info ------- */

struct info {
	struct build *b;
	const char *root, *dir;
	int conds;
	VEC(char *) names; /* variables and their values */
	VEC(char *) values;
};

/* Without "{- perl -}", and with $NAME put in. */
static char *expand(const struct info *x, const char *s, int depth)
{
	struct buf out = {0};
	size_t n, i;

	buf_add(&out, "", 0);
	for (; *s && out.n < (1u << 20); s++) {
		if (has_prefix(s, "{-")) {
			const char *end = strstr(s, "-}");

			s = end ? end + 1 : s + strlen(s) - 1;
			continue;
		}
		if (*s != '$' || depth > 10) {
			buf_putc(&out, *s);
			continue;
		}
		n = s[1] == '{' ? strcspn(s, "}") - 2 : 0;
		while (s[1] != '{' && (isalnum((u8)s[1 + n]) || s[1 + n] == '_'))
			n++;
		s += 1 + (s[1] == '{');
		for (i = x->names.n; i-- > 0;)
			if (strlen(x->names.v[i]) == n && !memcmp(x->names.v[i], s, n)) {
				char *v = expand(x, x->values.v[i], depth + 1);

				buf_puts(&out, v);
				free(v);
				break;
			}
		s += n - (s[n] != '}');
	}
	return out.s;
}

static char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *s = xstrdup(slash ? slash + 1 : path);

	if (has_suffix(s, ".a"))
		s[strlen(s) - 2] = '\0';
	return s;
}

static void declare_targets(struct info *x, char *list, enum target_kind kind)
{
	char *save = NULL, *w;

	for (w = strtok_r(list, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		char *name = base_name(w);
		struct target *t = build_find(x->b, name);
		enum target_kind k = has_suffix(w, ".a") ? TARGET_STATIC : kind;

		/* both "libx" and "libx.a": the archive of it is another target */
		if (t && k == TARGET_STATIC && t->kind == TARGET_SHARED) {
			free(name);
			continue;
		}
		if (!t)
			t = build_target(x->b, x->root, name, k);
		else if (t->kind == TARGET_OBJECTS)
			t->kind = k;
		strings_add(x->b, &t->incs, x->root);
		strings_add(x->b, &t->incs, build_join(x->b, x->root, "include"));
		free(name);
	}
}

static void info_words(struct info *x, struct target *t, const char *what, char *list)
{
	char *save = NULL, *w;

	for (w = strtok_r(list, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		if (has_suffix(what, "SOURCE")) {
			x->b->conditional = x->conds > 0;
			build_add_source(x->b, t, x->dir, w);
			x->b->conditional = false;
		} else if (!strcmp(what, "DEFINE")) {
			strings_add(x->b, &t->defs, w);
		} else if (!strcmp(what, "INCLUDE")) {
			strings_add(x->b, &t->incs, build_join(x->b, x->dir, w));
		} else if (!strcmp(what, "DEPEND")) {
			char *name = base_name(w);

			strings_add(x->b, &t->links, name);
			free(name);
		}
	}
}

/* SOURCE[../libx]=a.c b.c, GENERATE[libx.ld]=util/libx.num */
static void indexed_line(struct info *x, const char *what, const char *index, char *value)
{
	char *name = base_name(index);
	struct target *t;

	if (!strcmp(what, "GENERATE")) {
		char *dot = strrchr(name, '.');

		value[strcspn(value, " \t")] = '\0';
		if (dot && !strcmp(dot, ".ld") && has_suffix(value, ".num")) {
			*dot = '\0';
			t = build_find(x->b, name);
			if (t)
				strings_add(x->b, &t->lists,
					    build_join(x->b, x->dir, value));
		}
	} else {
		t = build_find(x->b, name);
		if (!t)
			t = build_target(x->b, x->root, name, TARGET_OBJECTS);
		info_words(x, t, what, value);
	}
	free(name);
}

static void run_info(struct info *x, const char *dir, int depth);

static void info_line(struct info *x, char *line, int depth)
{
	char *eq, *value, *index, *close, *save = NULL, *w;

	line += strspn(line, " \t");
	if (has_prefix(line, "IF["))
		x->conds++;
	else if (has_prefix(line, "ENDIF"))
		x->conds -= x->conds > 0;
	eq = strchr(line, '=');
	if (!eq || has_prefix(line, "IF[") || has_prefix(line, "ELSIF["))
		return;
	*eq = '\0';
	for (w = eq; w > line && isspace((u8)w[-1]);)
		*--w = '\0';
	value = expand(x, eq + 1, 0);
	index = strchr(line, '[');
	if (*line == '$') {
		vec_push(&x->names,
			 arena_strndup(&x->b->arena, line + 1, strlen(line + 1)));
		vec_push(&x->values, arena_strndup(&x->b->arena, value, strlen(value)));
	} else if (index) {
		char *full;

		*index++ = '\0';
		close = strrchr(index, ']');
		if (close)
			*close = '\0';
		full = expand(x, index, 0);
		indexed_line(x, line, full, value);
		free(full);
	} else {
		line[strcspn(line, "{")] = '\0';
		if (!strcmp(line, "LIBS") || !strcmp(line, "MODULES") ||
		    !strcmp(line, "PROGRAMS"))
			declare_targets(x, value,
					*line == 'P' ? TARGET_PROGRAM : TARGET_SHARED);
		else if (!strcmp(line, "SUBDIRS"))
			for (w = strtok_r(value, " \t", &save); w;
			     w = strtok_r(NULL, " \t", &save))
				run_info(x, build_join(x->b, x->dir, w), depth + 1);
	}
	free(value);
}

static void run_info(struct info *x, const char *dir, int depth)
{
	u32 file = tree_find(x->b->s->tree, build_join(x->b, dir, "build.info"));
	const char *outer = x->dir, *text, *nl, *end;
	struct buf line = {0};
	int conds = x->conds;
	size_t len;

	if (file == NO_FILE || depth > 20)
		return;
	text = build_text(x->b, file, &len);
	end = text ? text + len : NULL;
	x->dir = dir;
	for (; text && text < end; text = nl + 1) {
		nl = memchr(text, '\n', end - text);
		nl = nl ? nl : end;
		buf_add(&line, text, nl - text);
		if (line.n && line.s[line.n - 1] == '\\') {
			line.s[line.n - 1] = ' ';
			continue;
		}
		if (line.n) {
			line.s[strcspn(line.s, "#")] = '\0';
			info_line(x, line.s, depth);
		}
		line.n = 0;
	}
	buf_free(&line);
	x->conds = conds;
	x->dir = outer;
}

void build_info(struct build *b, const char *root)
{
	struct info x = {.b = b, .root = root, .dir = root};

	run_info(&x, root, 0);
	vec_free(&x.names);
	vec_free(&x.values);
}

/* ---------------------------------------------------------------- compile_commands - */

/* An absolute path of the machine that built: what of it lies in the tree. */
static u32 find_absolute(const struct build *b, const char *path)
{
	u32 file;

	for (; path; path = strchr(path + 1, '/')) {
		file = tree_find(b->s->tree, path + (*path == '/'));
		if (file != NO_FILE)
			return file;
	}
	return NO_FILE;
}

/* ".../libx.so.1.p/a.c.o" and ".../x.dir/a.c.o" name their target. */
static char *target_of_output(const char *output, enum target_kind *kind)
{
	const char *end = strstr(output, ".p/"), *from, *dot;
	char *name;

	if (!end)
		end = strstr(output, ".dir/");
	if (!end)
		return NULL;
	for (from = end; from > output && from[-1] != '/'; from--)
		;
	name = xstrndup(from, end - from);
	*kind = strstr(name, ".so")      ? TARGET_SHARED
		: has_suffix(name, ".a") ? TARGET_STATIC
					 : TARGET_PROGRAM;
	dot = strstr(name, ".so");
	if (!dot && has_suffix(name, ".a"))
		dot = strrchr(name, '.');
	if (dot)
		name[dot - name] = '\0';
	if (dot && has_prefix(name, "lib"))
		memmove(name, name + 3, strlen(name) - 2);
	return name;
}

static void take_flags(struct build *b, struct target *t, const char *flags)
{
	char *copy = xstrdup(flags), *save = NULL, *w;

	for (w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		const char *path = has_prefix(w, "-I") ? w + 2 : NULL;

		if (!path) {
			if (has_prefix(w, "-D") || has_prefix(w, "-fvis"))
				build_add_flags(b, t, "", w);
			continue;
		}
		/* the folder is known by a file that lies in it: by its end */
		for (; path && *path; path = strchr(path + 1, '/'))
			strings_add(b, &t->incs, path + (*path == '/'));
	}
	free(copy);
}

static void take_command(struct build *b, const json_t *one)
{
	const char *file = json_string_value(json_object_get(one, "file"));
	const char *output = json_string_value(json_object_get(one, "output"));
	const char *flags = json_string_value(json_object_get(one, "command"));
	enum target_kind kind;
	struct target *t;
	char *name;
	u32 source;

	if (!file || !flags)
		return;
	if (!output)
		output = strstr(flags, " -o ") ? strstr(flags, " -o ") + 4 : "";
	source = find_absolute(b, file);
	name = target_of_output(output, &kind);
	if (source == NO_FILE || !name) {
		free(name);
		return;
	}
	t = build_find(b, name);
	if (!t)
		t = build_target(b, "", name, kind);
	build_add_source(b, t, "", b->s->tree->files.v[source].path);
	take_flags(b, t, flags);
	free(name);
}

void build_commands(struct build *b, u32 file)
{
	size_t len, i;
	const char *text = build_text(b, file, &len);
	json_t *root = text ? json_loadb(text, len, 0, NULL) : NULL;

	if (!json_is_array(root))
		build_note(b, "%s is no array of JSON: nothing of it counts",
			   b->s->tree->files.v[file].path);
	for (i = 0; i < json_array_size(root); i++)
		take_command(b, json_array_get(root, i));
	json_decref(root);
}
