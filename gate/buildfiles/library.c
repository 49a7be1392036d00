// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What does a C library of this tree export?
 *
 * Version scripts, lists of symbols (-export-symbols) and attributes say it. An export's
 * place is the line that exports it; its module is that of the source that defines it.
 */
#include <ctype.h>
#include <stdlib.h>

#include "exported.h"
#include "members.h"

struct definition {
	u32 file, line, str, next;
};

/* Every function or object that the tree's sources define, by name. */
struct definitions {
	struct map index; /* hash -> 1 + first */
	VEC(struct definition) d;
};

static void collect_definitions(const struct scan *s, struct definitions *defs)
{
	u32 i, k;

	for (i = 0; i < s->tree->files.n; i++) {
		const struct file *f = &s->tree->files.v[i];
		const struct fact_global *g = f->facts.a[FA_GLOBAL];

		if (!f->has_facts || f->kind == FILE_HEADER)
			continue;
		for (k = 0; k < f->facts.n[FA_GLOBAL]; k++) {
			u32 *first = map_get(&defs->index, g[k].name, 0);
			struct definition d = {i, g[k].line, g[k].str, *first};

			vec_push(&defs->d, d);
			*first = defs->d.n;
		}
	}
}

static u32 shared_folders(const char *a, const char *b)
{
	u32 n = 0;

	for (; *a && *a == *b; a++, b++)
		n += *a == '/';
	return n;
}

/* The definition nearest to the file that exports. */
static void find_source(const struct scan *s, const struct definitions *defs,
			struct export *e)
{
	const u32 *first = map_find(&defs->index, hash_str(e->name));
	u32 i, near, best = 0;

	for (i = first && defs->d.n ? *first : 0; i; i = defs->d.v[i - 1].next) {
		const struct definition *d = &defs->d.v[i - 1];

		near = 1 + shared_folders(scan_path(s, e->file), scan_path(s, d->file));
		if (near <= best)
			continue;
		best = near;
		e->source = d->file;
		e->source_line = d->line;
	}
}

static void add_export(struct scan *s, const struct definitions *defs, u32 file, u32 line,
		       const char *name, const char *node)
{
	struct export e = {.file = file,
			   .line = line,
			   .source = NO_FILE,
			   .kind = EXP_LIBRARY,
			   .added = -1,
			   .consumed = -1};
	const struct policy *p = s->policy;
	size_t i;

	e.name = arena_strndup(&s->arena, name, strlen(name));
	e.ns = "";
	e.via = arena_strndup(&s->arena, node, strlen(node));
	e.judged = !p->judge.n;
	for (i = 0; i < p->judge.n; i++)
		e.judged |= str_match(p->judge.v[i], node);
	for (i = 0; i < p->gpl.n; i++)
		if (str_match(p->gpl.v[i], node))
			e.kind |= EXP_GPL;
	find_source(s, defs, &e);
	vec_push(&s->exports, e);
}

/* A pattern exports whatever of that name the library's sources define. */
static void add_pattern(struct scan *s, const struct definitions *defs, u32 file, u32 line,
			const char *pattern, const char *node)
{
	size_t i;

	for (i = 0; i < defs->d.n; i++) {
		const struct definition *d = &defs->d.v[i];
		const char *name = facts_str(&s->tree->files.v[d->file].facts, d->str);

		if (str_match(pattern, name) &&
		    *map_find(&defs->index, hash_str(name)) == i + 1)
			add_export(s, defs, file, line, name, node);
	}
}

/* ---------------------------------------------------------------- version scripts -- */

struct script {
	script_fn *fn;
	void *arg;
	u32 line;
	const char *p, *end;
	char word[256];
};

static bool is_mark(char c)
{
	return c == '{' || c == '}' || c == ';' || c == ':';
}

/* The next word, or a single character of punctuation; false at the end. */
static bool next_word(struct script *sc)
{
	size_t n = 0;

	for (; sc->p < sc->end; sc->p++) {
		if (*sc->p == '\n') {
			sc->line++;
		} else if (*sc->p == '#') {
			while (sc->p + 1 < sc->end && sc->p[1] != '\n')
				sc->p++;
		} else if (*sc->p == '/' && sc->p + 1 < sc->end && sc->p[1] == '*') {
			for (sc->p += 2; sc->p < sc->end; sc->p++) {
				sc->line += *sc->p == '\n';
				if (*sc->p == '/' && sc->p[-1] == '*')
					break;
			}
		} else if (!isspace((u8)*sc->p)) {
			break;
		}
	}
	if (sc->p >= sc->end)
		return false;
	if (is_mark(*sc->p)) {
		sc->word[n++] = *sc->p++;
	} else {
		while (sc->p < sc->end && !isspace((u8)*sc->p) && !is_mark(*sc->p)) {
			if (n + 1 < sizeof(sc->word))
				sc->word[n++] = *sc->p;
			sc->p++;
		}
	}
	sc->word[n] = '\0';
	return true;
}

static void export_word(struct script *sc, const char *node)
{
	if (sc->word[0] && sc->word[0] != '"' && strcmp(sc->word, "extern") != 0)
		sc->fn(sc->arg, sc->word, node, sc->line);
}

static void read_version_script(struct script *sc)
{
	char node[256] = "", word[256] = "";
	bool global = true;
	int depth = 0;

	while (next_word(sc)) {
		if (!strcmp(sc->word, "{")) {
			if (!depth++)
				strcpy(node, word);
			global = true;
		} else if (!strcmp(sc->word, "}")) {
			depth -= depth > 0;
		} else if (!strcmp(sc->word, ":")) {
			global = !strcmp(word, "global");
		} else if (strcmp(sc->word, ";") != 0) {
			const char *p = sc->p;

			while (p < sc->end && isspace((u8)*p))
				p++;
			if (depth && global && !(p < sc->end && *p == ':'))
				export_word(sc, node);
		}
		strcpy(word, sc->word);
	}
}

static void read_symbol_list(struct script *sc)
{
	while (next_word(sc))
		if (!is_mark(sc->word[0]))
			export_word(sc, "list");
}

void library_script_names(const char *text, size_t len, script_fn *fn, void *arg)
{
	struct script sc = {.fn = fn, .arg = arg, .line = 1, .p = text, .end = text + len};

	if (memchr(text, '{', len))
		read_version_script(&sc);
	else
		read_symbol_list(&sc);
}

/* ---------------------------------------------------------------- finding them ----- */

struct script_file {
	struct scan *s;
	const struct definitions *defs;
	u32 file;
};

static void export_script_name(void *arg, const char *name, const char *node, u32 line)
{
	const struct script_file *sf = arg;

	if (strpbrk(name, "*?["))
		add_pattern(sf->s, sf->defs, sf->file, line, name, node);
	else
		add_export(sf->s, sf->defs, sf->file, line, name, node);
}

static void read_script(struct scan *s, const struct definitions *defs, u32 file)
{
	struct script_file sf = {s, defs, file};
	struct buf b = {0};
	size_t len;
	const char *text = tree_read(s->tree, &s->tree->files.v[file], &b, &len);

	if (text)
		library_script_names(text, len, export_script_name, &sf);
	buf_free(&b);
}

/* libtool's -export-symbols-regex in a Makefile.am: "^hmm_" and the like. */
static void read_export_regex(struct scan *s, const struct definitions *defs, u32 file)
{
	struct buf b = {0};
	size_t len;
	const char *text = tree_read(s->tree, &s->tree->files.v[file], &b, &len), *p, *q;
	u32 line = 1;

	for (p = text; text && (q = strstr(p, "-export-symbols-regex")); p = q) {
		char pattern[128];
		size_t n = 0;

		for (; p < q; p++)
			line += *p == '\n';
		q += strlen("-export-symbols-regex");
		q += strspn(q, " \t'\"^");
		while (n + 2 < sizeof(pattern) && (isalnum((u8)*q) || *q == '_'))
			pattern[n++] = *q++;
		pattern[n++] = '*';
		pattern[n] = '\0';
		if (n > 1)
			add_pattern(s, defs, file, line, pattern, "regex");
	}
	buf_free(&b);
}

static void complete_attribute_exports(struct scan *s, const struct definitions *defs)
{
	size_t i;

	for (i = 0; i < s->exports.n; i++)
		if (s->exports.v[i].source == NO_FILE &&
		    (s->exports.v[i].kind & EXP_LIBRARY))
			find_source(s, defs, &s->exports.v[i]);
}

/* What the build says of the libraries takes the place of what attributes say. */
static bool exports_by_build(struct scan *s)
{
	const struct policy *p = s->policy;
	size_t i, kept = 0, before = s->exports.n;
	bool chosen = p->scripts.n || p->lists.n || p->attributes.n || p->macros.n;
	bool found = s->build && !chosen && exported_find(s, s->build);

	for (i = 0; found && i < s->exports.n; i++)
		if (i >= before || !(s->exports.v[i].kind & EXP_LIBRARY))
			s->exports.v[kept++] = s->exports.v[i];
	if (found)
		s->exports.n = kept;
	for (i = 0; s->build && i < s->build->notes.n; i++)
		vec_push(&s->notes, arena_strndup(&s->arena, s->build->notes.v[i],
						  strlen(s->build->notes.v[i])));
	build_free(s->build);
	s->build = NULL;
	return found;
}

void library_exports(struct scan *s)
{
	const struct policy *p = s->policy;
	bool chosen = p->scripts.n || p->lists.n;
	struct definitions defs = {0};
	u32 i;

	if (exports_by_build(s))
		return;

	collect_definitions(s, &defs);
	for (i = 0; i < s->tree->files.n; i++) {
		const struct file *f = &s->tree->files.v[i];

		if (chosen ? strings_match(&p->scripts, f->path) ||
				     strings_match(&p->lists, f->path)
			   : f->kind == FILE_SCRIPT && !has_prefix(f->path, "debian/"))
			read_script(s, &defs, i);
		else if (f->kind == FILE_MAKE && has_suffix(f->path, "Makefile.am"))
			read_export_regex(s, &defs, i);
	}
	complete_attribute_exports(s, &defs);
	map_free(&defs.index);
	vec_free(&defs.d);
}
