// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What do automake and plain makefiles build?
 *
 * Variables hold what any configuration puts there. Automake's names say what is built of
 * what (libx_la_SOURCES); a plain rule says it by its prerequisites and its commands.
 * Variables that configure sets are looked for in configure.ac and in m4/.
 */
#include <ctype.h>
#include <stdlib.h>

#include "build.h"
#include "makevar.h"

struct make_rule {
	char *targets, *needs, *recipe;
	u32 line;
};

struct make {
	struct build *b;
	const char *root; /* where configure runs */
	const char *dir;  /* of the makefile */
	u32 file;
	struct makevars vars;
	struct makevars sure; /* only what no condition surrounds */
	VEC(char *) names;    /* assigned, for automake's endings */
	VEC(struct make_rule) rules;
	int conds, includes;
	int off; /* the conditional that holds for other systems only; 0 = none */
	bool automake;
};

/* ---------------------------------------------------------------- words ------------ */

static char *expand(struct make *m, const char *text)
{
	struct buf out = {0};

	buf_add(&out, "", 0);
	makevars_expand(&m->vars, &out, text, strlen(text), 0);
	return out.s;
}

static char *value(struct make *m, const char *name)
{
	const char *v = makevars_get(&m->vars, name);

	return v ? expand(m, v) : NULL;
}

/* @NAME@ is a variable that configure sets; %D% is the makefile's folder. */
static char *with_variables(struct make *m, const char *s, size_t n)
{
	struct buf out = {0};
	size_t i, k;

	buf_add(&out, "", 0);
	for (i = 0; i < n; i++) {
		for (k = i + 1; k < n && (isalnum((u8)s[k]) || s[k] == '_'); k++)
			;
		if (s[i] == '@' && k > i + 1 && k < n && s[k] == '@') {
			buf_printf(&out, "$(%.*s)", (int)(k - i - 1), s + i + 1);
			i = k;
		} else if (n - i >= 3 &&
			   (!memcmp(s + i, "%D%", 3) || !memcmp(s + i, "%C%", 3))) {
			const char *d = m->vars.dir;

			for (; s[i + 1] == 'D' && *d; d++)
				buf_putc(&out, *d);
			for (; s[i + 1] == 'C' && *d; d++)
				buf_putc(&out, isalnum((u8)*d) ? *d : '_');
			i += 2;
		} else {
			buf_putc(&out, s[i]);
		}
	}
	return out.s;
}

static void set(struct make *m, const char *name, const char *v, char op)
{
	if (!makevars_get(&m->vars, name))
		vec_push(&m->names, arena_strndup(&m->b->arena, name, strlen(name)));
	makevars_set(&m->vars, name, v, op, m->conds > 0);
	if (!m->conds)
		makevars_set(&m->sure, name, v, op, false);
}

/* ---------------------------------------------------------------- configure -------- */

/* NAME="..." in a configure script: all that any branch puts there. */
static void shell_assignment(struct make *m, const char *name, size_t n, const char *v,
			     const char *end)
{
	struct buf out = {0};
	char *var = xstrndup(name, n);
	char quote = *v == '"' || *v == '\'' ? *v : 0;

	buf_add(&out, "", 0);
	for (v += quote != 0; v < end && *v != '\n' && !(quote && *v == quote); v++) {
		size_t k = 1 + (v[1] == '{'), len = 0;

		if (!quote && (isspace((u8)*v) || strchr("];)`", *v)) &&
		    !strchr(out.s, '"'))
			break;
		if (*v != '$') {
			if (*v != '"')
				buf_putc(&out, *v);
			continue;
		}
		while (isalnum((u8)v[k + len]) || v[k + len] == '_')
			len++;
		/* ${NAME-"value"}: the value; a variable in itself: nothing */
		if (k == 2 && v[k + len] == '-') {
			quote = v[k + len + 1] == '"' ? '"' : quote;
			v += k + len + (quote == '"');
			continue;
		}
		if (len && (len != n || memcmp(v + k, name, n) != 0))
			buf_printf(&out, "$(%.*s)", (int)len, v + k);
		if (len)
			v += k + len - (v[k + len] != '}');
	}
	if ((strchr(out.s, '-') || strstr(out.s, ".so")) && !strstr(out.s, "conftest"))
		makevars_set(&m->vars, var, out.s, '+', true);
	free(var);
	buf_free(&out);
}

/* AX_APPEND_FLAG([-fvisibility=hidden], [AM_CFLAGS]): a flag, and then a variable. */
static void append_flag(struct make *m, const char *p, const char *end)
{
	char flag[128], name[128];
	size_t n = 0;

	for (p += strspn(p, "[ \t\"");
	     p < end && !strchr("],\" \t\n", *p) && n + 1 < sizeof(flag);)
		flag[n++] = *p++;
	flag[n] = '\0';
	p += strspn(p, "]\" \t");
	if (*p != ',')
		return;
	p += 1 + strspn(p + 1, "[ \t\n");
	for (n = 0; (isalnum((u8)*p) || *p == '_') && n + 1 < sizeof(name);)
		name[n++] = *p++;
	name[n] = '\0';
	if (n)
		makevars_set(&m->vars, name, flag, '+', true);
}

/* AC_DEFINE([NAME], [value]): a value that is more than a number is taken. */
static void define_macro(struct make *m, const char *p, const char *end)
{
	char name[128], text[512];
	size_t n = 0;
	int depth = 0;

	p += strcspn(p, "(\n");
	p += *p == '(';
	p += strspn(p, "[ \t\n");
	while (p < end && (isalnum((u8)*p) || *p == '_') && n + 1 < sizeof(name))
		name[n++] = *p++;
	name[n] = '\0';
	p += strspn(p, "] \t");
	if (*p != ',' || !n)
		return;
	p += 1 + strspn(p + 1, " \t\n");
	for (n = 0; p < end && n + 1 < sizeof(text) && !(strchr(",)\n", *p) && depth <= 0);
	     p++) {
		if (*p == '[' || *p == ']')
			depth += *p == '[' ? 1 : -1;
		else
			text[n++] = *p;
	}
	text[n] = '\0';
	if (strstr(text, "__attribute__") || strstr(text, "extern"))
		strings_add(m->b, &m->b->macros,
			    arena_printf(&m->b->arena, "%s=%s", name, text));
}

static void read_configure_text(struct make *m, const char *text, size_t len)
{
	const char *p = text, *end = text + len, *from;

	while ((p = memchr(p, '=', end - p))) {
		for (from = p; from > text && (isalnum((u8)from[-1]) || from[-1] == '_');)
			from--;
		if (p > from && (from == text || !strchr("-$", from[-1])) &&
		    isupper((u8)*from) && p + 1 < end && p[1] != '=')
			shell_assignment(m, from, p - from, p + 1, end);
		p++;
	}
	for (p = text; (p = strstr(p, "AC_DEFINE")); p++)
		define_macro(m, p, end);
	for (p = text; (p = strstr(p, "_FLAG")); p++)
		if (p + 7 < end && (p[5] == '(' || (p[5] == 'S' && p[6] == '(')))
			append_flag(m, p + (p[5] == '(' ? 6 : 7), end);
}

static void read_configure(struct make *m)
{
	const struct tree *t = m->b->s->tree;
	size_t i, n = strlen(m->root), len;

	for (i = 0; i < t->files.n; i++) {
		const char *path = t->files.v[i].path, *base = strrchr(path, '/'), *text;

		base = base ? base + 1 : path;
		if (t->files.v[i].kind != FILE_CONFIGURE ||
		    strncmp(path, m->root, n) != 0 || (n && path[n] != '/'))
			continue;
		/* at the root, and the macros of its m4 folders */
		if ((size_t)(base - path) != n + (n > 0) && !has_suffix(base, ".m4"))
			continue;
		text = build_text(m->b, i, &len);
		if (text && !strstr(text, "Generated by GNU Autoconf"))
			read_configure_text(m, text, len);
	}
}

/* ---------------------------------------------------------------- lines ------------ */

static void read_makefile(struct make *m, u32 file);

static void include_files(struct make *m, const char *words)
{
	char *list = expand(m, words), *save = NULL, *w;
	u32 file;

	for (w = strtok_r(list, " \t", &save); w && m->includes < 40;
	     w = strtok_r(NULL, " \t", &save)) {
		file = build_path(m->b, m->dir, w);
		if (file == NO_FILE && *m->vars.dir)
			file = build_path(m->b, m->vars.dir, w);
		if (file != NO_FILE)
			read_makefile(m, file);
	}
	free(list);
}

static bool begins(const char *line, const char *word)
{
	size_t n = strlen(word);

	return !strncmp(line, word, n) &&
	       (!line[n] || isspace((u8)line[n]) || line[n] == '(');
}

/* True if the line was a conditional or an include. */
static bool keyword_line(struct make *m, const char *line)
{
	static const char *const opens[] = {"if", "ifeq", "ifneq", "ifdef", "ifndef"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(opens); i++)
		if (begins(line, opens[i])) {
			m->conds++;
			/* ifneq (,$(filter X,...)): it is X */
			if (!m->off && build_is_foreign(line) && strstr(line, "(,"))
				m->off = opens[i][2] == 'n' ? m->conds : -m->conds;
			else if (!m->off && build_is_foreign(line))
				m->off = (opens[i][2] == 'n') != !!strchr(line, '!')
						 ? -m->conds
						 : m->conds;
			return true;
		}
	if (begins(line, "else")) {
		if (m->off == m->conds || m->off == -m->conds)
			m->off = -m->off;
		/* "else ifeq" asks something else again */
		if (m->off == -m->conds && build_is_foreign(line))
			m->off = m->conds;
		return true;
	}
	if (begins(line, "endif")) {
		if (m->off == m->conds || m->off == -m->conds)
			m->off = 0;
		m->conds -= m->conds > 0;
		return true;
	}
	if (m->off > 0)
		return true;
	if (begins(line, "include") || begins(line, "-include") ||
	    begins(line, "sinclude")) {
		include_files(m, line + strcspn(line, " \t"));
		return true;
	}
	return begins(line, "vpath") || begins(line, ".PHONY:") || begins(line, "unexport");
}

/* NAME op VALUE: true if the line is an assignment. */
static bool assignment(struct make *m, char *line)
{
	char *eq, *p = line, *name, *full;
	char op = '=';

	while (begins(p, "export") || begins(p, "override"))
		p += strcspn(p, " \t"), p += strspn(p, " \t");
	eq = p;
	while (*eq && *eq != '=' && !(*eq == ':' && eq[1] != '=' && eq[1] != ':')) {
		if (*eq == '$' && (eq[1] == '(' || eq[1] == '{'))
			eq += strcspn(eq, ")}");
		if (*eq)
			eq++;
	}
	if (*eq != '=' || eq == p)
		return false;
	name = p;
	p = eq + 1;
	if (eq > name && strchr("+?:!", eq[-1]))
		op = *--eq;
	while (eq > name && (isspace((u8)eq[-1]) || eq[-1] == ':'))
		eq--;
	*eq = '\0';
	full = expand(m, name);
	p += strspn(p, " \t");
	if (!strpbrk(full, " \t") && op != '!') {
		if (op == ':' && strstr(p, full)) {
			/* X := $(X) y means what it was before */
			char *now = expand(m, p);

			set(m, full, now, '=');
			free(now);
		} else if (op != '?' || !makevars_get(&m->vars, full)) {
			set(m, full, p, op);
		}
	}
	free(full);
	return true;
}

static void begin_rule(struct make *m, char *line, u32 number)
{
	char *colon = line, *semi;
	struct make_rule r = {.line = number};

	while (*colon && *colon != ':') {
		if (*colon == '$' && (colon[1] == '(' || colon[1] == '{'))
			colon += strcspn(colon, ")}");
		if (*colon)
			colon++;
	}
	if (*colon != ':')
		return;
	*colon++ = '\0';
	colon += *colon == ':';
	/* libx.so: LDFLAGS += -shared: flags of this target */
	semi = strchr(colon, '=') ? strchr(colon, '=') : strchr(colon, ';');
	if (semi)
		*semi++ = '\0';
	r.targets = arena_strndup(&m->b->arena, line, strlen(line));
	r.needs = arena_strndup(&m->b->arena, colon, strlen(colon));
	r.recipe = arena_strndup(&m->b->arena, semi ? semi : "", semi ? strlen(semi) : 0);
	vec_push(&m->rules, r);
}

static void add_recipe(struct make *m, const char *line)
{
	struct make_rule *r;

	if (!m->rules.n)
		return;
	r = &m->rules.v[m->rules.n - 1];
	r->recipe = arena_printf(&m->b->arena, "%s %s", r->recipe, line);
}

static void one_line(struct make *m, char *line, u32 number)
{
	char *hash;

	if (*line == '\t') {
		add_recipe(m, line + 1);
		return;
	}
	for (hash = line; (hash = strchr(hash, '#')); hash++)
		if (hash == line || hash[-1] != '\\') {
			*hash = '\0';
			break;
		}
	line += strspn(line, " \t");
	if (!*line || keyword_line(m, line) || assignment(m, line))
		return;
	begin_rule(m, line, number);
}

static void read_lines(struct make *m, const char *text, size_t len)
{
	const char *end = text + len, *nl;
	struct buf line = {0};
	u32 number = 0, first = 1;
	bool defining = false;

	for (; text < end; text = nl + 1) {
		char *s;
		size_t n;

		nl = memchr(text, '\n', end - text);
		if (!nl)
			nl = end;
		n = nl - text;
		n -= n && text[n - 1] == '\r';
		number++;
		if (!line.n)
			first = number;
		buf_add(&line, text, n);
		if (line.n && line.s[line.n - 1] == '\\' && nl < end) {
			line.s[line.n - 1] = ' ';
			continue;
		}
		s = with_variables(m, line.n ? line.s : "", line.n);
		line.n = 0;
		if (begins(s, "define"))
			defining = true;
		else if (begins(s, "endef"))
			defining = false;
		else if (!defining)
			one_line(m, s, first);
		free(s);
	}
	buf_free(&line);
}

static void read_makefile(struct make *m, u32 file)
{
	const char *path = m->b->s->tree->files.v[file].path, *slash = strrchr(path, '/');
	const char *dir = m->vars.dir;
	size_t len;
	const char *text = build_text(m->b, file, &len);
	int conds = m->conds;

	m->vars.dir = slash ? arena_strndup(&m->b->arena, path, slash - path) : "";
	m->includes++;
	if (text)
		read_lines(m, text, len);
	m->conds = conds;
	m->vars.dir = dir;
}

/* ---------------------------------------------------------------- automake --------- */

static char *canonical(const char *name)
{
	char *s = xstrdup(name), *p;

	for (p = s; *p; p++)
		if (!isalnum((u8)*p) && *p != '_' && *p != '@')
			*p = '_';
	return s;
}

static char *part(struct make *m, const char *prefix, const char *canon, const char *what)
{
	char *name = xasprintf("%s%s_%s", prefix, canon, what), *v = value(m, name);

	free(name);
	return v;
}

/* The sources that no condition surrounds. */
static char *sure_part(struct make *m, const char *prefix, const char *canon)
{
	struct makevars all = m->vars;
	char *v;

	m->vars = m->sure;
	v = part(m, prefix, canon, "SOURCES");
	m->sure = m->vars;
	m->vars = all;
	return v;
}

typedef void word_fn(struct make *m, struct target *t, const char *word);

static void each_word(struct make *m, struct target *t, char *list, word_fn *fn)
{
	char *save = NULL, *w;

	for (w = list ? strtok_r(list, " \t\n", &save) : NULL; w;
	     w = strtok_r(NULL, " \t\n", &save))
		fn(m, t, w);
	free(list);
}

static void source_word(struct make *m, struct target *t, const char *word)
{
	build_add_source(m->b, t, m->dir, word);
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "libx.la" and "../a/libx.a" are targets by the name libx. */
static char *stem(const char *word)
{
	const char *base = base_of(word), *dot = strstr(base, ".so");

	if (!dot)
		dot = strrchr(base, '.');
	return xstrndup(base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}

static void link_word(struct make *m, struct target *t, const char *word)
{
	char *name;

	if (!has_suffix(word, ".la") && !has_suffix(word, ".a"))
		return;
	name = stem(word);
	if (strcmp(name, t->name) != 0 || !has_suffix(word, ".la"))
		strings_add(m->b, &t->links, name);
	free(name);
}

static void add_default_folders(struct make *m, struct target *t)
{
	strings_add(m->b, &t->incs, m->dir);
	strings_add(m->b, &t->incs, m->root);
}

static void add_flag_var(struct make *m, struct target *t, const char *canon,
			 const char *kind)
{
	char *am = xasprintf("AM_%s", kind), *v = canon ? part(m, "", canon, kind) : NULL;

	if (!v)
		v = value(m, am);
	if (v)
		build_add_flags(m->b, t, m->dir, v);
	free(v);
	v = value(m, kind);
	if (v)
		build_add_flags(m->b, t, m->dir, v);
	free(v);
	free(am);
}

/* -D only where no condition surrounds it, all else wherever it stands. */
static void add_flag_vars(struct make *m, struct target *t, const char *canon)
{
	/* INCLUDES is of old, but still there */
	static const char *const kinds[] = {"CPPFLAGS", "CFLAGS", "LDFLAGS", "INCLUDES"};
	struct makevars all = m->vars;
	size_t i;

	m->b->conditional = true;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		add_flag_var(m, t, canon, kinds[i]);
	m->b->conditional = false;
	m->vars = m->sure;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		add_flag_var(m, t, canon, kinds[i]);
	m->sure = m->vars;
	m->vars = all;
}

static void automake_target(struct make *m, const char *word, enum target_kind kind,
			    bool installed)
{
	static const char *const prefixes[] = {"", "dist_", "nodist_", "EXTRA_"};
	char *canon = canonical(word), *name = stem(word), *v;
	struct target *t = build_target(m->b, m->dir, name, kind);
	bool any = false;
	size_t i;

	t->file = m->file;
	t->installed |= installed;
	for (i = 0; i < ARRAY_SIZE(prefixes); i++) {
		v = part(m, prefixes[i], canon, "SOURCES");
		any |= v && i < 3;
		m->b->conditional = true;
		each_word(m, t, v, source_word);
		m->b->conditional = false;
		each_word(m, t, sure_part(m, prefixes[i], canon), source_word);
	}
	if (!any) {
		v = xasprintf("%s.c", name);
		build_add_source(m->b, t, m->dir, v);
		free(v);
	}
	add_default_folders(m, t);
	add_flag_vars(m, t, canon);
	for (i = 0; i < 3; i++) {
		static const char *const kinds[] = {"LIBADD", "LDADD", "DEPENDENCIES"};

		v = part(m, "", canon, kinds[i]);
		if (v && i < 2)
			build_add_flags(m->b, t, m->dir, v);
		each_word(m, t, v, link_word);
	}
	v = part(m, "am_", canon, "OBJECTS");
	if (v) {
		char *save = NULL, *w;

		for (w = strtok_r(v, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
			char *source = stem(w), *c = xasprintf("%s.c", source);

			build_add_source(m->b, t, m->dir, c);
			free(source);
			free(c);
		}
	}
	free(v);
	free(name);
	free(canon);
}

/* lib_LTLIBRARIES = libx.la: what is built, and of which kind. */
static void automake_list(struct make *m, const char *var)
{
	static const struct {
		const char *suffix;
		enum target_kind kind;
	} lists[] = {{"_LTLIBRARIES", TARGET_SHARED},
		     {"_LIBRARIES", TARGET_STATIC},
		     {"_PROGRAMS", TARGET_PROGRAM}};
	size_t i;

	if (has_prefix(var, "EXTRA_") || has_prefix(var, "am__"))
		return;
	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		bool inner = has_prefix(var, "noinst_") || has_prefix(var, "check_");
		enum target_kind kind = lists[i].kind;
		char *v, *save = NULL, *w;

		if (!has_suffix(var, lists[i].suffix))
			continue;
		if (inner && kind == TARGET_SHARED)
			kind = TARGET_STATIC;
		v = value(m, var);
		for (w = v ? strtok_r(v, " \t\n", &save) : NULL; w;
		     w = strtok_r(NULL, " \t\n", &save))
			automake_target(m, w, kind, !inner);
		free(v);
		return;
	}
}

/* ---------------------------------------------------------------- plain rules ------ */

/* $@, $< and $^ in a rule's commands. */
static char *with_automatic(const struct make_rule *r, const char *targets,
			    const char *needs)
{
	struct buf out = {0};
	const char *p;

	buf_add(&out, "", 0);
	for (p = r->recipe; *p; p++) {
		if (*p == '$' && p[1] == '@')
			buf_add(&out, targets, strcspn(targets, " \t")), p++;
		else if (*p == '$' && p[1] == '<')
			buf_add(&out, needs, strcspn(needs, " \t")), p++;
		else if (*p == '$' && (p[1] == '^' || p[1] == '+'))
			buf_puts(&out, needs), p++;
		else
			buf_putc(&out, *p);
	}
	return out.s;
}

static u32 nearest_source(struct make *m, const char *name)
{
	const struct tree *t = m->b->s->tree;
	size_t i, n = strlen(m->dir);
	u32 found = NO_FILE;

	for (i = 0; i < t->files.n; i++) {
		const char *path = t->files.v[i].path;

		if (strncmp(path, m->dir, n) != 0 || (n && path[n] != '/') ||
		    strcmp(base_of(path), name) != 0)
			continue;
		if (found != NO_FILE)
			return NO_FILE;
		found = i;
	}
	return found;
}

/* An object among a rule's prerequisites: the source that it is made of. */
static void object_word(struct make *m, struct target *t, const char *word)
{
	static const char *const objects[] = {".o",  ".lo",    ".os", ".ol",
					      ".po", ".pic.o", ".pic"};
	static const char *const sources[] = {".c", ".S", ".s", ".cc", ".cpp"};
	const char *dot = strrchr(word, '.');
	char name[512];
	size_t i, k;
	u32 file;

	if (!dot || has_suffix(word, ".h"))
		return;
	if (build_add_source(m->b, t, m->dir, word))
		return;
	link_word(m, t, word);
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		if (has_suffix(word, objects[i]))
			break;
	if (i == ARRAY_SIZE(objects))
		return;
	for (k = 0; k < 2 * ARRAY_SIZE(sources); k++) {
		const char *base = k < ARRAY_SIZE(sources) ? word : base_of(word);

		snprintf(name, sizeof(name), "%.*s%s",
			 (int)(strlen(base) - strlen(objects[i])), base,
			 sources[k % ARRAY_SIZE(sources)]);
		file = build_path(m->b, m->dir, name);
		if (file == NO_FILE && k >= ARRAY_SIZE(sources))
			file = nearest_source(m, name);
		if (file == NO_FILE)
			continue;
		build_add_source(m->b, t, "", m->b->s->tree->files.v[file].path);
		return;
	}
	strings_add(m->b, &t->missing, word);
}

static bool links_shared(const char *recipe)
{
	return strstr(recipe, "-shared") || strstr(recipe, "-soname") ||
	       strstr(recipe, "--version-script");
}

/* Targets that stand for something to do, and for no file. */
static bool is_action(const char *name)
{
	static const char *const names[] = {"all",  "install", "clean",     "check",
					    "test", "dist",    "uninstall", "distclean"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (has_prefix(name, names[i]) && !strstr(name, ".so"))
			return true;
	return false;
}

static void plain_rule(struct make *m, const struct make_rule *r)
{
	char *targets = expand(m, r->targets), *needs = expand(m, r->needs), *auto_;
	char *recipe, *name;
	struct target *t;
	enum target_kind kind = TARGET_PROGRAM;

	while (isspace((u8)*targets))
		memmove(targets, targets + 1, strlen(targets));
	while (isspace((u8)*needs))
		memmove(needs, needs + 1, strlen(needs));
	auto_ = with_automatic(r, targets, needs);
	recipe = expand(m, auto_);
	name = xstrndup(targets, strcspn(targets, " \t"));
	if (strstr(name, ".so") || (has_suffix(name, ".la") && strstr(recipe, "-rpath")) ||
	    (!m->automake && strstr(r->recipe, "-shared") && !strstr(name, ".a")))
		kind = TARGET_SHARED;
	else if (has_suffix(name, ".a"))
		kind = TARGET_STATIC;
	if (*name && *recipe && !strchr(name, '%') && *name != '.' &&
	    !has_suffix(name, ".o") && !has_suffix(name, ".lo") &&
	    !has_suffix(name, ".c") && !has_suffix(name, ".h") &&
	    (kind != TARGET_PROGRAM || strstr(recipe, "-o")) &&
	    (kind != TARGET_SHARED || links_shared(recipe) || has_suffix(name, ".la") ||
	     strstr(name, ".so")) &&
	    !is_action(name) && (!m->automake || strchr(name, '.')) &&
	    (isalnum((u8)*name) || strchr("_/.", *name))) {
		char *s = stem(name);

		t = build_target(m->b, m->dir, s, kind);
		free(s);
		t->file = m->file;
		t->line = r->line;
		t->installed = kind == TARGET_SHARED;
		each_word(m, t, xstrdup(needs), object_word);
		each_word(m, t, xstrdup(recipe), object_word);
		build_add_flags(m->b, t, m->dir, recipe);
		add_default_folders(m, t);
		add_flag_vars(m, t, NULL);
	}
	free(name);
	free(recipe);
	free(auto_);
	free(needs);
	free(targets);
}

/* ---------------------------------------------------------------- the whole -------- */

static void set_folders(struct make *m)
{
	static const char *const here[] = {"srcdir",       "builddir", "abs_srcdir",
					   "abs_builddir", "CURDIR",   "VPATH"};
	static const char *const top[] = {
		"top_srcdir",       "top_builddir", "abs_top_srcdir",
		"abs_top_builddir", "TOP",          "topdir"};
	const char *p = m->dir + strlen(m->root);
	struct buf up = {0};
	size_t i;

	/* from the makefile's folder to the root, as automake has it */
	buf_puts(&up, ".");
	for (p += *p == '/'; *p; p += *p == '/') {
		buf_puts(&up, "/..");
		p += strcspn(p, "/");
	}
	for (i = 0; i < ARRAY_SIZE(here); i++)
		set(m, here[i], ".", '=');
	for (i = 0; i < ARRAY_SIZE(top); i++)
		set(m, top[i], up.s, '=');
	buf_free(&up);
	set(m, "EXEEXT", "", '=');
}

/* $(wildcard lib/%.c), with a star: the tree's files. */
static void list_files(void *arg, struct buf *out, const char *pattern)
{
	const struct make *m = arg;
	const struct tree *t = m->b->s->tree;
	char *full = build_join(m->b, m->dir, pattern);
	size_t i, n = strlen(m->dir);

	for (i = 0; i < t->files.n; i++) {
		const char *path = t->files.v[i].path;

		if (!strchr(full, '/') ? !strchr(path, '/') && str_match(full, path)
				       : path_match(full, path))
			buf_printf(out, " %s",
				   strncmp(path, m->dir, n) || (n && path[n] != '/')
					   ? path
					   : path + n + (n > 0));
	}
}

static void build_of(struct build *b, const char *root, u32 file)
{
	const char *path = b->s->tree->files.v[file].path, *slash = strrchr(path, '/');
	struct make m = {.b = b, .root = root, .file = file};
	size_t i;

	m.dir = slash ? arena_strndup(&b->arena, path, slash - path) : "";
	m.vars.dir = m.dir;
	m.automake = has_suffix(path, "Makefile.am");
	m.vars.list = list_files;
	m.vars.list_arg = &m;
	m.sure = m.vars;
	set_folders(&m);
	read_configure(&m);
	read_makefile(&m, file);
	for (i = 0; i < m.names.n; i++)
		if (m.automake)
			automake_list(&m, m.names.v[i]);
	for (i = 0; i < m.rules.n; i++)
		plain_rule(&m, &m.rules.v[i]);
	makevars_free(&m.vars);
	makevars_free(&m.sure);
	vec_free(&m.names);
	vec_free(&m.rules);
}

/* Makefile.am says more than the Makefile.in that is made of it, and so on. */
static bool is_best_makefile(const struct build *b, const char *path)
{
	static const char *const names[] = {"Makefile.am", "GNUmakefile", "makefile",
					    "Makefile.in", "Makefile"};
	const char *base = base_of(path);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		char *other = xasprintf("%.*s%s", (int)(base - path), path, names[i]);
		u32 file = tree_find(b->s->tree, other);

		free(other);
		if (file == NO_FILE)
			continue;
		return !strcmp(names[i], base);
	}
	return false;
}

void build_make(struct build *b, const char *root)
{
	size_t i, n = strlen(root);

	for (i = 0; i < b->s->tree->files.n; i++) {
		const char *path = b->s->tree->files.v[i].path;

		if (b->s->tree->files.v[i].kind == FILE_MAKE && !strncmp(path, root, n) &&
		    (!n || path[n] == '/') && is_best_makefile(b, path))
			build_of(b, root, i);
	}
}
