// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which module uses which export, directly or through headers?
 *
 * Only the names that matter are followed: those of exports, and those of macros and
 * inline functions whose bodies reach one, see names.c. Each module's files are looked at
 * with a stamp a module, so that no definition is followed twice. A definition counts for
 * a file only if the file includes the header that holds it.
 */
#include <stdlib.h>

#include "reach.h"

static u32 names_to_follow(const struct linker *l, const u64 *names, u32 n, u32 *out)
{
	const u32 *id;
	u32 i, k = 0;

	for (i = 0; i < n; i++) {
		id = linker_matters(l, names[i]) ? map_find(&l->names, names[i]) : NULL;
		if (id)
			out[k++] = *id;
	}
	return k;
}

/* Each body is followed once a module: what does not matter in it is left out first. */
static void seal_bodies(struct linker *l)
{
	struct scan *s = l->s;
	u32 *ids, n;
	size_t i;

	for (i = 0; i < s->defs.n; i++) {
		struct def *d = &s->defs.v[i];

		if (!d->reaches)
			continue;
		ids = xmalloc((d->nbody + d->nextra + 1) * sizeof(*ids));
		n = names_to_follow(l, d->body, d->nbody, ids);
		n += names_to_follow(l, d->extra, d->nextra, ids + n);
		d->follow = arena_alloc(&s->arena, (n + 1) * sizeof(*ids));
		memcpy((u32 *)d->follow, ids, n * sizeof(*ids));
		d->nfollow = n;
		free(ids);
	}
}

/* ---------------------------------------------------------------- visiting --------- */

struct visitor {
	struct linker *l;
	struct hits *hits;
	u32 *name_stamp, *name_hit;
	u32 *module_stamp, *file_stamp; /* per set: who has all of it already */
	/* What was met: by the module; by its files of an architecture; by this file. */
	u64 *met, *met_in_arch, *met_here;
	VEC(u32) open; /* names to look at, see reach.maybe */
	u32 module, file, line;
	u32 serial;  /* of the look at a file */
	u32 through; /* 1 + definition that the file itself names */
	struct visible visible;
	bool visible_ready, arch;
};

/* The headers that the file sees, made out when the first is asked for. */
static const struct visible *visible_of(struct visitor *v)
{
	if (!v->visible_ready) {
		visible_fill(v->l->inc, v->file, &v->visible);
		v->visible_ready = true;
	}
	return &v->visible;
}

static bool sees(struct visitor *v, u32 header_file)
{
	return visible_has(v->l->inc, visible_of(v), header_file);
}

static bool in_arch(const struct visitor *v, u32 file)
{
	return has_prefix(v->l->s->tree->files.v[file].path, "arch/");
}

/* The file itself defines it, in every configuration. */
static bool defines_itself(const struct visitor *v, const struct export_name *x)
{
	const struct facts *f = &v->l->s->tree->files.v[v->file].facts;
	const struct fact_global *g = f->a[FA_GLOBAL];
	u32 i;

	for (i = 0; i < f->n[FA_GLOBAL] && !x->declared_in_made; i++)
		if (g[i].name == x->hash && g[i].sure)
			return true;
	return false;
}

/* Of the image's files, those that follow an option of modules can use a module's export.
 */
static bool prefers_file(const struct scan *s, const struct consumer *old, u32 file)
{
	return old->module == MODULE_BUILTIN && s->listed &&
	       !(s->listed[old->file] & LISTED_BY_SUBST) &&
	       (s->listed[file] & LISTED_BY_SUBST);
}

static void hit_name(struct visitor *v, u32 name)
{
	struct hit h = {.name = name};

	if (defines_itself(v, &v->l->xnames.v[name]))
		return;
	h.c = (struct consumer){.module = v->module,
				.file = v->file,
				.line = v->line,
				.through = v->through};
	if (v->name_stamp[name] != v->module + 1) {
		v->name_stamp[name] = v->module + 1;
		v->name_hit[name] = v->hits->n;
		vec_push(v->hits, h);
		return;
	}
	/* The place to show is a direct use, and one that every architecture has. */
	struct consumer *old = &v->hits->v[v->name_hit[name]].c;

	if (prefers_file(v->l->s, old, v->file) ||
	    (in_arch(v, old->file) && !in_arch(v, v->file)) ||
	    (old->through && !v->through && in_arch(v, old->file) == in_arch(v, v->file)))
		*old = h.c;
}

static bool is_declared(struct visitor *v, u32 name)
{
	struct linker *l = v->l;
	size_t lo = 0, hi = l->declared.n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (l->declared.v[mid].file < name)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < l->declared.n && l->declared.v[lo].file == name; lo++)
		if (sees(v, l->declared.v[lo].module))
			return true;
	return false;
}

static bool declares_itself(const struct visitor *v, u64 hash)
{
	const struct facts *f = &v->l->s->tree->files.v[v->file].facts;
	const u64 *decl = f->a[FA_DECL];
	u32 i;

	for (i = 0; i < f->n[FA_DECL]; i++)
		if (decl[i] == hash)
			return true;
	return false;
}

/* A definition of the group that the file sees; what a macro makes may be a declaration. */
static bool sees_other(struct visitor *v, const struct group *g)
{
	const struct target *to = v->l->targets.v + g->first, *end = to + g->n;

	if (g->kind == GROUP_EXPORTS || !visible_some(visible_of(v), g))
		return false;
	for (; to < end; to++)
		if (v->l->s->defs.v[to->index].kind != DEF_MADE &&
		    visible_header(&v->visible, to->header))
			return true;
	return false;
}

/*
 * The file sees a static inline function, a macro or an object of that name and no
 * declaration: then it means that, and not the export.
 */
static bool is_shadowed(struct visitor *v, u32 id, u32 name)
{
	const struct linker *l = v->l;
	const struct export_name *x = &l->xnames.v[name];
	bool other = false;
	u32 g;

	for (g = l->group_first[id]; g < l->group_first[id + 1] && !other; g++)
		other = sees_other(v, &l->groups.v[g]);
	return other && !x->declared_in_made && !declares_itself(v, x->hash) &&
	       !is_declared(v, name);
}

/*
 * The part of the set that is news: exported names once a module, since one place is
 * enough, but what depends on the file once a file.
 */
static u64 take_news(struct visitor *v, const struct reach_word *w)
{
	u32 base = v->l->reach->base;
	u64 names = w->at < base / 64 ? ~0ull : 0, news;

	if (w->at == base / 64)
		names = (1ull << (base % 64)) - 1;
	news = w->bits & names & ~v->met[w->at];
	if (v->arch)
		news &= ~v->met_in_arch[w->at];
	news |= w->bits & ~names & ~v->met_here[w->at];
	(v->arch ? v->met_in_arch : v->met)[w->at] |= news & names;
	v->met_here[w->at] |= news & ~names;
	return news;
}

static void take_words(struct visitor *v, const struct reach_set *set)
{
	const struct reach *r = v->l->reach;
	u32 i, bit;
	u64 news;

	for (i = 0; i < set->n; i++)
		for (news = take_news(v, &set->w[i]); news; news &= news - 1) {
			bit = set->w[i].at * 64 + __builtin_ctzll(news);
			if (bit < r->base)
				hit_name(v, bit);
			else
				vec_push(&v->open, bit - r->base);
		}
}

static void take_set(struct visitor *v, u32 set)
{
	const struct reach *r = v->l->reach;

	for (; set != NO_SET; set = r->sets.v[set].rest) {
		if (v->module_stamp[set] == v->module + 1 ||
		    v->file_stamp[set] == v->serial)
			return;
		v->file_stamp[set] = v->serial;
		if (!r->sets.v[set].open && !v->arch)
			v->module_stamp[set] = v->module + 1;
		take_words(v, &r->sets.v[set]);
	}
}

static void take_meanings(struct visitor *v, const struct group *g)
{
	const struct reach *r = v->l->reach;
	u32 m;

	for (m = g->first; m < g->first + g->n; m++)
		if (visible_header(&v->visible, r->meaning.v[m].header))
			take_set(v, r->meaning.v[m].set);
}

/* The file, which sees it, names the definition. */
static void visit_def(struct visitor *v, u32 def)
{
	const struct reach *r = v->l->reach;
	u32 name, g;

	v->through = def + 1;
	take_set(v, r->set_of[def]);
	while (v->open.n) {
		name = v->open.v[--v->open.n];
		for (g = r->group_first[name]; g < r->group_first[name + 1]; g++)
			if (visible_some(&v->visible, &r->groups.v[g]))
				take_meanings(v, &r->groups.v[g]);
	}
	v->through = 0;
}

static void visit_group(struct visitor *v, u32 id, const struct group *g)
{
	const struct target *to = v->l->targets.v + g->first, *end = to + g->n;

	for (; to < end; to++) {
		if (g->kind == GROUP_REACHING) {
			if (visible_header(&v->visible, to->header))
				visit_def(v, to->index);
		} else if (!is_shadowed(v, id, to->index)) {
			hit_name(v, to->index);
		}
	}
}

static void visit(struct visitor *v, u32 id)
{
	const struct linker *l = v->l;
	u32 g;

	for (g = l->group_first[id]; g < l->group_first[id + 1]; g++) {
		const struct group *group = &l->groups.v[g];

		if (group->kind == GROUP_EXPORTS ||
		    (group->kind == GROUP_REACHING && visible_some(visible_of(v), group)))
			visit_group(v, id, group);
	}
}

static void visit_all(struct visitor *v, const u32 *index, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (sees(v, v->l->s->defs.v[index[i]].file))
			visit_def(v, index[i]);
}

static void visit_file(struct visitor *v, u32 file)
{
	const struct facts *f = &v->l->s->tree->files.v[file].facts;
	const struct fact_use *use = f->a[FA_USE];
	const u64 create = hash_str("CREATE_TRACE_POINTS");
	u32 base = v->l->reach->base / 64;
	bool creates = false;
	const u32 *id;
	u32 i;

	v->file = file;
	v->serial++;
	v->arch = in_arch(v, file);
	v->visible_ready = false;
	memset(v->met_here + base, 0, (v->l->reach->words - base) * sizeof(u64));
	for (i = 0; i < f->n[FA_USE]; i++) {
		creates |= use[i].name == create;
		if (!linker_matters(v->l, use[i].name))
			continue;
		id = map_find(&v->l->names, use[i].name);
		if (!id)
			continue;
		v->line = use[i].line;
		visit(v, *id);
	}
	v->line = 1;
	visit_all(v, v->l->anonymous.v, v->l->anonymous.n);
	if (creates)
		visit_all(v, v->l->classes.v, v->l->classes.n);
}

static void visit_module(struct visitor *v)
{
	const struct linker *l = v->l;
	u32 i, base = l->reach->base / 64 + 1;

	memset(v->met, 0, base * sizeof(u64));
	memset(v->met_in_arch, 0, base * sizeof(u64));
	for (i = l->files_first[v->module]; i < l->files_first[v->module + 1]; i++)
		if (l->may_consume[l->files[i]])
			visit_file(v, l->files[i]);
}

static void visit_modules(void *arg, unsigned int worker)
{
	struct linker *l = arg;
	struct visitor v = {.l = l, .hits = &l->hits[worker]};

	v.name_stamp = xcalloc(l->xnames.n + 1, sizeof(u32));
	v.name_hit = xcalloc(l->xnames.n + 1, sizeof(u32));
	v.module_stamp = xcalloc(l->reach->sets.n + 1, sizeof(u32));
	v.file_stamp = xcalloc(l->reach->sets.n + 1, sizeof(u32));
	v.met = xcalloc(l->reach->words * 3ul, sizeof(u64));
	v.met_in_arch = v.met + l->reach->words;
	v.met_here = v.met_in_arch + l->reach->words;
	visible_init(l->inc, &v.visible);
	for (;;) {
		v.module = __atomic_fetch_add(&l->next_module, 1, __ATOMIC_RELAXED);
		if (v.module >= l->s->modules.n)
			break;
		visit_module(&v);
	}
	visible_free(&v.visible);
	vec_free(&v.open);
	free(v.name_stamp);
	free(v.name_hit);
	free(v.module_stamp);
	free(v.file_stamp);
	free(v.met);
}

static void index_module_files(struct linker *l)
{
	struct scan *s = l->s;
	u32 i, k, *at;

	l->files_first = xcalloc(s->modules.n + 1, sizeof(u32));
	l->files = xcalloc(s->first[s->tree->files.n] + 1, sizeof(u32));
	for (i = 0; i < s->first[s->tree->files.n]; i++)
		l->files_first[s->member[i] + 1]++;
	for (i = 0; i < s->modules.n; i++)
		l->files_first[i + 1] += l->files_first[i];
	at = xmalloc((s->modules.n + 1) * sizeof(u32));
	memcpy(at, l->files_first, (s->modules.n + 1) * sizeof(u32));
	for (i = 0; i < s->tree->files.n; i++)
		for (k = s->first[i]; k < s->first[i + 1]; k++)
			l->files[at[s->member[k]]++] = i;
	free(at);
}

static void find_possible_consumers(struct linker *l)
{
	const struct policy *p = l->s->policy;
	u32 i;

	l->may_consume = xcalloc(l->s->tree->files.n + 1, 1);
	for (i = 0; i < l->s->tree->files.n; i++) {
		const struct file *f = &l->s->tree->files.v[i];

		l->may_consume[i] =
			f->has_facts &&
			(!p->consumers.n || strings_match(&p->consumers, f->path)) &&
			!strings_match(&p->not_consumers, f->path);
	}
}

struct linker *linker_create(struct scan *s)
{
	struct linker *l = xcalloc(1, sizeof(*l));

	l->s = s;
	l->filter = xcalloc((1u << FILTER_BITS) / 64, sizeof(u64));
	l->inc = includes_create(s);
	linker_collect_defs(l);
	return l;
}

static void linker_free(struct linker *l)
{
	unsigned int i;

	for (i = 0; i < l->s->workers; i++)
		vec_free(&l->hits[i]);
	free(l->hits);
	reach_free(l->reach);
	includes_free(l->inc);
	map_free(&l->names);
	map_free(&l->xname_index);
	vec_free(&l->targets);
	vec_free(&l->groups);
	free(l->group_first);
	vec_free(&l->anonymous);
	vec_free(&l->classes);
	vec_free(&l->xnames);
	vec_free(&l->declared);
	free(l->next_export);
	free(l->files_first);
	free(l->files);
	free(l->may_consume);
	free(l->filter);
	free(l);
}

void linker_link(struct linker *l)
{
	struct scan *s = l->s;

	arena_join(&s->arena, &l->arena);
	linker_collect_exports(l);
	linker_find_reaching(l);
	linker_seal_names(l);
	seal_bodies(l);
	l->reach = reach_create(l);
	linker_collect_declarations(l);
	index_module_files(l);
	find_possible_consumers(l);
	l->hits = xcalloc(s->workers, sizeof(*l->hits));
	run_workers(s->workers, visit_modules, l);
	linker_assign(l);
	linker_free(l);
}
