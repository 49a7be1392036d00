// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which symbols does each shared library of the tree export?
 *
 * Its objects are those of its own sources and of the archives that are linked into it.
 * What they define with default visibility is exported, unless a version script, a list
 * or an expression keeps it in.
 */
#include <ctype.h>
#include <regex.h>
#include <stdlib.h>

#include "preprocess/cdecl.h"
#include "exported.h"
#include "verscript.h"

/* A symbol that one of a target's objects defines. */
struct object_symbol {
	const char *name;
	u32 file, line;
	u32 source; /* the source that was compiled */
	bool object, sure, hidden;
};

struct object_symver {
	const char *name, *node;
	u32 file, line, source;
};

struct objects {
	struct object_symbol *v;
	size_t n, cap;
	VEC(struct object_symver) symvers;
	VEC(struct object_symver) marked; /* by a macro that stands for an export */
	bool read;
};

struct finder {
	struct scan *s;
	struct build *b;
	struct cpp cpp;
	struct objects *objects; /* per target */
	struct map absent;       /* macros that some target is given */
	struct strings given;
	struct map known; /* exports that are there already */
	u32 found;
};

/* ---------------------------------------------------------------- compiling -------- */

static void take_unit(struct finder *f, struct objects *o, u32 source,
		      const struct cunit *u, bool hidden)
{
	struct arena *a = &f->s->arena;
	size_t i;

	for (i = 0; i < u->symbols.n; i++) {
		const struct csymbol *c = &u->symbols.v[i];
		struct object_symbol s = {.file = c->file,
					  .line = c->line,
					  .source = source,
					  .object = c->object,
					  .sure = c->sure && !c->maybe};

		if (!c->defined || c->is_static || (c->is_inline && !c->plain))
			continue;
		s.hidden = c->visibility ? c->visibility == 'h' : hidden;
		s.name = cpp_text(&f->cpp, c->label ? c->label : c->id);
		s.name = arena_strndup(a, s.name, strlen(s.name));
		if (s.file == NO_FILE)
			s.file = source;
		vec_push(o, s);
	}
	for (i = 0; i < u->symvers.n; i++) {
		const struct csymver *c = &u->symvers.v[i];
		struct object_symver v = {
			.file = c->file, .line = c->line, .source = source};

		v.name = arena_strndup(a, cpp_text(&f->cpp, c->id),
				       strlen(cpp_text(&f->cpp, c->id)));
		v.node = arena_strndup(a, c->node, strlen(c->node));
		if (c->marks)
			vec_push(&o->marked, v);
		else
			vec_push(&o->symvers, v);
	}
}

static bool is_c(const struct finder *f, u32 file)
{
	enum file_kind k = f->s->tree->files.v[file].kind;

	return k == FILE_C || k == FILE_ASM;
}

static void begin_source(struct finder *f, const struct target *t, u32 file)
{
	size_t i;

	cpp_begin(&f->cpp, file, &t->incs);
	for (i = 0; i < f->b->macros.n; i++)
		cpp_define(&f->cpp, f->b->macros.v[i]);
	for (i = 0; i < t->defs.n; i++)
		cpp_define(&f->cpp, t->defs.v[i]);
	for (i = 0; i < f->given.n; i++)
		cpp_absent(&f->cpp, f->given.v[i]);
}

/* .globl name */
static void read_assembly(struct finder *f, const struct target *t, struct objects *o,
			  u32 file)
{
	struct ctoken last = {.s = ""}, x;
	bool globl = false;

	begin_source(f, t, file);
	for (cpp_next(&f->cpp, &x); x.kind != CT_EOF; cpp_next(&f->cpp, &x)) {
		struct object_symbol s = {
			.file = file, .line = x.line, .source = file, .sure = false};

		if (globl && x.kind == CT_ID) {
			s.name = arena_strndup(&f->s->arena, x.s, x.len);
			vec_push(o, s);
		}
		globl = ctoken_punct(&last, '.') && x.kind == CT_ID &&
			(!strcmp(cpp_text(&f->cpp, x.id), "globl") ||
			 !strcmp(cpp_text(&f->cpp, x.id), "global"));
		last = x;
	}
}

static void compile(struct finder *f, const struct target *t, struct objects *o, u32 file)
{
	struct cunit u = {0};

	if (!is_c(f, file))
		return;
	if (f->s->tree->files.v[file].kind == FILE_ASM) {
		read_assembly(f, t, o, file);
		return;
	}
	begin_source(f, t, file);
	cdecl_read(&f->cpp, &u);
	if (f->cpp.gave_up)
		build_note(f->b, "%s: too much work to read to its end",
			   f->s->tree->files.v[file].path);
	take_unit(f, o, file, &u, t->hidden);
	cunit_free(&u);
}

static struct objects *objects_of(struct finder *f, size_t target)
{
	const struct target *t = f->b->targets.v[target];
	struct objects *o = &f->objects[target];
	size_t i, k;

	if (o->read)
		return o;
	o->read = true;
	for (i = 0; i < t->sources.n; i++) {
		k = o->n;
		compile(f, t, o, t->sources.v[i]);
		for (; t->maybe.v[i] && k < o->n; k++)
			o->v[k].sure = false;
	}
	return o;
}

/* ---------------------------------------------------------------- linking ---------- */

struct linked {
	size_t *v;
	size_t n, cap;
};

static size_t number_of(const struct finder *f, const struct target *t)
{
	size_t i;

	for (i = 0; i < f->b->targets.n; i++)
		if (f->b->targets.v[i] == t)
			break;
	return i;
}

/* An archive that is there as a shared library too is linked as that. */
static bool is_shared_too(const struct finder *f, const struct target *t,
			  const struct target *into)
{
	size_t i;

	for (i = 0; t->installed && strcmp(t->name, into->name) != 0 && i < f->b->targets.n;
	     i++)
		if (f->b->targets.v[i]->kind == TARGET_SHARED &&
		    !strcmp(f->b->targets.v[i]->name, t->name))
			return true;
	return false;
}

/* The target itself, and the archives that end up in it. */
static void collect_linked(const struct finder *f, size_t target, struct linked *l)
{
	const struct target *t = f->b->targets.v[target], *other;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->v[i] == target)
			return;
	vec_push(l, target);
	for (i = 0; i < t->links.n; i++) {
		other = build_find(f->b, t->links.v[i]);
		if (other && !is_shared_too(f, other, f->b->targets.v[l->v[0]]) &&
		    (other->kind == TARGET_STATIC || other->kind == TARGET_OBJECTS))
			collect_linked(f, number_of(f, other), l);
	}
}

/* ---------------------------------------------------------------- filters ---------- */

struct filter {
	VEC(struct verscript) scripts;
	VEC(u32) files;
	VEC(regex_t) regexes;
	const struct target *t;
};

static u32 find_script(const struct finder *f, const char *path)
{
	char *in = xasprintf("%s.in", path);
	u32 file = tree_find(f->s->tree, path);

	if (file == NO_FILE)
		file = tree_find(f->s->tree, in);
	free(in);
	return file;
}

/* A script that is made by the build: a .def file or table of the same library. */
static u32 find_stand_in(const struct finder *f, const char *path)
{
	const char *base = strrchr(path, '/'), *dot;
	const struct tree *t = f->s->tree;
	u32 found = NO_FILE;
	size_t i, n;

	base = base ? base + 1 : path;
	dot = strchr(base, '.');
	n = dot ? (size_t)(dot - base) : strlen(base);
	for (i = 0; i < t->files.n; i++) {
		const char *p = t->files.v[i].path, *b = strrchr(p, '/');
		bool same;

		b = b ? b + 1 : p;
		same = !strncmp(b, base, n) && b[n] == '.';
		if (!same && (found != NO_FILE || strncmp(b, "symbols.", 8) != 0))
			continue;
		if (t->files.v[i].kind == FILE_SCRIPT || has_suffix(b, ".def"))
			found = i;
	}
	return found;
}

static bool add_script(struct finder *f, struct filter *filter, u32 file)
{
	struct verscript vs;
	size_t len;
	const char *text = build_text(f->b, file, &len);

	if (!text)
		return false;
	if (!verscript_read(&vs, text, len)) {
		build_note(f->b, "%s: %s is neither a version script nor a list of symbols",
			   filter->t->name, f->s->tree->files.v[file].path);
		verscript_free(&vs);
		return false;
	}
	vec_push(&filter->scripts, vs);
	vec_push(&filter->files, file);
	return true;
}

static void add_named_scripts(struct finder *f, struct filter *filter,
			      const struct strings *paths)
{
	size_t i;
	u32 file;

	for (i = 0; i < paths->n; i++) {
		file = find_script(f, paths->v[i]);
		if (file == NO_FILE)
			file = find_stand_in(f, paths->v[i]);
		if (file == NO_FILE)
			build_note(f->b,
				   "%s: its version script %s is made by the build, and "
				   "nothing "
				   "in the tree says of what; name a list of its exports "
				   "in the "
				   "policy: [exports] export-list",
				   filter->t->name, paths->v[i]);
		else
			add_script(f, filter, file);
	}
}

static void open_filter(struct finder *f, struct filter *filter, const struct target *t)
{
	size_t i;

	*filter = (struct filter){.t = t};
	add_named_scripts(f, filter, &t->scripts);
	add_named_scripts(f, filter, &t->lists);
	for (i = 0; i < t->regexes.n; i++) {
		regex_t re;

		if (regcomp(&re, t->regexes.v[i], REG_EXTENDED | REG_NOSUB))
			build_note(f->b, "%s: -export-symbols-regex %s is no expression",
				   t->name, t->regexes.v[i]);
		else
			vec_push(&filter->regexes, re);
	}
}

static void close_filter(struct filter *filter)
{
	size_t i;

	for (i = 0; i < filter->scripts.n; i++)
		verscript_free(&filter->scripts.v[i]);
	for (i = 0; i < filter->regexes.n; i++)
		regfree(&filter->regexes.v[i]);
	vec_free(&filter->scripts);
	vec_free(&filter->files);
	vec_free(&filter->regexes);
}

/* Where it is said that the symbol goes out. */
struct reason {
	const char *node;
	u32 file, line;
};

static bool lets_out(const struct filter *filter, const char *name, struct reason *why)
{
	const struct verscript_entry *e;
	size_t i;
	bool out = !filter->regexes.n && !filter->scripts.n;

	/* several scripts are those of several configurations */
	for (i = 0; i < filter->scripts.n; i++) {
		if (!verscript_exports(&filter->scripts.v[i], name, &e))
			continue;
		out = true;
		if (e && !e->glob) {
			*why = (struct reason){e->node, filter->files.v[i], e->line};
			return true;
		}
		if (e && why->file == NO_FILE)
			why->node = e->node;
	}
	for (i = 0; i < filter->regexes.n; i++)
		if (!regexec(&filter->regexes.v[i], name, 0, NULL, 0)) {
			why->node = "regex";
			return true;
		}
	return out;
}

/* ---------------------------------------------------------------- exports ---------- */

static void add_export(struct finder *f, const char *name, const struct reason *why,
		       u32 file, u32 line, u32 source, bool sure)
{
	struct scan *s = f->s;
	struct export e = {.name = name,
			   .ns = "",
			   .kind = EXP_LIBRARY | (sure ? 0 : EXP_CONDITIONAL),
			   .file = why->file != NO_FILE ? why->file : file,
			   .line = why->file != NO_FILE ? why->line : line,
			   .source = source,
			   .source_line = line,
			   .added = -1,
			   .consumed = -1};
	u64 key = hash_str(name) ^ (0x9e3779b97f4a7c15ull * (source + 1ull));
	u32 *known = map_get(&f->known, key, 0);
	size_t i;

	f->found++;
	if ((*known)++)
		return;
	e.via = why->node ? why->node : "visible";
	e.via = arena_strndup(&s->arena, e.via, strlen(e.via));
	e.judged = !s->policy->judge.n;
	for (i = 0; i < s->policy->judge.n; i++)
		e.judged |= str_match(s->policy->judge.v[i], e.via);
	for (i = 0; i < s->policy->gpl.n; i++)
		if (str_match(s->policy->gpl.v[i], e.via))
			e.kind |= EXP_GPL;
	vec_push(&s->exports, e);
}

static void export_symvers(struct finder *f, const struct objects *o,
			   const struct filter *filter)
{
	size_t i;

	for (i = 0; i < o->symvers.n; i++) {
		const struct object_symver *v = &o->symvers.v[i];
		struct reason why = {v->node, NO_FILE, 0};

		add_export(f, v->name, &why, v->file, v->line, v->source, true);
	}
}

/* A name that the script lists and no source of the library was seen to define. */
static bool defined_somewhere(const struct finder *f, const struct linked *l,
			      const char *name, u32 *source, u32 *line)
{
	u64 hash = hash_str(name);
	size_t i, k;
	u32 g;

	for (i = 0; i < l->n; i++) {
		const struct target *t = f->b->targets.v[l->v[i]];

		for (k = 0; k < t->sources.n; k++) {
			const struct facts *x = &f->s->tree->files.v[t->sources.v[k]].facts;
			const struct fact_global *v = x->a[FA_GLOBAL];

			for (g = 0; g < x->n[FA_GLOBAL]; g++)
				if (v[g].name == hash) {
					*source = t->sources.v[k];
					*line = v[g].line;
					return true;
				}
		}
	}
	return false;
}

static bool is_generated(const struct finder *f, const struct linked *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (f->b->targets.v[l->v[i]]->missing.n)
			return true;
	return false;
}

static void export_unseen(struct finder *f, const struct filter *filter,
			  const struct linked *l, const struct map *seen)
{
	bool generated = is_generated(f, l);
	u32 source, line, left = 0;
	const char *first = "";
	size_t i, k;

	for (i = 0; i < filter->scripts.n; i++)
		for (k = 0; k < filter->scripts.v[i].v.n; k++) {
			const struct verscript_entry *e = &filter->scripts.v[i].v.v[k];
			struct reason why = {e->node, filter->files.v[i], e->line};
			const char *name = e->pattern;

			if (!e->global || e->glob || map_find(seen, hash_str(name)))
				continue;
			source = NO_FILE;
			line = 0;
			if (!defined_somewhere(f, l, name, &source, &line) && !generated) {
				first = left++ ? first : name;
				continue;
			}
			name = arena_strndup(&f->s->arena, name, strlen(name));
			add_export(f, name, &why, source, line, source, false);
		}
	if (left)
		build_note(f->b,
			   "%s: %u names that its version script lists are defined by none "
			   "of its sources (the first: %s)",
			   filter->t->name, left, first);
}

static void export_symbols(struct finder *f, const struct linked *l,
			   const struct filter *filter, struct map *seen, bool marked)
{
	size_t i, k;

	for (i = 0; i < l->n; i++) {
		const struct objects *o = &f->objects[l->v[i]];

		for (k = 0; k < o->n; k++) {
			const struct object_symbol *s = &o->v[k];
			struct reason why = {NULL, NO_FILE, 0};

			map_get(seen, hash_str(s->name), 1);
			if (marked || s->hidden || !lets_out(filter, s->name, &why))
				continue;
			add_export(f, s->name, &why, s->file, s->line, s->source, s->sure);
		}
		for (k = 0; k < o->symvers.n; k++)
			map_get(seen, hash_str(o->symvers.v[k].name), 1);
		export_symvers(f, o, filter);
		for (k = 0; marked && k < o->marked.n; k++) {
			const struct object_symver *v = &o->marked.v[k];
			struct reason why = {v->node, NO_FILE, 0};

			add_export(f, v->name, &why, v->file, v->line, v->source, true);
		}
	}
}

static void export_library(struct finder *f, size_t target)
{
	const struct target *t = f->b->targets.v[target];
	struct linked l = {0};
	struct filter filter;
	struct map seen = {0};
	bool marked = false;
	u32 before = f->found;
	size_t i;

	collect_linked(f, target, &l);
	for (i = 0; i < l.n; i++) {
		const struct objects *o = objects_of(f, l.v[i]);

		marked |= o->marked.n > 0;
	}
	open_filter(f, &filter, t);
	export_symbols(f, &l, &filter, &seen, marked);
	export_unseen(f, &filter, &l, &seen);
	if (f->found == before)
		build_note(f->b, "%s: no export was found of this library (%s)", t->name,
			   t->sources.n ? "its sources define nothing that goes out"
					: "its sources could not be made out");
	close_filter(&filter);
	map_free(&seen);
	vec_free(&l);
}

/* ---------------------------------------------------------------- the whole -------- */

static void collect_mentions(struct finder *f)
{
	const struct tree *t = f->s->tree;
	size_t i, k, len;

	for (i = 0; i < t->files.n; i++) {
		enum file_kind kind = t->files.v[i].kind;
		const char *text;

		if (kind != FILE_MAKE && kind != FILE_CONFIGURE && kind != FILE_BUILD &&
		    kind != FILE_TEMPLATE)
			continue;
		text = build_text(f->b, i, &len);
		if (text)
			cpp_mention(&f->cpp, text, len);
	}
	for (i = 0; i < t->files.n; i++) {
		const struct cfile *file;

		if (t->files.v[i].kind != FILE_C && t->files.v[i].kind != FILE_HEADER)
			continue;
		file = cpp_file(&f->cpp, i);
		for (k = 0; k + 2 < file->n; k++)
			if (file->t[k].kind == CT_HASH && file->t[k + 2].kind == CT_ID &&
			    file->t[k + 1].kind == CT_ID &&
			    !strcmp(cpp_text(&f->cpp, file->t[k + 1].id), "define"))
				f->cpp.names.v[file->t[k + 2].id].source = true;
	}
	/* what one target is given, another one is not */
	for (i = 0; i < f->b->targets.n; i++)
		for (k = 0; k < f->b->targets.v[i]->defs.n; k++) {
			const char *def = f->b->targets.v[i]->defs.v[k];
			char *name = xstrndup(def, strcspn(def, "="));

			strings_add(f->b, &f->given, name);
			free(name);
		}
}

bool exported_find(struct scan *s, struct build *b)
{
	struct finder f = {.s = s, .b = b};
	bool any = false;
	size_t i;

	cpp_init(&f.cpp, s->tree);
	cdecl_init(&f.cpp);
	f.objects = xcalloc(b->targets.n + 1, sizeof(*f.objects));
	collect_mentions(&f);
	for (i = 0; i < b->targets.n; i++)
		if (b->targets.v[i]->kind == TARGET_SHARED) {
			any = true;
			export_library(&f, i);
		}
	for (i = 0; i < b->targets.n; i++) {
		vec_free(&f.objects[i].symvers);
		vec_free(&f.objects[i].marked);
		free(f.objects[i].v);
	}
	free(f.objects);
	free(f.given.v);
	map_free(&f.known);
	cpp_free(&f.cpp);
	return any;
}
