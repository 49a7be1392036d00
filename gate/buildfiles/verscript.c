// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which names does a version script, or a list of symbols, let out of a library?
 *
 * Forms: ld's version scripts, libtool's lists (a name a line), Windows' .def files, and
 * OpenSSL's tables of ordinals (name, number, version, EXIST:...).
 */
#include <ctype.h>
#include <stdlib.h>

#include "verscript.h"

struct reading {
	struct verscript *vs;
	const char *p, *end;
	u32 line;
	char word[512];
	bool quoted;
};

static bool is_mark(char c)
{
	return c == '{' || c == '}' || c == ';' || c == ':';
}

static void skip_blanks(struct reading *r)
{
	for (; r->p < r->end; r->p++) {
		if (*r->p == '\n') {
			r->line++;
		} else if (*r->p == '#') {
			while (r->p + 1 < r->end && r->p[1] != '\n')
				r->p++;
		} else if (*r->p == '/' && r->p + 1 < r->end && r->p[1] == '*') {
			for (r->p += 2; r->p < r->end; r->p++) {
				r->line += *r->p == '\n';
				if (*r->p == '/' && r->p[-1] == '*')
					break;
			}
			if (r->p >= r->end)
				return;
		} else if (!isspace((u8)*r->p) && *r->p) {
			return;
		}
	}
}

/* The next word, string or mark; false at the end. */
static bool next_word(struct reading *r)
{
	size_t n = 0;

	skip_blanks(r);
	if (r->p >= r->end)
		return false;
	r->quoted = *r->p == '"';
	if (is_mark(*r->p)) {
		r->word[n++] = *r->p++;
	} else {
		r->p += r->quoted;
		while (r->p < r->end &&
		       (r->quoted ? *r->p != '"' && *r->p != '\n'
				  : !isspace((u8)*r->p) && !is_mark(*r->p))) {
			/* C++: a::b is one name */
			if (n + 1 < sizeof(r->word))
				r->word[n++] = *r->p;
			r->p++;
		}
		r->p += r->quoted && r->p < r->end;
	}
	r->word[n] = '\0';
	return true;
}

static bool is_name(const char *s)
{
	if (isdigit((u8)*s) || !*s)
		return false;
	for (; *s; s++)
		if (!isalnum((u8)*s) && !strchr("_.$*?[]-^@", *s))
			return false;
	return true;
}

static void add(struct reading *r, const char *name, const char *node, bool global)
{
	struct verscript_entry e = {.line = r->line, .global = global};
	u32 *at;

	if (!is_name(name))
		return;
	e.pattern = arena_strndup(&r->vs->arena, name, strlen(name));
	e.node = arena_strndup(&r->vs->arena, node, strlen(node));
	e.glob = strpbrk(name, "*?[") != NULL;
	vec_push(&r->vs->v, e);
	if (e.glob)
		return;
	at = map_get(&r->vs->exact, hash_str(name), 0);
	if (!*at || (global && !r->vs->v.v[*at - 1].global))
		*at = r->vs->v.n;
}

/* ---------------------------------------------------------------- version scripts -- */

static bool colon_follows(struct reading *r)
{
	const char *p = r->p;

	while (p < r->end && isspace((u8)*p))
		p++;
	return p < r->end && *p == ':';
}

static void read_nodes(struct reading *r)
{
	char node[512] = "", last[512] = "";
	bool global = true, cxx = false;
	int depth = 0;

	while (next_word(r)) {
		if (!strcmp(r->word, "{") && !r->quoted) {
			if (!depth)
				strcpy(node, last);
			global = depth ? global : true;
			depth++;
		} else if (!strcmp(r->word, "}") && !r->quoted) {
			depth -= depth > 0;
			if (depth < 2)
				cxx = false;
		} else if (!strcmp(r->word, ":")) {
			global = strcmp(last, "local") != 0;
		} else if (r->quoted && !strcmp(last, "extern")) {
			cxx = strcmp(r->word, "C") != 0;
		} else if (strcmp(r->word, ";") != 0 && depth && !colon_follows(r) &&
			   strcmp(r->word, "extern") != 0 && !cxx) {
			add(r, r->word, node, global);
		}
		strcpy(last, r->word);
	}
}

/* ---------------------------------------------------------------- lists ------------ */

/* "name 12 3_0_0 EXIST:platforms:FUNCTION:features" */
static bool ordinal_line(struct reading *r, const char *line, size_t n)
{
	char name[256], version[64], state[256];
	unsigned int number;
	char *copy = xstrndup(line, n);
	bool ok;

	ok = sscanf(copy, "%255s %u %63s %255s", name, &number, version, state) == 4 &&
	     (has_prefix(state, "EXIST:") || has_prefix(state, "NOEXIST:"));
	if (!ok)
		ok = sscanf(copy, "%255s ? %63s %255s", name, version, state) == 3 &&
		     (has_prefix(state, "EXIST:") || has_prefix(state, "NOEXIST:"));
	if (ok && *state == 'E')
		add(r, name, version, true);
	free(copy);
	return ok;
}

/* One name, perhaps with "@ordinal" and "=other" of a .def file. */
static bool list_line(struct reading *r, const char *line, size_t n)
{
	char name[256];
	size_t k = 0;

	while (k < n && (isalnum((u8)line[k]) || strchr("_.$", line[k])) &&
	       k + 1 < sizeof(name))
		name[k] = line[k], k++;
	name[k] = '\0';
	if (!k || !is_name(name))
		return false;
	while (k < n && isspace((u8)line[k]))
		k++;
	if (k < n && line[k] != '@' && line[k] != '=' && line[k] != ';' && line[k] != '#')
		return false;
	add(r, name, "list", true);
	return true;
}

static bool is_def_word(const char *line, size_t n)
{
	static const char *const words[] = {"LIBRARY",  "DESCRIPTION", "VERSION",
					    "HEAPSIZE", "NAME",        "STUB",
					    "STACKSIZE"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (n >= strlen(words[i]) && !memcmp(line, words[i], strlen(words[i])))
			return true;
	return false;
}

/* More lines that are no names than names: it is something else. */
static bool read_list(struct reading *r)
{
	u32 good = 0, bad = 0;

	for (; r->p < r->end; r->line++) {
		const char *nl = memchr(r->p, '\n', r->end - r->p), *line = r->p;
		size_t n;

		nl = nl ? nl : r->end;
		while (line < nl && isspace((u8)*line))
			line++;
		for (n = nl - line; n && isspace((u8)line[n - 1]); n--)
			;
		r->p = nl + 1;
		if (!n || *line == '#' || *line == ';' || *line == '/' || *line == '*' ||
		    is_def_word(line, n) || (n == 7 && !memcmp(line, "EXPORTS", 7)))
			continue;
		if (ordinal_line(r, line, n) || list_line(r, line, n))
			good++;
		else
			bad++;
	}
	return good > bad;
}

bool verscript_read(struct verscript *vs, const char *text, size_t len)
{
	struct reading r = {.vs = vs, .p = text, .end = text + len, .line = 1};

	memset(vs, 0, sizeof(*vs));
	vs->nodes = memchr(text, '{', len) && memchr(text, ';', len);
	if (!vs->nodes)
		return read_list(&r);
	read_nodes(&r);
	return vs->v.n;
}

void verscript_free(struct verscript *vs)
{
	vec_free(&vs->v);
	map_free(&vs->exact);
	arena_free(&vs->arena);
}

/* ld: a name beats a pattern, a pattern beats "*", what lets out beats what keeps in. */
bool verscript_exports(const struct verscript *vs, const char *name,
		       const struct verscript_entry **entry)
{
	const u32 *at = map_find(&vs->exact, hash_str(name));
	const struct verscript_entry *best = NULL;
	int rank = 0, r;
	size_t i;

	*entry = NULL;
	if (at && *at) {
		*entry = &vs->v.v[*at - 1];
		return (*entry)->global;
	}
	for (i = 0; i < vs->v.n; i++) {
		const struct verscript_entry *e = &vs->v.v[i];

		if (!e->glob)
			continue;
		r = (strcmp(e->pattern, "*") ? 3 : 1) + e->global;
		if (r > rank && str_match(e->pattern, name)) {
			rank = r;
			best = e;
		}
	}
	*entry = best;
	return best ? best->global : vs->nodes;
}

bool verscript_has_node(const struct verscript *vs, const char *node)
{
	size_t i;

	for (i = 0; i < vs->v.n; i++)
		if (!strcmp(vs->v.v[i].node, node))
			return true;
	return false;
}
