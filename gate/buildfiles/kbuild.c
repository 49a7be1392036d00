// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which module is each file of a kernel tree part of?
 *
 * Every Makefile and Kbuild is read for its object lists: obj-y, obj-m, obj-$(CONFIG_X),
 * lib-y and the parts of composite objects. An object that only ever follows a bool option
 * is built in; one that follows a tristate option may be a module and counts as one.
 */
#include <ctype.h>
#include <stdlib.h>

#include "kbuild.h"
#include "members.h"
#include "makevar.h"

struct kbuild {
	struct scan *s;
	struct map tristate; /* hash of the option's name */
	struct map options;  /* every option */
	struct makevars mv;
	const char *dir;
	u32 includes;
	char *defining; /* the variable whose "define" is being read */
	struct buf define;
	u8 *known;     /* per file: an object list names it */
	bool optional; /* what is added is not in every configuration of its module */
	u8 how;        /* it is listed: LISTED, LISTED_BY_SUBST */
};

/* ---------------------------------------------------------------- Kconfig ---------- */

static const char *word_after(const char *line, const char *end, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(end - line) <= n || memcmp(line, word, n) != 0 ||
	    !isspace((u8)line[n]))
		return NULL;
	for (line += n; line < end && (*line == ' ' || *line == '\t'); line++)
		;
	return line;
}

/* The text of a help goes on as long as it is indented as its first line is. */
static bool in_help(const char *line, const char *p, int *indent)
{
	int column = 0;

	for (; line < p; line++)
		column = *line == '\t' ? (column | 7) + 1 : column + 1;
	if (*indent < 0)
		*indent = column;
	return column && column >= *indent;
}

static bool is_word(const char *p, const char *nl, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(nl - p) >= n && !memcmp(p, word, n) &&
	       (p + n == nl || isspace((u8)p[n]));
}

static bool is_help(const char *p, const char *nl)
{
	return is_word(p, nl, "help") || is_word(p, nl, "---help---");
}

/* A line after which a type is no longer that of the option before it. */
static bool ends_option(const char *p, const char *nl)
{
	static const char *const words[] = {"choice",  "endchoice", "menu",
					    "endmenu", "if",        "endif",
					    "comment", "source",    "mainmenu"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (is_word(p, nl, words[i]))
			return true;
	return false;
}

static void read_kconfig(struct kbuild *k, const char *text, size_t len)
{
	const char *end = text + len, *nl, *p, *w;
	u64 option = 0;
	int help = 0; /* how far its text is indented, 0 = none is being read */

	for (; text < end; text = nl + 1) {
		nl = memchr(text, '\n', end - text);
		if (!nl)
			nl = end;
		for (p = text; p < nl && (*p == ' ' || *p == '\t'); p++)
			;
		if (help && (p == nl || *p == '\r' || in_help(text, p, &help)))
			continue;
		help = 0;
		if (is_help(p, nl)) {
			help = -1;
			continue;
		}
		if (ends_option(p, nl))
			option = 0;
		w = word_after(p, nl, "config");
		if (!w)
			w = word_after(p, nl, "menuconfig");
		if (w) {
			for (p = w; p < nl && (isalnum((u8)*p) || *p == '_'); p++)
				;
			option = hash_bytes(w, p - w);
			map_get(&k->options, option, 1);
		} else if (option && (size_t)(nl - p) >= 8 &&
			   (!memcmp(p, "tristate", 8) ||
			    (nl - p >= 12 && !memcmp(p, "def_tristate", 12)))) {
			map_get(&k->tristate, option, 1);
		}
	}
}

/*
 * What may follow "obj-" here: 'y' if the options in the text are all bool, else 'm'. An
 * option that no Kconfig knows may be anything, so it is taken for a module's.
 */
#define SUBST 's' /* in the image, whatever the option is */

static char class_of_text(struct kbuild *k, const char *s)
{
	char class = 'y';
	const char *p;
	u64 h;

	if (strstr(s, "subst m,y") || strstr(s, ":m=y"))
		return SUBST;
	while ((s = strstr(s, "CONFIG_"))) {
		s += 7;
		for (p = s; isalnum((u8)*p) || *p == '_'; p++)
			;
		h = hash_bytes(s, p - s);
		if (map_find(&k->tristate, h) || !map_find(&k->options, h))
			class = 'm';
	}
	return class;
}

/* ---------------------------------------------------------------- makefiles -------- */

static bool is_image_list(const char *base)
{
	return !strcmp(base, "obj") || !strcmp(base, "lib") || !strcmp(base, "extra");
}

/* "obj-$(CONFIG_X)" becomes obj-y or obj-m, "foo-$(CONFIG_X)" becomes foo-y. */
static char *canonical_name(struct kbuild *k, const char *raw)
{
	const char *dollar = strchr(raw, '$');
	size_t n = strlen(raw);
	struct buf b = {0};
	char *name;

	if (dollar && dollar > raw && dollar[-1] == '-') {
		name = xstrndup(raw, dollar - raw - 1);
		b.n = 0;
		buf_printf(&b, "%s-%c", name,
			   is_image_list(name) ? class_of_text(k, dollar) : 'y');
		free(name);
		return b.s;
	}
	buf_add(&b, "", 0);
	makevars_expand(&k->mv, &b, raw, n, 0);
	n = b.n;
	if (n > 2 && !strcmp(b.s + n - 2, "-m") && !(n == 5 && has_prefix(b.s, "obj")))
		b.s[n - 1] = 'y';
	return b.s;
}

static void read_makefile(struct kbuild *k, const char *text, size_t len, int depth);

/* Folds "a/../b" and drops "./". */
char *normal_path(const char *path)
{
	char *out = xcalloc(1, strlen(path) + 2), *at = out;
	size_t n;

	for (; *path; path += n) {
		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (!n || (n == 1 && *path == '.'))
			continue;
		if (n == 2 && !memcmp(path, "..", 2) && at > out) {
			while (at > out && *--at != '/')
				;
			*at = '\0';
			continue;
		}
		if (at > out)
			*at++ = '/';
		memcpy(at, path, n);
		at += n;
	}
	*at = '\0';
	return out;
}

static void include_one(struct kbuild *k, const char *name, int depth)
{
	char *path = normal_path(name);
	u32 file = tree_find(k->s->tree, path);
	struct buf b = {0};
	const char *text;
	size_t len;

	if (file != NO_FILE && depth < 6 && k->includes++ < 400) {
		text = tree_read(k->s->tree, &k->s->tree->files.v[file], &b, &len);
		if (text)
			read_makefile(k, text, len, depth + 1);
	}
	buf_free(&b);
	free(path);
}

static void read_include(struct kbuild *k, const char *s, int depth)
{
	struct buf b = {0};
	char *save = NULL, *w;

	buf_add(&b, "", 0);
	makevars_expand(&k->mv, &b, s, strlen(s), 0);
	for (w = strtok_r(b.s, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
		include_one(k, w, depth);
	buf_free(&b);
}

/* The assignment's operator in the line, outside parentheses; NULL if it is none. */
static char *find_assignment(char *s, char *op)
{
	int nest = 0;

	for (; *s; s++) {
		if (*s == '(' || *s == '{')
			nest++;
		else if (*s == ')' || *s == '}')
			nest--;
		if (nest)
			continue;
		if (*s == '=' || ((*s == '+' || *s == ':' || *s == '?') && s[1] == '=') ||
		    (*s == ':' && s[1] == ':' && s[2] == '=')) {
			*op = *s;
			return s;
		}
		if (*s == ':')
			return NULL;
	}
	return NULL;
}

static void read_assignment(struct kbuild *k, char *line, bool conditional)
{
	char op, *at = find_assignment(line, &op), *end, *value, *name;
	struct buf now = {0};

	if (!at)
		return;
	value = at + strspn(at, "+:?=");
	for (end = at; end > line && isspace((u8)end[-1]); end--)
		;
	*end = '\0';
	if (has_prefix(line, "override "))
		line += 9;
	if (strpbrk(line, " \t") && !strchr(line, '$'))
		return;
	name = canonical_name(k, line);
	value += strspn(value, " \t");
	if (op == ':') {
		makevars_expand(&k->mv, &now, value, strlen(value), 0);
		buf_add(&now, "", 0);
		value = now.s;
	}
	/* foo-$(CONFIG_X) is one of several that all mean foo-y */
	makevars_set(&k->mv, name, value, op == ':' ? '=' : op,
		     conditional || strstr(line, "CONFIG_"));
	free(name);
	buf_free(&now);
}

/* "define NAME" up to "endef" is a value of several lines. Returns true inside of it. */
static bool read_define(struct kbuild *k, const char *s)
{
	size_t n;

	if (k->defining && has_prefix(s, "endef")) {
		buf_putc(&k->define, '\0');
		makevars_set(&k->mv, k->defining, k->define.s, '=', false);
		free(k->defining);
		k->defining = NULL;
		k->define.n = 0;
		return true;
	}
	if (k->defining) {
		buf_puts(&k->define, s);
		buf_putc(&k->define, '\n');
		return true;
	}
	if (!has_prefix(s, "define "))
		return false;
	s += 7 + strspn(s + 7, " \t");
	n = strcspn(s, " \t=:");
	k->defining = xstrndup(s, n);
	return true;
}

static void eval_text(void *arg, const char *text, size_t len)
{
	read_makefile(arg, text, len, 5);
}

/* A line that is no assignment may still make some, by $(eval). */
static void run_line(struct kbuild *k, const char *s)
{
	struct buf b = {0};

	makevars_expand(&k->mv, &b, s, strlen(s), 0);
	buf_free(&b);
}

static void read_line(struct kbuild *k, char *line, int *cond, int depth)
{
	char *s = line + strspn(line, " \t"), *hash = strchr(s, '#');

	if (hash)
		*hash = '\0';
	if (read_define(k, s))
		return;
	if (has_prefix(s, "if") && (has_prefix(s, "ifeq") || has_prefix(s, "ifneq") ||
				    has_prefix(s, "ifdef") || has_prefix(s, "ifndef"))) {
		++*cond;
	} else if (has_prefix(s, "endif")) {
		*cond -= *cond > 0;
	} else if (has_prefix(s, "include ") || has_prefix(s, "-include ")) {
		read_include(k, strchr(s, ' ') + 1, depth);
	} else if (has_prefix(s, "$(") && strstr(s, "$(eval")) {
		run_line(k, s);
	} else if (*line != '\t' || strstr(s, "-y") || strstr(s, "obj")) {
		read_assignment(k, s, *cond > 0);
	}
}

static void read_makefile(struct kbuild *k, const char *text, size_t len, int depth)
{
	const char *end = text + len, *nl;
	struct buf line = {0};
	int cond = 0;

	for (; text < end; text = nl + 1) {
		size_t n;

		nl = memchr(text, '\n', end - text);
		if (!nl)
			nl = end;
		n = nl - text;
		n -= n && text[n - 1] == '\r';
		if (n && text[n - 1] == '\\') {
			buf_add(&line, text, n - 1);
			buf_putc(&line, ' ');
			continue;
		}
		buf_add(&line, text, n);
		read_line(k, line.s, &cond, depth);
		line.n = 0;
	}
	if (line.n)
		read_line(k, line.s, &cond, depth);
	buf_free(&line);
}

/* ---------------------------------------------------------------- objects ---------- */

static void add_object(struct kbuild *k, const char *object, u32 module, int depth);

/* "arch/x86/..." gives "x86" and its length, others NULL. */
static const char *arch_of(const char *path, size_t *n)
{
	if (!has_prefix(path, "arch/"))
		return NULL;
	*n = strcspn(path + 5, "/");
	return path + 5;
}

/* A source of one architecture that this makefile, of another one, names. */
static void note_foreign(struct kbuild *k, u32 file)
{
	size_t n, m;
	const char *own = arch_of(k->dir, &n);
	const char *its = arch_of(k->s->tree->files.v[file].path, &m);

	if (own && its && (n != m || memcmp(own, its, n) != 0))
		scan_add_foreign(k->s, file, k->dir);
}

/* obj-y += ../../arm/xen/ */
static void add_foreign_folder(struct kbuild *k, const char *folder)
{
	char *rel = xasprintf("%s/%s", k->dir, folder), *path = normal_path(rel);
	size_t n = strlen(path), i;

	if (has_prefix(folder, "../") && has_prefix(path, "arch/"))
		for (i = 0; i < k->s->tree->files.n; i++) {
			const struct file *f = &k->s->tree->files.v[i];

			if (!strncmp(f->path, path, n) && f->path[n] == '/')
				note_foreign(k, i);
		}
	free(rel);
	free(path);
}

/* The list's value, or NULL if it names nothing. The caller frees it. */
static char *expanded(struct kbuild *k, const char *value)
{
	struct buf b = {0};

	if (!value)
		return NULL;
	buf_add(&b, "", 0);
	makevars_expand(&k->mv, &b, value, strlen(value), 0);
	if (b.s[strspn(b.s, " \t\n")])
		return b.s;
	buf_free(&b);
	return NULL;
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	const char *p;

	for (p = list; p && (p = strstr(p, word)); p += n)
		if ((p == list || isspace((u8)p[-1])) && (!p[n] || isspace((u8)p[n])))
			return true;
	return false;
}

/* `always` (may be NULL): what of the list every configuration has. */
static void add_list(struct kbuild *k, char *list, const char *always, u32 module,
		     int depth)
{
	char *save = NULL, *w;
	bool outer = k->optional;

	for (w = strtok_r(list, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save)) {
		k->optional = outer || !has_word(always, w);
		if (has_suffix(w, ".o"))
			add_object(k, w, module, depth);
		else if (has_suffix(w, "/") && module == MODULE_BUILTIN)
			add_foreign_folder(k, w);
	}
	k->optional = outer;
}

static bool add_source(struct kbuild *k, const char *stem, u32 module)
{
	static const char *const suffixes[] = {".c", ".S", ".rs", ".c_shipped",
					       ".S_shipped"};
	bool found = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char *rel = xasprintf("%s/%s%s", k->dir, stem, suffixes[i]);
		char *path = normal_path(rel);
		u32 file = tree_find(k->s->tree, path);

		if (file != NO_FILE) {
			scan_add_member(k->s, file, module);
			note_foreign(k, file);
			k->known[file] |= k->how;
			k->s->optional[file] |= k->optional;
			found = true;
		}
		free(rel);
		free(path);
	}
	return found;
}

static void add_object(struct kbuild *k, const char *object, u32 module, int depth)
{
	char *stem = xstrndup(object, strlen(object) - 2);
	static const char *const kinds[] = {"y", "objs"};
	bool composite = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *name = xasprintf("%s-%s", stem, kinds[i]);
		char *list = expanded(k, makevars_get(&k->mv, name));
		char *always = expanded(k, makevars_always(&k->mv, name));

		if (list && depth < 4)
			add_list(k, list, always, module, depth + 1);
		composite |= list != NULL;
		free(name);
		free(list);
		free(always);
	}
	if (!composite)
		add_source(k, stem, module);
	free(stem);
}

static void add_modules(struct kbuild *k)
{
	const char *list = makevars_get(&k->mv, "obj-m");
	struct buf b = {0};
	char *save = NULL, *w;

	if (!list)
		return;
	buf_add(&b, "", 0);
	makevars_expand(&k->mv, &b, list, strlen(list), 0);
	for (w = strtok_r(b.s, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		char *name, *path;

		if (!has_suffix(w, ".o"))
			continue;
		k->optional = false;
		name = xasprintf("%s/%.*s", k->dir, (int)strlen(w) - 2, w);
		path = normal_path(name);
		add_object(k, w, scan_module(k->s, path, false), 0);
		free(name);
		free(path);
	}
	buf_free(&b);
}

static void give_up(struct kbuild *k, const char *path)
{
	vec_push(
		&k->s->given_up,
		arena_printf(&k->s->arena,
			     "%s: its variables expand to more than is followed, so who is "
			     "in which module is not known there; simplify it",
			     path));
}

static void read_folder(struct kbuild *k, const struct file *f)
{
	static const char *const lists[] = {"obj-y",   "lib-y", "lib-m",
					    "extra-y", "obj-s", "lib-s"};
	const char *slash = strrchr(f->path, '/'), *text;
	struct buf b = {0};
	size_t len, i;
	char *list;

	k->dir = slash ? xstrndup(f->path, slash - f->path) : xstrdup(".");
	k->mv.dir = k->dir;
	k->includes = 0;
	text = tree_read(k->s->tree, f, &b, &len);
	if (text)
		read_makefile(k, text, len, 0);
	k->how = LISTED;
	add_modules(k);
	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		list = expanded(k, makevars_get(&k->mv, lists[i]));
		k->how = LISTED | (has_suffix(lists[i], "-s") ? LISTED_BY_SUBST : 0);
		if (list)
			add_list(k, list, list, MODULE_BUILTIN, 0);
		free(list);
	}
	if (k->mv.given_up)
		give_up(k, f->path);
	makevars_free(&k->mv);
	free(k->defining);
	k->defining = NULL;
	buf_free(&k->define);
	free((char *)k->dir);
	buf_free(&b);
}

void kbuild_members(struct scan *s)
{
	struct kbuild k = {.s = s, .mv = {.eval = eval_text}};
	struct buf b = {0};
	const char *text;
	size_t i, len;

	k.mv.eval_arg = &k;
	k.mv.tree = s->tree;
	k.known = xcalloc(s->tree->files.n + 1, 1);
	s->listed = k.known;
	s->optional = xcalloc(s->tree->files.n + 1, 1);
	for (i = 0; i < s->tree->files.n; i++) {
		if (s->tree->files.v[i].kind != FILE_KCONFIG)
			continue;
		text = tree_read(s->tree, &s->tree->files.v[i], &b, &len);
		if (text)
			read_kconfig(&k, text, len);
	}
	for (i = 0; i < s->tree->files.n; i++) {
		const char *path = s->tree->files.v[i].path;
		const char *base = strrchr(path, '/');

		base = base ? base + 1 : path;
		if (!strcmp(base, "Makefile") || !strcmp(base, "Kbuild"))
			read_folder(&k, &s->tree->files.v[i]);
	}
	kbuild_adopt(s, k.known);
	map_free(&k.tristate);
	map_free(&k.options);
	buf_free(&b);
}
