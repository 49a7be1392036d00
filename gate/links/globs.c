// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What may a macro mean that pastes a name from a known beginning and an unknown end?
 *
 * CONCATENATE(strscpy_, COUNT_ARGS(...)) is the usual way to give a macro optional
 * arguments. Its name is kept as "strscpy_*", and here that becomes another name of
 * everything in headers, and of every export, that begins so: a file that sees one of them
 * is taken to use it.
 */
#include <stdlib.h>

#include "link.h"

struct glob {
	const char *text; /* with the '*' */
	size_t len;       /* without */
};

struct globs {
	VEC(struct glob) v;
	struct map known;
	u64 first[4]; /* the characters that they begin with */
};

static void add_glob(struct globs *g, const char *text)
{
	struct glob one = {.text = text, .len = strlen(text) - 1};
	u32 *seen = map_get(&g->known, hash_str(text), 0);

	if (*seen)
		return;
	*seen = 1;
	g->first[(u8)*text / 64] |= 1ull << ((u8)*text % 64);
	vec_push(&g->v, one);
}

/* No parameter is left in it, and only its end is open. */
static bool is_glob(const char *name)
{
	const char *p;

	for (p = name; *p && (u8)*p < 0x80 && *p != '*'; p++)
		;
	return *p == '*' && !p[1] && p > name;
}

static const struct glob *next_match(const struct globs *g, const char *name, size_t *i)
{
	if (!((g->first[(u8)*name / 64] >> ((u8)*name % 64)) & 1))
		return NULL;
	while (*i < g->v.n) {
		const struct glob *one = &g->v.v[(*i)++];

		if (!strncmp(name, one->text, one->len))
			return one;
	}
	return NULL;
}

static void add_def_matches(struct scan *s, const struct globs *g, size_t def)
{
	struct def d = s->defs.v[def];
	const char *name = facts_str(&s->tree->files.v[d.file].facts, d.str);
	const struct glob *one;
	size_t i = 0;
	u64 *target;

	while (d.kind != DEF_MADE && (one = next_match(g, name, &i))) {
		target = arena_alloc(&s->arena, sizeof(*target));
		*target = d.name;
		d.name = hash_str(one->text);
		d.body = NULL;
		d.nbody = 0;
		d.extra = target;
		d.nextra = 1;
		vec_push(&s->defs, d);
		d.name = *target;
	}
}

void linker_add_globs(struct linker *l)
{
	struct scan *s = l->s;
	const struct template_list *list;
	const struct glob *one;
	struct globs g = {0};
	size_t i, k, n = s->defs.n;

	for (i = 0; i < s->templates.lists.n; i++) {
		list = &s->templates.lists.v[i];
		for (k = 0; k < list->n; k++)
			if (list->t[k].kind == MAKES_USE && is_glob(list->t[k].name))
				add_glob(&g, list->t[k].name);
	}
	for (i = 0; g.v.n && i < n; i++)
		add_def_matches(s, &g, i);
	for (i = 0; g.v.n && i < s->exports.n; i++)
		for (k = 0; (one = next_match(&g, s->exports.v[i].name, &k));)
			linker_add_name(l, hash_str(one->text), EDGE_EXPORT,
					s->exports.v[i].name_id);
	vec_free(&g.v);
	map_free(&g.known);
}
