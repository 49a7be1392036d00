// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What do meson's build files build?
 *
 * They are run: variables, lists, loops and subdir() as meson does, and every branch of a
 * condition, because nobody knows the configuration.
 */
#include <ctype.h>
#include <stdlib.h>

#include "meson.h"

#define MAX_STEPS 4000000

/* ---------------------------------------------------------------- targets ---------- */

static const char *plain_path(const char *s, const char **dir)
{
	const char *hit = NULL, *p = s;

	while ((p = strstr(p, MESON_ROOT)))
		hit = p, p++;
	if (!hit)
		return s;
	*dir = "";
	return hit + strlen(MESON_ROOT);
}

static void add_sources(struct meson *m, struct target *t, const struct mval *v, int depth)
{
	const char *dir = m->dir;
	size_t i;

	if (!v || depth > 8)
		return;
	m->b->conditional = m->conds > 0 || m->rest;
	if (v->kind == M_STRING) {
		const char *path = plain_path(v->s, &dir);

		build_add_source(m->b, t, dir, path);
	} else if (v->kind == M_TARGET) {
		strings_add(m->b, &t->links, v->s);
	} else if (v->kind == M_LIST) {
		for (i = 0; i < v->n; i++)
			add_sources(m, t, v->v[i], depth + 1);
	}
	m->b->conditional = false;
}

static void add_includes(struct meson *m, struct target *t, const struct mval *v, int depth)
{
	const char *dir = m->dir;
	size_t i;

	if (!v || depth > 8)
		return;
	if (v->kind == M_STRING) {
		const char *path = plain_path(v->s, &dir);

		strings_add(m->b, &t->incs, build_join(m->b, dir, path));
	}
	for (i = 0; v->kind == M_LIST && i < v->n; i++)
		add_includes(m, t, v->v[i], depth + 1);
}

static void add_flags(struct meson *m, struct target *t, const struct mval *v, int depth)
{
	const char *dir = m->dir;
	size_t i;

	if (!v || depth > 8)
		return;
	if (v->kind == M_STRING && has_prefix(v->s, "-D")) {
		strings_add(m->b, &t->defs, v->s + 2);
	} else if (v->kind == M_STRING) {
		const char *root = strstr(v->s, MESON_ROOT);
		char *flag = xstrdup(v->s);

		if (root) {
			const char *path = plain_path(v->s, &dir);

			snprintf(flag, strlen(v->s) + 1, "%.*s%s", (int)(root - v->s), v->s,
				 path);
		}
		build_add_flags(m->b, t, dir, flag);
		free(flag);
	}
	for (i = 0; v->kind == M_LIST && i < v->n; i++)
		add_flags(m, t, v->v[i], depth + 1);
}

static void add_links(struct meson *m, struct target *t, const struct mval *v, int depth)
{
	size_t i;

	if (!v || depth > 8)
		return;
	if (v->kind == M_TARGET)
		strings_add(m->b, &t->links, v->s);
	for (i = 0; v->kind == M_LIST && i < v->n; i++)
		add_links(m, t, v->v[i], depth + 1);
}

/* What a dependency brings: only if it is one of the tree's own. */
static void add_dependencies(struct meson *m, struct target *t, const struct mval *v,
			     int depth)
{
	size_t i;

	if (!v || depth > 8)
		return;
	if (v->kind == M_DEP) {
		add_includes(m, t, mval_named(v, "include_directories"), 0);
		add_links(m, t, mval_named(v, "link_whole"), 0);
		add_links(m, t, mval_named(v, "link_with"), 0);
		add_sources(m, t, mval_named(v, "sources"), 0);
		add_flags(m, t, mval_named(v, "compile_args"), 0);
		add_dependencies(m, t, mval_named(v, "dependencies"), depth + 1);
	}
	for (i = 0; v->kind == M_LIST && i < v->n; i++)
		add_dependencies(m, t, v->v[i], depth + 1);
}

static struct mval *make_target(struct meson *m, const struct mval *args,
				enum target_kind kind)
{
	const struct mval *hide = mval_named(args, "gnu_symbol_visibility"), *def;
	struct mval *v = mval_new(m, M_TARGET);
	struct target *t;
	size_t i;

	if (!args->n || args->v[0]->kind != M_STRING || m->skip)
		return mval_new(m, M_NONE);
	t = build_target(m->b, m->dir, args->v[0]->s, kind);
	t->file = m->file;
	t->line = m->line;
	t->installed |= mval_named(args, "install") != NULL;
	for (i = 1; i < args->n; i++)
		if (!args->key[i])
			add_sources(m, t, args->v[i], 0);
	add_sources(m, t, mval_named(args, "sources"), 0);
	add_sources(m, t, mval_named(args, "objects"), 0);
	strings_add(m->b, &t->incs, m->dir);
	strings_add(m->b, &t->incs, m->root);
	add_includes(m, t, mval_named(args, "include_directories"), 0);
	add_flags(m, t, mval_named(args, "c_args"), 0);
	add_flags(m, t, mval_named(args, "link_args"), 0);
	def = mval_named(args, "vs_module_defs");
	for (i = 0; i < m->args.n; i++)
		build_add_flags(m->b, t, m->dir, m->args.v[i]);
	add_links(m, t, mval_named(args, "link_with"), 0);
	add_links(m, t, mval_named(args, "link_whole"), 0);
	add_dependencies(m, t, mval_named(args, "dependencies"), 0);
	if (hide && (!strcmp(hide->s, "hidden") || !strcmp(hide->s, "internal")))
		t->hidden = 1;
	if (def && def->kind == M_NONE)
		t->line = m->line;
	v->s = t->name;
	return v;
}

/* ---------------------------------------------------------------- functions -------- */

static struct mval *with_dir(struct meson *m, const struct mval *args)
{
	struct mval *list = mval_new(m, M_LIST);
	size_t i, k;

	for (i = 0; i < args->n; i++) {
		const struct mval *v = args->v[i];

		if (args->key[i])
			continue;
		for (k = 0; k < (v->kind == M_LIST ? v->n : 1); k++) {
			const struct mval *one = v->kind == M_LIST ? v->v[k] : v;

			if (one->kind == M_STRING)
				mval_push(m, list, NULL,
					  strstr(one->s, MESON_ROOT)
						  ? (struct mval *)one
						  : mval_string(m,
								arena_printf(&m->b->arena,
									     "%s%s/%s",
									     MESON_ROOT,
									     m->dir,
									     one->s)));
		}
	}
	return list;
}

static void run_file(struct meson *m, const char *dir);

static void subdir(struct meson *m, const struct mval *args)
{
	if (args->n && args->v[0]->kind == M_STRING && *args->v[0]->s && !m->skip)
		run_file(m, build_join(m->b, m->dir, args->v[0]->s));
}

static struct mval *join_paths(struct meson *m, const struct mval *args)
{
	struct buf b = {0};
	struct mval *v;
	size_t i;

	buf_add(&b, "", 0);
	for (i = 0; i < args->n; i++)
		if (args->v[i]->kind == M_STRING)
			buf_printf(&b, "%s%s", b.n ? "/" : "", args->v[i]->s);
	v = mval_string(m, b.n ? b.s : "");
	buf_free(&b);
	return v;
}

/* What is made of a template is where the template is, by another name. */
static struct mval *configured(struct meson *m, const struct mval *args)
{
	const struct mval *out = mval_named(args, "output");

	if (!out || out->kind != M_STRING)
		return mval_new(m, M_NONE);
	return mval_string(m, arena_printf(&m->b->arena, "%s%s/%s", MESON_ROOT, m->dir,
					   out->s));
}

static void add_arguments(struct meson *m, const struct mval *v, int depth)
{
	size_t i;

	if (v->kind == M_STRING)
		strings_add(m->b, &m->args, v->s);
	for (i = 0; v->kind == M_LIST && depth < 6 && i < v->n; i++)
		if (!v->key[i])
			add_arguments(m, v->v[i], depth + 1);
}

static const struct {
	const char *name;
	enum target_kind kind;
} makers[] = {
	{"executable", TARGET_PROGRAM},    {"shared_library", TARGET_SHARED},
	{"static_library", TARGET_STATIC}, {"library", TARGET_SHARED},
	{"both_libraries", TARGET_SHARED}, {"shared_module", TARGET_SHARED},
};

struct mval *meson_call(struct meson *m, const char *name, const struct mval *args)
{
	struct mval *v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(makers); i++)
		if (!strcmp(makers[i].name, name))
			return make_target(m, args, makers[i].kind);
	if (!strcmp(name, "files") || !strcmp(name, "include_directories"))
		return with_dir(m, args);
	if (!strcmp(name, "subdir"))
		subdir(m, args);
	else if (!strcmp(name, "join_paths"))
		return join_paths(m, args);
	else if (!strcmp(name, "configure_file"))
		return configured(m, args);
	else if (!strcmp(name, "subdir_done"))
		m->done |= !m->conds && !m->skip;
	else if (!m->skip && (!strcmp(name, "add_project_arguments") ||
			      !strcmp(name, "add_global_arguments")))
		add_arguments(m, args, 0);
	else if (!strcmp(name, "set_variable") && args->n > 1 && !m->skip)
		meson_set(m, args->v[0]->s, args->v[1]);
	else if (!strcmp(name, "get_variable") && args->n) {
		v = meson_get(m, args->v[0]->s);
		return v ? v : args->n > 1 ? args->v[1] : mval_new(m, M_NONE);
	} else if (!strcmp(name, "declare_dependency")) {
		v = mval_new(m, M_DEP);
		for (i = 0; i < args->n; i++)
			mval_push(m, v, args->key[i], args->v[i]);
		return v;
	} else if ((!strcmp(name, "custom_target") || !strcmp(name, "generator")) &&
		   args->n) {
		const struct mval *out = mval_named(args, "output");

		return out ? (struct mval *)out : mval_new(m, M_NONE);
	}
	return mval_new(m, M_NONE);
}

/* ---------------------------------------------------------------- statements ------- */

static bool statements(struct meson *m);

static void skip_line(struct meson *m)
{
	while (m->t != MT_LINE && m->t != MT_END)
		meson_next(m);
}

/* name = value, name += value */
static void assign(struct meson *m, const char *name, bool plus)
{
	struct mval *v = meson_expression(m), *old = meson_get(m, name), *both;
	u64 key = hash_str(name);
	size_t i;

	if (m->skip)
		return;
	/* in a later branch of a condition: what the earlier one says may hold too */
	if (!plus && m->conds && old && old->kind == M_LIST && v->kind == M_LIST &&
	    map_find(&m->assigned, key))
		plus = true;
	if (plus && old && old->kind == M_STRING && v->kind == M_STRING) {
		v = mval_string(m, arena_printf(&m->b->arena, "%s%s", old->s, v->s));
	} else if (plus && old) {
		both = mval_new(m, old->kind == M_DICT ? M_DICT : M_LIST);
		for (i = 0; i < old->n; i++)
			mval_push(m, both, old->key[i], old->v[i]);
		if (!old->n && !old->unknown && old->kind != M_LIST && old->kind != M_DICT)
			mval_push(m, both, NULL, old);
		if (v->kind == M_LIST || v->kind == M_DICT)
			for (i = 0; i < v->n; i++)
				mval_push(m, both, v->key[i], v->v[i]);
		else if (!v->unknown)
			mval_push(m, both, NULL, v);
		v = both;
	}
	/* true here, false there: nobody knows */
	if (m->conds && old && meson_is_bool(old) &&
	    (v->unknown || (meson_is_bool(v) && strcmp(old->s, v->s) != 0))) {
		meson_set(m, name, mval_new(m, M_NONE));
		return;
	}
	/* an unknown value in a branch takes nothing away */
	if (!(m->conds && v->unknown && old))
		meson_set(m, name, v);
	if (m->conds)
		map_get(&m->assigned, key, 1);
}

/* 1: it holds on other systems only, or never; -1: it always holds; 0: nobody knows. */
static int condition(struct meson *m)
{
	const char *from = m->p;
	const struct mval *v;
	char *text;
	int foreign;

	meson_next(m);
	v = meson_expression(m);
	if (meson_is_bool(v))
		return *v->s == 't' ? -1 : 1;
	text = xstrndup(from, m->p - from);
	foreign = build_is_foreign(text) || strstr(text, "'windows'") ||
		  strstr(text, "'darwin'") || strstr(text, "is_windows") ||
		  strstr(text, "is_ms_") || strstr(text, "'freebsd'") ||
		  strstr(text, "'msvc'");
	if (foreign && (strstr(text, "!=") || strstr(text, "not ")))
		foreign = -1;
	if (foreign && (strstr(text, " or ") || strstr(text, " and ")))
		foreign = foreign > 0 && !strstr(text, " or ") ? 1 : 0;
	free(text);
	return foreign;
}

static void if_statement(struct meson *m)
{
	struct map outer = m->assigned;
	bool off, all = false;
	int foreign;

	m->assigned = (struct map){0};
	foreign = condition(m);
	off = foreign > 0;
	/* "if not windows" always holds here, and its else never */
	all = foreign < 0;
	m->conds += !all;
	m->skip += off;
	for (;;) {
		statements(m);
		m->skip -= off;
		if (meson_is(m, "elif")) {
			foreign = condition(m);
			off = all || foreign > 0;
		} else if (meson_is(m, "else")) {
			off = all;
			meson_next(m);
		} else {
			break;
		}
		m->skip += off;
	}
	m->conds -= !all;
	map_free(&m->assigned);
	m->assigned = outer;
	skip_line(m);
}

static void foreach_statement(struct meson *m)
{
	char name[2][256] = {"", ""};
	struct mval *list;
	const char *body;
	size_t i = 0, names = 0;
	bool rest = m->rest;
	u32 line;

	for (meson_next(m); m->t == MT_NAME && names < 2; meson_next(m)) {
		snprintf(name[names++], sizeof(name[0]), "%.255s", m->word);
		meson_next(m);
		if (!meson_is(m, ","))
			break;
	}
	if (meson_is(m, ":"))
		meson_next(m);
	list = meson_expression(m);
	body = m->p;
	line = m->line;
	/* once more than nothing, so that its end is found */
	do {
		bool run = i < list->n && !m->skip;

		m->p = body;
		m->line = line;
		m->t = MT_LINE;
		m->skip += !run;
		if (run && names == 2) {
			meson_set(m, name[0],
				  mval_string(m, list->key[i] ? list->key[i] : ""));
			meson_set(m, name[1], list->v[i]);
		} else if (run) {
			meson_set(m, name[0],
				  list->kind == M_DICT && list->key[i]
					  ? mval_string(m, list->key[i])
					  : list->v[i]);
		}
		statements(m);
		m->skip -= !run;
		m->rest = rest;
	} while (++i < list->n && !m->skip && m->work < MAX_STEPS);
	skip_line(m);
}

static void other_statement(struct meson *m)
{
	char name[256];
	const char *at = m->p;
	u32 line = m->line;

	snprintf(name, sizeof(name), "%.255s", m->word);
	if (m->t == MT_NAME) {
		struct meson before = *m;

		meson_next(m);
		if (meson_is(m, "=") || meson_is(m, "+=")) {
			bool plus = meson_is(m, "+=");

			meson_next(m);
			assign(m, name, plus);
			skip_line(m);
			return;
		}
		m->p = at;
		m->line = line;
		m->t = before.t;
		m->parens = before.parens;
		snprintf(m->word, sizeof(m->word), "%s", name);
	}
	meson_expression(m);
	skip_line(m);
}

/* Up to what ends a block; false at the text's end. */
static bool statements(struct meson *m)
{
	if (++m->depth > 150) {
		m->p = m->end;
		m->depth--;
		return false;
	}
	for (;;) {
		while (m->t == MT_LINE)
			meson_next(m);
		if (m->t == MT_END || m->done || m->work > MAX_STEPS)
			break;
		if (meson_is(m, "endif") || meson_is(m, "endforeach") ||
		    meson_is(m, "else") || meson_is(m, "elif"))
			break;
		m->parens = 0;
		if (meson_is(m, "if"))
			if_statement(m);
		else if (meson_is(m, "foreach"))
			foreach_statement(m);
		else if (meson_is(m, "continue") || meson_is(m, "break")) {
			m->rest |= m->conds && !m->skip;
			meson_next(m);
		} else
			other_statement(m);
	}
	m->depth--;
	return m->t != MT_END;
}

static void run_file(struct meson *m, const char *dir)
{
	char *path = build_join(m->b, dir, "meson.build");
	u32 file = tree_find(m->b->s->tree, path);
	struct meson before = *m;
	size_t len;

	if (file == NO_FILE || m->depth > 60)
		return;
	m->text = m->p = build_text(m->b, file, &len);
	if (m->text) {
		m->end = m->text + len;
		m->dir = dir;
		m->file = file;
		m->line = 1;
		m->t = MT_LINE;
		m->parens = 0;
		m->depth = before.depth + 1;
		while (statements(m) && !m->done && m->work < MAX_STEPS)
			skip_line(m);
	}
	m->text = before.text;
	m->p = before.p;
	m->end = before.end;
	m->dir = before.dir;
	m->file = before.file;
	m->line = before.line;
	m->t = before.t;
	m->parens = before.parens;
	m->depth = before.depth;
	m->done = before.done;
	m->punct = before.punct;
	memcpy(m->word, before.word, sizeof(m->word));
}

void build_meson(struct build *b, const char *root)
{
	struct meson m = {.b = b, .root = root, .dir = root};

	run_file(&m, root);
	if (m.work >= MAX_STEPS)
		build_note(b, "%s/meson.build: too much work to run to its end", root);
	map_free(&m.vars);
	map_free(&m.assigned);
	vec_free(&m.values);
	free(m.args.v);
}
