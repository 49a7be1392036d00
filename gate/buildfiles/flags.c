// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where do the sources of a folder find headers, beyond what all of a kernel's do?
 *
 * Any variable of a folder's makefile that holds -I or -include counts for the sources of
 * that folder and of those below it. What configuration it stands in is not asked.
 */
#include <ctype.h>
#include <stdlib.h>

#include "kbuild.h"
#include "makevar.h"
#include "members.h"

struct flags {
	struct scan *s;
	struct makevars mv;
	const char *folder;
	VEC(char *) values; /* those that may hold a flag */
};

static void add_dir(struct flags *f, const char *dir, size_t n)
{
	struct scan *s = f->s;
	char *raw = xstrndup(dir, n), *path = normal_path(raw);
	u32 *last = map_get(&s->dirs_of, hash_str(f->folder), 0);
	struct include_dir d = {arena_strndup(&s->arena, path, strlen(path)), *last};

	vec_push(&s->include_dirs, d);
	*last = s->include_dirs.n;
	free(raw);
	free(path);
}

/* "-Idir", "-I dir", "-include header". */
static void read_words(struct flags *f, const char *p)
{
	bool takes_next = false;
	size_t n, skip;

	for (; *p; p += n) {
		p += strspn(p, " \t\n");
		n = strcspn(p, " \t\n");
		skip = n > 8 && has_prefix(p, "-include=") ? 9 : 2;
		if (!n)
			break;
		if (takes_next) {
			add_dir(f, p, n);
			takes_next = false;
		} else if ((n == 2 && has_prefix(p, "-I")) ||
			   (n == 8 && has_prefix(p, "-include")) ||
			   (n == 8 && has_prefix(p, "-isystem")) ||
			   (n == 7 && has_prefix(p, "-iquote"))) {
			takes_next = true;
		} else if (n > skip && has_prefix(p, "-I")) {
			add_dir(f, p + 2, n - 2);
		}
	}
}

static void read_assignment(struct flags *f, char *line)
{
	char *eq = strchr(line, '='), *end, *name;

	if (!eq || *line == '#')
		return;
	for (end = eq; end > line && strchr("+:? \t", end[-1]);)
		end--;
	name = xstrndup(line, end - line);
	eq += 1 + strspn(eq + 1, " \t");
	if (strpbrk(name, " \t$()") == NULL)
		makevars_set(&f->mv, name, eq, '+', true);
	if (strstr(eq, "-I") || strstr(eq, "-i"))
		vec_push(&f->values, xstrdup(eq));
	free(name);
}

static void read_lines(struct flags *f, const char *text, size_t len)
{
	const char *end = text + len, *nl;
	struct buf line = {0};
	size_t n;

	for (; text < end; text = nl + 1) {
		nl = memchr(text, '\n', end - text);
		if (!nl)
			nl = end;
		n = nl - text;
		n -= n && text[n - 1] == '\r';
		buf_add(&line, text, n);
		if (n && text[n - 1] == '\\' && nl < end) {
			line.s[line.n - 1] = ' ';
			continue;
		}
		buf_add(&line, "", 0);
		read_assignment(f, line.s);
		line.n = 0;
	}
	buf_free(&line);
}

static void read_flags(struct flags *f, const struct file *file)
{
	const char *slash = strrchr(file->path, '/'), *text;
	struct buf b = {0}, out = {0};
	size_t len, i;

	text = tree_read(f->s->tree, file, &b, &len);
	if (text && (memmem(text, len, "-I", 2) || memmem(text, len, "-include", 8))) {
		f->folder = slash ? xstrndup(file->path, slash - file->path) : xstrdup("");
		f->mv.dir = *f->folder ? f->folder : ".";
		makevars_set(&f->mv, "srctree", "", '=', false);
		makevars_set(&f->mv, "objtree", "", '=', false);
		read_lines(f, text, len);
		for (i = 0; i < f->values.n; i++) {
			out.n = 0;
			buf_add(&out, "", 0);
			makevars_expand(&f->mv, &out, f->values.v[i],
					strlen(f->values.v[i]), 0);
			read_words(f, out.s);
			free(f->values.v[i]);
		}
		vec_free(&f->values);
		makevars_free(&f->mv);
		free((char *)f->folder);
	}
	buf_free(&b);
	buf_free(&out);
}

void kbuild_include_dirs(struct scan *s)
{
	struct flags f = {.s = s};
	size_t i;

	for (i = 0; i < s->tree->files.n; i++) {
		const char *base = strrchr(s->tree->files.v[i].path, '/');

		base = base ? base + 1 : s->tree->files.v[i].path;
		/* the root's say what all sources have */
		if (base != s->tree->files.v[i].path &&
		    (!strcmp(base, "Makefile") || !strcmp(base, "Kbuild")))
			read_flags(&f, &s->tree->files.v[i]);
	}
}
