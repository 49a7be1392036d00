// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For which exports does a use of their name count?
 *
 * One name may be exported in several places: an architecture's own version, a generic
 * one, two libraries. A use counts for an export if it is outside the module that exports
 * it, in a file that can be built together with it, and in a module that has no symbol of
 * that name itself.
 */
#include <stdlib.h>

#include "link.h"
#include "buildfiles/members.h"
#include "sources/expand.h"

static void alias(struct linker *l, u32 name, const char *prefix, const char *s,
		  const char *suffix)
{
	char *full = xasprintf("%s%s%s", prefix, s, suffix);

	linker_add_name(l, hash_str(full), EDGE_EXPORT, name);
	free(full);
}

/* The names by which the export is used. */
static void add_aliases(struct linker *l, u32 name, const struct export *e)
{
	const char *s = e->name;

	if (e->kind & EXP_TRACEPOINT) {
		alias(l, name, "trace_", s, "");
		alias(l, name, "trace_call__", s, "");
		alias(l, name, "do_trace_", s, "");
		alias(l, name, "trace_", s, "_enabled");
		alias(l, name, "trace_", s, "_rcuidle");
		alias(l, name, "register_trace_", s, "");
		alias(l, name, "register_trace_prio_", s, "");
		alias(l, name, "unregister_trace_", s, "");
		alias(l, name, "__tracepoint_", s, "");
		alias(l, name, "__traceiter_", s, "");
		return;
	}
	if (e->kind & EXP_STATIC_CALL)
		alias(l, name, "__SCK__", s, "");
	if (e->kind & EXP_STATIC_CALL_TRAMP)
		alias(l, name, "__SCT__", s, "");
	alias(l, name, "", s, "");
}

/* Kinds that share names must not share consumers: a tracepoint and a function. */
static u64 name_key(const struct export *e)
{
	return hash_str(e->name) ^ ((u64)(e->kind & EXP_TRACEPOINT) << 20);
}

static void add_export_name(struct linker *l, u32 export)
{
	struct export *e = &l->s->exports.v[export];
	u32 *id = map_get(&l->xname_index, name_key(e), UINT32_MAX);
	struct export_name x = {.hash = hash_str(e->name), .first_export = UINT32_MAX};

	/* its trace_x() is made in a header, and is no other thing of that name */
	x.declared_in_made =
		e->kind & (EXP_TRACEPOINT | EXP_STATIC_CALL | EXP_STATIC_CALL_TRAMP);
	if (*id == UINT32_MAX) {
		*id = l->xnames.n;
		vec_push(&l->xnames, x);
		add_aliases(l, *id, e);
	} else if (e->kind & (EXP_STATIC_CALL | EXP_STATIC_CALL_TRAMP)) {
		add_aliases(l, *id, e);
	}
	e->name_id = *id;
	l->next_export[export] = l->xnames.v[*id].first_export;
	l->xnames.v[*id].first_export = export;
}

/*
 * One name in both branches of a conditional is one export, and so is one that an
 * attribute marks in the header and in the source.
 */
static bool is_known(struct linker *l, const struct export *e)
{
	u64 key = hash_str(e->name) ^ ((u64)e->kind << 40) * 0x9fb21c651e98df25ull;
	u32 *seen;

	if (!(e->kind & EXP_LIBRARY))
		key ^= ((u64)e->file + 1) * 0xd6e8feb86659fd93ull;
	seen = map_get(&l->known_exports, key ? key : 1, 0);
	return (*seen)++;
}

static void add_unnamed(struct scan *s, u32 file, const char *text)
{
	struct unnamed u = {.file = file, .text = text};

	vec_push(&s->unnamed, u);
}

#define MAX_INCLUDED 8

/*
 * A file that others include exports what each of them makes of the name. True if nothing
 * exports the name itself.
 */
static bool add_renamed(struct linker *l, const struct export *as, u32 file, int depth)
{
	struct scan *s = l->s;
	size_t i = scan_first_includer(s, file);
	u64 hash = hash_str(as->name);
	u32 others = 0, renamed = 0, k, n;

	for (; i < s->included.n && s->included.v[i].file == file; i++) {
		const struct facts *f = &s->tree->files.v[s->included.v[i].module].facts;
		const struct fact_alias *alias = f->a[FA_ALIAS];

		n = renamed;
		for (k = 0; k < f->n[FA_ALIAS]; k++) {
			struct export e = *as;

			if (alias[k].name != hash)
				continue;
			renamed = n + 1;
			e.name = facts_str(f, alias[k].other);
			if (!is_known(l, &e))
				vec_push(&s->exports, e);
		}
		if (renamed == n && depth < MAX_INCLUDED &&
		    add_renamed(l, as, s->included.v[i].module, depth + 1))
			renamed++;
		others++;
	}
	return renamed && renamed == others && !(s->listed && s->listed[file] & LISTED);
}

static void add_export(struct linker *l, const struct export *e)
{
	if (l->s->included.n && !(e->kind & EXP_LIBRARY) && add_renamed(l, e, e->file, 0))
		return;
	if (!is_known(l, e))
		vec_push(&l->s->exports, *e);
}

static void collect_from_file(struct linker *l, u32 file)
{
	struct scan *s = l->s;
	const struct facts *f = &s->tree->files.v[file].facts;
	const struct fact_export *fe = f->a[FA_EXPORT];
	struct export e = {.file = file, .source = NO_FILE, .added = -1, .consumed = -1};
	u32 i;

	for (i = 0; i < f->n[FA_EXPORT]; i++) {
		e.name = facts_str(f, fe[i].name);
		e.ns = facts_str(f, fe[i].ns);
		e.via = facts_str(f, fe[i].via);
		e.kind = fe[i].kind;
		e.line = fe[i].line;
		e.judged = true;
		if (fe[i].kind & EXP_UNNAMED)
			add_unnamed(s, file, e.name);
		else
			add_export(l, &e);
	}
}

struct from_header {
	struct linker *l;
	u32 file;
};

static void add_header_export(void *arg, const struct header_export *h)
{
	const struct from_header *from = arg;
	struct scan *s = from->l->s;
	struct export e = {.file = from->file,
			   .line = h->line,
			   .kind = h->kind,
			   .source = NO_FILE,
			   .added = -1,
			   .consumed = -1,
			   .judged = true};

	e.name = arena_strndup(&s->arena, h->name, strlen(h->name));
	e.ns = arena_strndup(&s->arena, h->ns, strlen(h->ns));
	e.via = arena_strndup(&s->arena, h->via, strlen(h->via));
	if (h->unnamed)
		add_unnamed(s, from->file, e.name);
	else
		add_export(from->l, &e);
}

/* What a macro invoked at a header's file scope exports. */
static void collect_from_header(struct linker *l, u32 file)
{
	const struct scan *s = l->s;
	struct from_header from = {l, file};

	header_exports(&s->tree->files.v[file].facts, &s->templates, add_header_export,
		       &from);
}

void linker_collect_exports(struct linker *l)
{
	struct scan *s = l->s;
	u32 i;

	for (i = 0; i < s->tree->files.n; i++) {
		const struct file *f = &s->tree->files.v[i];

		if (f->has_facts && f->facts.n[FA_EXPORT] &&
		    (f->kind != FILE_HEADER || s->kind == KIND_LIBRARY))
			collect_from_file(l, i);
		else if (f->kind == FILE_HEADER && s->first[i] < s->first[i + 1])
			collect_from_header(l, i);
	}
	map_free(&l->known_exports);
	if (s->kind == KIND_LIBRARY)
		library_exports(s);
	l->next_export = xmalloc((s->exports.n + 1) * sizeof(u32));
	for (i = 0; i < s->exports.n; i++)
		add_export_name(l, i);
}

static int by_name_and_file(const void *a, const void *b)
{
	const struct membership *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->module < y->module ? -1 : x->module > y->module;
}

static void note_declarations(struct linker *l, u32 file, const u64 *names, u32 n)
{
	u32 i, *id;

	for (i = 0; i < n; i++) {
		if (!linker_matters(l, names[i]))
			continue;
		id = map_find(&l->xname_index, names[i]);
		if (id) {
			struct membership m = {.file = *id, .module = file};

			vec_push(&l->declared, m);
		}
	}
}

/* struct membership serves as (name, header) here. */
void linker_collect_declarations(struct linker *l)
{
	const struct tree *t = l->s->tree;
	const struct fact_def *d;
	const struct facts *f;
	u32 i, k, b, *id;

	for (i = 0; i < t->files.n; i++) {
		f = &t->files.v[i].facts;
		if (t->files.v[i].kind != FILE_HEADER || !t->files.v[i].has_facts)
			continue;
		note_declarations(l, i, f->a[FA_DECL], f->n[FA_DECL]);
		for (k = 0; k < f->n[FA_GLOBAL]; k++)
			note_declarations(
				l, i, &FACTS(f, struct fact_global, FA_GLOBAL)[k].name, 1);
		d = f->a[FA_DEF];
		for (k = 0; k < f->n[FA_DEF]; k++) {
			if (d[k].kind != DEF_MADE)
				continue;
			for (b = 0; b < d[k].nbody; b++) {
				id = map_find(&l->xname_index,
					      FACTS(f, u64, FA_BODY)[d[k].body + b]);
				if (id)
					l->xnames.v[*id].declared_in_made = true;
			}
		}
	}
	if (l->declared.n)
		qsort(l->declared.v, l->declared.n, sizeof(*l->declared.v),
		      by_name_and_file);
}

/* ---------------------------------------------------------------- assigning -------- */

/* (name << 32 | module) for each module that defines a global of an exported name. */
static struct map find_definers(const struct linker *l)
{
	const struct scan *s = l->s;
	struct map definers = {0};
	u32 i, k, m, *id;

	for (i = 0; i < s->tree->files.n; i++) {
		const struct file *f = &s->tree->files.v[i];
		const struct fact_global *g = f->facts.a[FA_GLOBAL];

		if (!f->has_facts || f->kind == FILE_HEADER)
			continue;
		for (k = 0; k < f->facts.n[FA_GLOBAL]; k++) {
			id = linker_matters(l, g[k].name)
				     ? map_find(&l->xname_index, g[k].name)
				     : NULL;
			/* only what every configuration of the module has */
			if (!g[k].sure || (s->optional && s->optional[i]))
				continue;
			for (m = s->first[i]; id && m < s->first[i + 1]; m++)
				map_get(&definers, ((u64)(*id + 1) << 32) | s->member[m],
					1);
		}
	}
	return definers;
}

/* A makefile of the architecture that `a` is of names `b`. */
static bool is_shared_with(const struct scan *s, u32 b, const char *arch, size_t n)
{
	const u32 *last = map_find(&s->foreign_of, (u64)b + 1);
	u32 i;

	for (i = last ? *last : 0; i; i = s->foreign.v[i - 1].next)
		if (!strncmp(s->foreign.v[i - 1].folder + 5, arch, n) &&
		    strchr("/", s->foreign.v[i - 1].folder[5 + n]))
			return true;
	return false;
}

static bool arch_fits(const struct scan *s, u32 a, u32 b)
{
	const char *x = s->tree->files.v[a].path, *y = s->tree->files.v[b].path;
	size_t n;

	if (!has_prefix(x, "arch/") || !has_prefix(y, "arch/"))
		return true;
	n = strcspn(x + 5, "/") + 1;
	return !strncmp(x + 5, y + 5, n) || has_prefix(x, "arch/um/") ||
	       has_prefix(y, "arch/um/") ||
	       (s->foreign.n && (is_shared_with(s, b, x + 5, n - 1) ||
				 is_shared_with(s, a, y + 5, strcspn(y + 5, "/"))));
}

/* '-' and '_' are the same in a module's name, and a list's word may end in '*'. */
static bool fits_module(const char *word, size_t n, const char *module)
{
	size_t i;

	for (i = 0; i < n && word[i] != '*'; i++)
		if (!module[i] || (word[i] != module[i] &&
				   !(strchr("-_", word[i]) && strchr("-_", module[i]))))
			return false;
	return i < n || !module[i];
}

/* EXPORT_SYMBOL_FOR_MODULES(name, "kvm,foo-*"): others cannot be linked to it. */
static bool is_for_module(const struct scan *s, const struct export *e, u32 module)
{
	const char *name = s->modules.v[module].name, *slash = strrchr(name, '/'), *p;
	size_t n;

	/* a macro makes the list, perhaps another one in each configuration */
	if (!strstr(e->via, "FOR_MODULES") || !*e->ns ||
	    !e->ns[strspn(e->ns, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")])
		return true;
	for (p = e->ns; *p; p += n) {
		p += strspn(p, ", ");
		n = strcspn(p, ", ");
		if (n && fits_module(p, n, slash ? slash + 1 : name))
			return true;
	}
	return false;
}

/* The kernel image cannot use what a module exports: it does so where that is built in. */
static bool is_of_modules(const struct scan *s, const struct export *e)
{
	u32 i;

	for (i = s->first[e->file]; i < s->first[e->file + 1]; i++)
		if (s->member[i] == MODULE_BUILTIN)
			return false;
	return s->first[e->file] < s->first[e->file + 1];
}

static bool counts_for(const struct linker *l, const struct map *definers,
		       const struct export *e, const struct hit *h)
{
	const struct scan *s = l->s;
	u64 key = ((u64)(h->name + 1) << 32) | h->c.module;

	if (scan_file_in(s, e->file, h->c.module) ||
	    (e->source != NO_FILE && scan_file_in(s, e->source, h->c.module)))
		return false;
	if (!arch_fits(s, e->file, h->c.file))
		return false;
	if ((e->kind & EXP_NS_MODULES) && !is_for_module(s, e, h->c.module))
		return false;
	if (s->kind == KIND_LINUX && h->c.module == MODULE_BUILTIN &&
	    !(s->listed && s->listed[h->c.file] & LISTED_BY_SUBST) && is_of_modules(s, e))
		return false;
	return h->c.module == MODULE_BUILTIN || !map_find(definers, key);
}

static const struct {
	const char *pattern, *why;
} compiler_made[] = {
	{"memcpy", "compilers emit calls of it"},
	{"memset", "compilers emit calls of it"},
	{"memmove", "compilers emit calls of it"},
	{"memcmp", "compilers emit calls of it"},
	{"strlen", "compilers emit calls of it"},
	{"bcmp", "compilers emit calls of it"},
	{"stpcpy", "compilers emit calls of it"},
	{"__stack_chk_*", "compilers emit it (stack protector)"},
	{"__fentry__", "compilers emit it (function tracing)"},
	{"mcount", "compilers emit it (function tracing)"},
	{"_mcount", "compilers emit it (function tracing)"},
	{"__gnu_mcount_nc", "compilers emit it (function tracing)"},
	{"ftrace_call_*", "compilers emit it (function tracing)"},
	{"__x86_indirect_*", "compilers emit it (retpolines)"},
	{"__x86_return_thunk", "compilers emit it (return thunks)"},
	{"__s390_indirect_jump_*", "compilers emit it (expolines)"},
	{"__cfi_*", "compilers emit it (control flow integrity)"},
	{"__asan_*", "compilers emit it (KASAN)"},
	{"__hwasan_*", "compilers emit it (KASAN)"},
	{"__tsan_*", "compilers emit it (KCSAN)"},
	{"__msan_*", "compilers emit it (KMSAN)"},
	{"__ubsan_*", "compilers emit it (UBSAN)"},
	{"__sanitizer_*", "compilers emit it (coverage)"},
	{"__gcov_*", "compilers emit it (coverage)"},
	{"llvm_gcov_*", "compilers emit it (coverage)"},
	{"__cyg_profile_*", "compilers emit it (instrumentation)"},
	{"__aeabi_*", "compilers emit it (arithmetic helpers)"},
	{"__*di3", "compilers emit it (arithmetic helpers)"},
	{"__*si3", "compilers emit it (arithmetic helpers)"},
	{"__*di2", "compilers emit it (arithmetic helpers)"},
	{"__*si2", "compilers emit it (arithmetic helpers)"},
	{"__*ti3", "compilers emit it (arithmetic helpers)"},
	{"_restgpr*", "compilers emit it (register saving)"},
	{"_savegpr*", "compilers emit it (register saving)"},
	{"_restfpr*", "compilers emit it (register saving)"},
	{"_savefpr*", "compilers emit it (register saving)"},
	{"__gnu_h2f_ieee", "compilers emit it (arithmetic helpers)"},
	{"__get_user_*", "get_user() calls it from assembly"},
	{"__put_user_*", "put_user() calls it from assembly"},
	{"trace_print_*_seq*", "CREATE_TRACE_POINTS makes calls of it"},
	{"entry_ibpb", "the entry code's assembly macros name it"},
	{"*untrain_ret", "the entry code's assembly macros name it"},
	{"x86_verw_sel", "the entry code's assembly macros name it"},
	{"asm_exc_nmi_noist", "the entry code's assembly macros name it"},
	{"__ref_stack_chk_guard", "compilers emit it (stack protector)"},
	{"__x86_call_depth", "call thunks count in it"},
	{"__ashiftrt_r4_*", "compilers emit calls of it (SuperH shifts)"},
	{"__wrap_*", "the linker makes calls of it (--wrap)"},
	{"bpf_trace_run*", "CREATE_TRACE_POINTS makes calls of it"},
	{"module_layout", "modpost refers to it from every module"},
	{"__this_module", "modpost refers to it from every module"},
};

static const char *implicit_reason(const struct scan *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->policy->implicit.n; i++)
		if (str_match(s->policy->implicit.v[i].pattern, name))
			return s->policy->implicit.v[i].value;
	for (i = 0; s->kind == KIND_LINUX && i < ARRAY_SIZE(compiler_made); i++)
		if (str_match(compiler_made[i].pattern, name))
			return compiler_made[i].why;
	return NULL;
}

static void push_consumer(struct export *e, const struct consumer *c)
{
	/* grows by powers of two, without a field for the room */
	if (!(e->nconsumers & (e->nconsumers - 1)))
		e->consumers =
			xrealloc(e->consumers, (e->nconsumers ? e->nconsumers * 2 : 1) *
						       sizeof(*e->consumers));
	e->consumers[e->nconsumers++] = *c;
}

static int by_module(const void *a, const void *b)
{
	const struct consumer *x = a, *y = b;

	return x->module < y->module ? -1 : x->module > y->module;
}

struct assigning {
	struct linker *l;
	struct map definers;
	unsigned int shares; /* one a worker */
};

static void assign_hits(const struct assigning *a, const struct hits *hits,
			unsigned int worker)
{
	struct linker *l = a->l;
	struct scan *s = l->s;
	size_t i;
	u32 e;

	for (i = 0; i < hits->n; i++) {
		const struct hit *h = &hits->v[i];

		if (h->name % a->shares != worker)
			continue;
		for (e = l->xnames.v[h->name].first_export; e != UINT32_MAX;
		     e = l->next_export[e])
			if (counts_for(l, &a->definers, &s->exports.v[e], h))
				push_consumer(&s->exports.v[e], &h->c);
	}
}

/* Each worker has its share of the names, so that nobody else touches their exports. */
static void assign_share(void *arg, unsigned int worker)
{
	const struct assigning *a = arg;
	struct scan *s = a->l->s;
	unsigned int w;
	size_t i;

	for (w = 0; w < s->workers; w++)
		assign_hits(a, &a->l->hits[w], worker);
	for (i = 0; i < s->exports.n; i++) {
		struct export *x = &s->exports.v[i];
		struct consumer c = {.module = UINT32_MAX, .file = NO_FILE};

		if (x->name_id % a->shares != worker)
			continue;
		c.note = implicit_reason(s, x->name);
		if (c.note)
			push_consumer(x, &c);
		if (x->nconsumers > 1)
			qsort(x->consumers, x->nconsumers, sizeof(*x->consumers),
			      by_module);
	}
}

void linker_assign(struct linker *l)
{
	struct assigning a = {
		.l = l, .definers = find_definers(l), .shares = l->s->workers};

	run_workers(l->s->workers, assign_share, &a);
	map_free(&a.definers);
}
