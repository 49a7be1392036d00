// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where do the source's exports and the built objects' differ, and why?
 *
 * What is built is one configuration for one architecture, so the source says more; that
 * is no error. An error is a symbol that a built object imports and the source calls
 * unconsumed, or an export that is built and not found.
 */
#include <jansson.h>
#include <stdlib.h>

#include "command.h"
#include "scan/run.h"
#include "objects/built.h"
#include "objects/unseen.h"

enum difference {
	DIFF_NONE,
	DIFF_UNSEEN_CONSUMER, /* built objects import it, the source has no consumer: error
			       */
	DIFF_UNSEEN_EXPORT,   /* built, but the source does not export it: error */
	DIFF_MADE,            /* the same, but a compiler or generator makes its name */
	DIFF_RENAMED,         /* the same, but a macro puts another name there */
	DIFF_NOT_BUILT,       /* not in this configuration */
	DIFF_OTHER_ARCH,
	DIFF_NOT_USED_HERE, /* its consumers are not in this configuration */
	DIFF_COUNT
};

static const char *const difference_names[DIFF_COUNT] = {
	"the same in both",
	"error: built objects import it, but the source scan saw no consumer",
	"error: it is built, but the source scan saw no export",
	"made by a compiler or a generator: no source line exports it",
	"renamed: a macro that is not expanded makes its name",
	"other configuration: the export is not built here",
	"other architecture: the export is not built here",
	"other configuration: its consumers are not built here",
};

/* Symbols that stand in no source: Rust's, and those that a tracepoint consists of. */
static bool is_generated(const char *name)
{
	return has_prefix(name, "_R") || has_prefix(name, "rust_") ||
	       has_prefix(name, "__SCT__") || has_prefix(name, "__SCK__") ||
	       has_prefix(name, "__traceiter_") || has_prefix(name, "__x86_indirect_") ||
	       has_suffix(name, "_cgrp_subsys_enabled_key") ||
	       has_suffix(name, "_cgrp_subsys_on_dfl_key");
}

static bool in_foreign_arch(const struct scan *s, const struct export *e,
			    const struct built *b)
{
	const char *path = scan_path(s, e->file);
	size_t i, n;

	if (!has_prefix(path, "arch/"))
		return false;
	n = strcspn(path + 5, "/");
	for (i = 0; i < b->objects.n; i++)
		if (has_prefix(b->objects.v[i], "arch/"))
			return strncmp(b->objects.v[i] + 5, path + 5, n + 1) != 0;
	return false;
}

/* Is this the export that was built, or another one of that name? */
static bool is_that_export(const struct scan *s, const struct export *e,
			   const struct elf_symbol *sym, const struct built *b)
{
	u32 home = e->source != NO_FILE ? e->source : e->file, i;

	if (in_foreign_arch(s, e, b))
		return false;
	if (s->kind == KIND_LIBRARY || s->first[home] == s->first[home + 1])
		return true;
	for (i = s->first[home]; i < s->first[home + 1]; i++)
		if (same_module(s->modules.v[s->member[i]].name, sym->module))
			return true;
	/* a module's sources may be built in, here */
	return !strcmp(sym->module, "vmlinux");
}

static enum difference difference_of(const struct scan *s, const struct export *e,
				     const struct built *b, struct arena *a)
{
	const u32 *at = map_find(&b->index, hash_str(export_symbol(a, e)));
	const struct elf_symbol *sym = at ? &b->symbols.v[*at] : NULL;

	if (in_foreign_arch(s, e, b))
		return DIFF_OTHER_ARCH;
	if (!sym || !*sym->module || !is_that_export(s, e, sym, b))
		return DIFF_NOT_BUILT;
	if (sym->importers && !e->nconsumers)
		return DIFF_UNSEEN_CONSUMER;
	if (!sym->importers && e->nconsumers)
		return DIFF_NOT_USED_HERE;
	return DIFF_NONE;
}

static void note_unseen(const struct scan *s, const struct built *b, u32 *count,
			json_t *list, struct arena *a)
{
	struct map known = {0};
	size_t i;

	for (i = 0; i < s->exports.n; i++)
		map_get(&known, hash_str(export_symbol(a, &s->exports.v[i])), 1);
	for (i = 0; i < b->symbols.n; i++) {
		const struct elf_symbol *sym = &b->symbols.v[i];
		enum difference d = DIFF_UNSEEN_EXPORT;

		if (map_find(&known, hash_str(sym->name)) || !*sym->module)
			continue;
		if (is_generated(sym->name) ||
		    unseen_is_generated(s, sym->name, sym->module))
			d = DIFF_MADE;
		else if (unseen_is_renamed(s, sym->name, sym->module))
			d = DIFF_RENAMED;
		count[d]++;
		if (d == DIFF_UNSEEN_EXPORT)
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:s}", "symbol",
							sym->name, "module", sym->module,
							"difference", difference_names[d]));
	}
	map_free(&known);
}

static int compare(struct options *o, const struct built *b)
{
	u32 count[DIFF_COUNT] = {0};
	json_t *errors = json_array(), *root = json_object();
	struct arena a = {0};
	struct judgement j;
	struct policy p;
	struct scan *s = command_scan(o, o->args[0], &p, &j);
	size_t i, n;
	json_t *one;
	int d;

	for (i = 0; i < s->exports.n; i++) {
		const struct export *e = &s->exports.v[i];

		d = difference_of(s, e, b, &a);
		count[d]++;
		if (d == DIFF_UNSEEN_CONSUMER)
			json_array_append_new(errors,
					      json_pack("{s:s, s:s, s:i, s:s}", "symbol",
							export_symbol(&a, e), "file",
							scan_path(s, e->file), "line",
							(int)e->line, "difference",
							difference_names[d]));
	}
	note_unseen(s, b, count, errors, &a);
	for (d = 0; d < DIFF_COUNT; d++) {
		json_object_set_new(root, difference_names[d], json_integer(count[d]));
		if (!o->json)
			printf("%7u  %s\n", count[d], difference_names[d]);
	}
	n = json_array_size(errors);
	json_object_set_new(root, "errors", errors);
	if (o->json)
		json_dumpf(root, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	for (i = 0; !o->json && i < n; i++) {
		one = json_array_get(errors, i);
		printf("%s: %s\n", json_string_value(json_object_get(one, "symbol")),
		       json_string_value(json_object_get(one, "difference")));
	}
	json_decref(root);
	judgement_free(&j);
	scan_free(s);
	policy_free(&p);
	arena_free(&a);
	return count[DIFF_UNSEEN_CONSUMER] ? EXIT_VIOLATIONS : EXIT_OK;
}

static int by_symbol(const void *x, const void *y)
{
	return strcmp(((const struct elf_symbol *)x)->name,
		      ((const struct elf_symbol *)y)->name);
}

static void print_built(struct options *o, struct built *b)
{
	json_t *list = json_array();
	size_t i, unused = 0, exported = 0;

	qsort(b->symbols.v, b->symbols.n, sizeof(*b->symbols.v), by_symbol);
	for (i = 0; i < b->symbols.n; i++) {
		const struct elf_symbol *s = &b->symbols.v[i];

		exported += *s->module != '\0';
		unused += *s->module && !s->importers;
		if (o->json)
			json_array_append_new(
				list,
				json_pack("{s:s, s:s, s:s, s:s, s:i}", "symbol", s->name,
					  "module", s->module, "kind", s->kind, "namespace",
					  s->ns, "importers", (int)s->importers));
		else if (*s->module && (o->all || !s->importers))
			printf("%-40s %-18s %s  %u importers%s%s\n", s->name, s->kind,
			       s->module, s->importers, s->importers ? ", first " : "",
			       s->importers ? b->objects.v[s->first_importer] : "");
	}
	if (o->json)
		json_dumpf(list, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	else
		printf("%zu objects, %zu exports, %zu that no object imports\n",
		       b->objects.n, exported, unused);
	json_decref(list);
}

int elf_command(struct options *o)
{
	struct built b;
	int status = EXIT_OK;

	built_read(&b, o->elf);
	if (!b.objects.n && !b.symvers)
		die("%s holds no objects (.ko, .o, .so) and no Module.symvers", o->elf);
	if (o->nargs)
		status = compare(o, &b);
	else
		print_built(o, &b);
	built_free(&b);
	return status;
}
