// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which target of a C project is each source part of?
 *
 * The policy's [modules] say it first, then the build files, see build.h: a source of
 * several targets is part of each. What none of them names is grouped by folder.
 */
#include <stdlib.h>

#include "build.h"
#include "members.h"

struct members {
	struct scan *s;
	u8 *known;
};

static void add_by_policy(struct members *m)
{
	size_t i;

	for (i = 0; i < m->s->tree->files.n; i++) {
		const char *name =
			pairs_match(&m->s->policy->modules, m->s->tree->files.v[i].path);

		if (!name)
			continue;
		scan_add_member(m->s, i, scan_module(m->s, name, false));
		m->known[i] = 2;
	}
}

/* An archive that only becomes a part of one library is that library. */
static const struct target *home_of(const struct build *b, const struct target *t)
{
	const struct target *home = NULL;
	size_t i, k;

	if (t->kind == TARGET_SHARED || t->kind == TARGET_PROGRAM || t->installed)
		return t;
	for (i = 0; i < b->targets.n; i++)
		for (k = 0; k < b->targets.v[i]->links.n; k++) {
			if (build_find(b, b->targets.v[i]->links.v[k]) != t)
				continue;
			if (home)
				return t;
			home = b->targets.v[i];
		}
	return home && home != t ? home : t;
}

static void add_target(struct members *m, const struct target *t, const struct target *home)
{
	u32 module;
	size_t i;

	if (!t->sources.n)
		return;
	module = scan_module(m->s, home->name, false);
	for (i = 0; i < t->sources.n; i++) {
		u32 file = t->sources.v[i];

		if (m->known[file] == 2)
			continue;
		scan_add_member(m->s, file, module);
		m->known[file] = 1;
	}
}

static void add_linked(struct members *m, const struct build *b, const struct target *t,
		       const struct target *home, int depth)
{
	size_t i;

	add_target(m, t, home);
	for (i = 0; depth < 8 && i < t->links.n; i++) {
		const struct target *other = build_find(b, t->links.v[i]);

		if (other && other != t &&
		    (other->kind == TARGET_STATIC || other->kind == TARGET_OBJECTS))
			add_linked(m, b, other, home, depth + 1);
	}
}

static void add_by_build(struct members *m, const struct build *b)
{
	size_t i;

	/* what is linked into a library or a program is a part of it */
	for (i = 0; i < b->targets.n; i++)
		if (b->targets.v[i]->kind == TARGET_SHARED)
			add_linked(m, b, b->targets.v[i], b->targets.v[i], 0);
	for (i = 0; i < b->targets.n; i++)
		if (b->targets.v[i]->kind == TARGET_PROGRAM)
			add_target(m, b->targets.v[i], b->targets.v[i]);
	for (i = 0; i < b->targets.n; i++) {
		const struct target *t = b->targets.v[i];

		if (t->kind != TARGET_STATIC && t->kind != TARGET_OBJECTS)
			continue;
		if (t->sources.n && m->known[t->sources.v[0]] != 1)
			add_target(m, t, home_of(b, t));
	}
}

static void add_by_folder(struct members *m)
{
	size_t i;

	for (i = 0; i < m->s->tree->files.n; i++) {
		const struct file *f = &m->s->tree->files.v[i];
		const char *slash = strrchr(f->path, '/');
		char *dir;

		if (m->known[i] ||
		    (f->kind != FILE_C && f->kind != FILE_ASM && f->kind != FILE_CXX))
			continue;
		dir = slash ? xstrndup(f->path, slash - f->path) : xstrdup(".");
		scan_add_member(m->s, i, scan_module(m->s, dir, false));
		free(dir);
	}
}

void library_members(struct scan *s)
{
	struct members m = {.s = s};

	m.known = xcalloc(s->tree->files.n + 1, 1);
	add_by_policy(&m);
	s->build = build_read(s);
	add_by_build(&m, s->build);
	add_by_folder(&m);
	free(m.known);
}
