// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is the value of a variable of this makefile, over all configurations?
 *
 * Both branches of a conditional are read, so a variable holds the union of what any
 * configuration puts there. That is what membership asks: can this object be part of
 * that module?
 */
#include <ctype.h>
#include <stdlib.h>

#include "makevar.h"

#define MAX_VALUE (1u << 20)

/* A makefile whose variables name each other can expand for ever. */
#define MAX_WORK (1u << 20)

static void set_always(struct makevar *v, const char *value, char op)
{
	if (op != '+')
		v->always.n = 0;
	if (v->always.n + strlen(value) > MAX_VALUE)
		return;
	if (v->always.n)
		buf_putc(&v->always, ' ');
	buf_puts(&v->always, value);
}

void makevars_set(struct makevars *mv, const char *name, const char *value, char op,
		  bool conditional)
{
	u32 *at = map_get(&mv->index, hash_str(name), UINT32_MAX);
	struct makevar fresh = {0}, *v;

	if (*at == UINT32_MAX) {
		*at = mv->vars.n;
		fresh.name = xstrdup(name);
		vec_push(&mv->vars, fresh);
	}
	v = &mv->vars.v[*at];
	if (op != '+' && !conditional && !v->conditional)
		v->value.n = 0;
	v->conditional |= conditional;
	if (!conditional)
		set_always(v, value, op);
	if (v->value.n + strlen(value) > MAX_VALUE)
		return;
	if (v->value.n)
		buf_putc(&v->value, ' ');
	buf_puts(&v->value, value);
}

const char *makevars_get(struct makevars *mv, const char *name)
{
	u32 *at = map_find(&mv->index, hash_str(name));

	return at && mv->vars.v[*at].value.s ? mv->vars.v[*at].value.s : NULL;
}

const char *makevars_always(struct makevars *mv, const char *name)
{
	u32 *at = map_find(&mv->index, hash_str(name));

	return at ? mv->vars.v[*at].always.s : NULL;
}

void makevars_free(struct makevars *mv)
{
	size_t i;

	for (i = 0; i < mv->vars.n; i++) {
		buf_free(&mv->vars.v[i].value);
		free(mv->vars.v[i].name);
		buf_free(&mv->vars.v[i].always);
	}
	mv->work = 0;
	mv->given_up = false;
	vec_free(&mv->vars);
	map_free(&mv->index);
}

/* ---------------------------------------------------------------- functions -------- */

typedef void word_fn(struct buf *out, const char *w, size_t n, const char *a,
		     const char *b);

static void each_word(struct buf *out, const char *list, word_fn *fn, const char *a,
		      const char *b)
{
	size_t n;

	for (; *list; list += n) {
		list += strspn(list, " \t\n");
		n = strcspn(list, " \t\n");
		if (!n)
			continue;
		if (out->n && !isspace((u8)out->s[out->n - 1]))
			buf_putc(out, ' ');
		fn(out, list, n, a, b);
	}
}

static void add_prefix(struct buf *out, const char *w, size_t n, const char *a,
		       const char *b)
{
	buf_puts(out, a);
	buf_add(out, w, n);
}

static void add_suffix(struct buf *out, const char *w, size_t n, const char *a,
		       const char *b)
{
	buf_add(out, w, n);
	buf_puts(out, a);
}

static void file_part(struct buf *out, const char *w, size_t n, const char *a,
		      const char *b)
{
	const char *slash = memrchr(w, '/', n);

	size_t skip = slash ? slash + 1 - w : 0;

	buf_add(out, w + skip, n - skip);
}

/* patsubst: a = pattern, b = replacement, each with at most one '%'. */
static void pattern_word(struct buf *out, const char *w, size_t n, const char *a,
			 const char *b)
{
	const char *pa = strchr(a, '%'), *pb = strchr(b, '%');
	size_t head = pa ? (size_t)(pa - a) : strlen(a), tail = pa ? strlen(pa + 1) : 0;

	if (n < head + tail || memcmp(w, a, head) != 0 || (!pa && n != head) ||
	    (pa && memcmp(w + n - tail, pa + 1, tail) != 0)) {
		buf_add(out, w, n);
		return;
	}
	buf_add(out, b, pb ? (size_t)(pb - b) : strlen(b));
	if (pb) {
		buf_add(out, w + head, n - head - tail);
		buf_puts(out, pb + 1);
	}
}

static void replace_text(struct buf *out, const char *s, const char *from, const char *to)
{
	size_t n = strlen(from);
	const char *hit;

	if (!n) {
		buf_puts(out, s);
		return;
	}
	while ((hit = strstr(s, from))) {
		buf_add(out, s, hit - s);
		buf_puts(out, to);
		s = hit + n;
	}
	buf_puts(out, s);
}

static void expand_foreach(struct makevars *mv, struct buf *out, char **arg,
			   const char *body, int depth)
{
	const char *list = arg[1];
	size_t n;

	for (; *list; list += n) {
		char *word;

		list += strspn(list, " \t\n");
		n = strcspn(list, " \t\n");
		if (!n)
			continue;
		word = xstrndup(list, n);
		makevars_set(mv, arg[0], word, '=', false);
		buf_putc(out, ' ');
		makevars_expand(mv, out, body, strlen(body), depth + 1);
		free(word);
	}
}

#define MAX_FN_ARGS 10

/* Splits "a,b,c" at commas outside parentheses. */
static int split_raw(char *s, char **arg)
{
	int n = 0, nest = 0;

	arg[n++] = s;
	for (; *s; s++) {
		if (*s == '(' || *s == '{')
			nest++;
		else if (*s == ')' || *s == '}')
			nest--;
		else if (*s == ',' && !nest && n < MAX_FN_ARGS) {
			*s = '\0';
			arg[n++] = s + 1;
		}
	}
	return n;
}

static char *strip_left(char *s)
{
	return s + strspn(s, " \t\n");
}

/* "dir/foo.o" without the suffix. */
static void base_part(struct buf *out, const char *w, size_t n, const char *a,
		      const char *b)
{
	const char *dot = memrchr(w, '.', n), *slash = memrchr(w, '/', n);

	buf_add(out, w, dot && (!slash || dot > slash) ? (size_t)(dot - w) : n);
}

/* $(filter a%,list): the words that one of the patterns fits. */
static void filter_word(struct buf *out, const char *w, size_t n, const char *patterns,
			const char *unused)
{
	size_t len, head;

	for (; *patterns; patterns += len) {
		patterns += strspn(patterns, " \t\n");
		len = strcspn(patterns, " \t\n");
		head = strcspn(patterns, "%");
		if (!len)
			continue;
		if (head >= len) {
			if (n != len || memcmp(w, patterns, n) != 0)
				continue;
		} else if (n < len - 1 || memcmp(w, patterns, head) != 0 ||
			   memcmp(w + n - (len - head - 1), patterns + head + 1,
				  len - head - 1) != 0) {
			continue;
		}
		buf_add(out, w, n);
		return;
	}
}

/* $(wildcard): by this tree's files, as they are named from its root. */
static void each_file(struct makevars *mv, struct buf *out, const char *patterns)
{
	size_t n, i;

	for (; mv->tree && *patterns; patterns += n) {
		char *pattern;

		patterns += strspn(patterns, " \t\n");
		n = strcspn(patterns, " \t\n");
		if (!n)
			continue;
		pattern = xstrndup(patterns, n);
		for (i = 0; i < mv->tree->files.n; i++)
			if (strchr(pattern, '/') &&
			    path_match(pattern, mv->tree->files.v[i].path))
				buf_printf(out, " %s", mv->tree->files.v[i].path);
		free(pattern);
	}
}

/* $(call name,a,b): the value with a for $(1) and b for $(2). */
static void call_macro(struct makevars *mv, struct buf *out, char **arg, int n, int depth)
{
	const char *v = makevars_get(mv, strip_left(arg[0]));
	char number[12], *copy;
	int i;

	if (!v)
		return;
	copy = xstrdup(v);
	for (i = 1; i < MAX_FN_ARGS; i++) {
		snprintf(number, sizeof(number), "%d", i);
		makevars_set(mv, number, i < n ? arg[i] : "", '=', false);
	}
	makevars_expand(mv, out, copy, strlen(copy), depth + 1);
	free(copy);
}

/* The folder of "dir/foo.o", with the slash. */
static void folder_part(struct buf *out, const char *w, size_t n, const char *a,
			const char *b)
{
	const char *slash = memrchr(w, '/', n);

	if (slash)
		buf_add(out, w, slash + 1 - w);
	else
		buf_puts(out, "./");
}

static void unless_filtered(struct buf *out, const char *w, size_t n, const char *patterns,
			    const char *unused)
{
	struct buf hit = {0};

	filter_word(&hit, w, n, patterns, unused);
	if (!hit.n)
		buf_add(out, w, n);
	buf_free(&hit);
}

/* What only makefiles of C projects need; false if it is none of these functions. */
static bool project_function(struct makevars *mv, struct buf *out, const char *name,
			     char **arg, int n)
{
	char *save = NULL, *w;

	if (!strcmp(name, "dir"))
		each_word(out, arg[0], folder_part, NULL, NULL);
	else if (!strcmp(name, "filter-out") && n == 2)
		each_word(out, arg[1], unless_filtered, arg[0], NULL);
	else if (!strcmp(name, "firstword"))
		buf_add(out, strip_left(arg[0]), strcspn(strip_left(arg[0]), " \t\n"));
	else if (!strcmp(name, "abspath") || !strcmp(name, "realpath"))
		buf_puts(out, arg[0]);
	else if (!strcmp(name, "wildcard"))
		for (w = strtok_r(arg[0], " \t\n", &save); w;
		     w = strtok_r(NULL, " \t\n", &save))
			mv->list(mv->list_arg, out, w);
	else
		return false;
	return true;
}

static void apply_function(struct makevars *mv, struct buf *out, const char *name,
			   char **arg, int n, const char *raw_last, int depth)
{
	if (mv->list && project_function(mv, out, name, arg, n))
		return;
	if (!strcmp(name, "addprefix") && n == 2)
		each_word(out, arg[1], add_prefix, strip_left(arg[0]), NULL);
	else if (!strcmp(name, "addsuffix") && n == 2)
		each_word(out, arg[1], add_suffix, strip_left(arg[0]), NULL);
	else if (!strcmp(name, "patsubst") && n == 3)
		each_word(out, arg[2], pattern_word, strip_left(arg[0]), arg[1]);
	else if (!strcmp(name, "subst") && n == 3)
		replace_text(out, arg[2], strip_left(arg[0]), arg[1]);
	else if (!strcmp(name, "notdir"))
		each_word(out, arg[0], file_part, NULL, NULL);
	else if (!strcmp(name, "wildcard"))
		each_file(mv, out, arg[0]);
	else if (!strcmp(name, "sort") || !strcmp(name, "strip"))
		buf_puts(out, arg[0]);
	else if (!strcmp(name, "basename"))
		each_word(out, arg[0], base_part, NULL, NULL);
	else if (!strcmp(name, "filter") && n == 2)
		each_word(out, arg[1], filter_word, arg[0], NULL);
	else if (!strcmp(name, "call"))
		call_macro(mv, out, arg, n, depth);
	else if (!strcmp(name, "eval") && mv->eval && depth < 16)
		mv->eval(mv->eval_arg, arg[0], strlen(arg[0]));
	else if (!strcmp(name, "or") || !strcmp(name, "and"))
		for (; n > 0; n--, arg++)
			buf_printf(out, "%s ", arg[0]);
	else if (!strcmp(name, "filter-out") && n == 2)
		buf_puts(out, arg[1]);
	else if (!strcmp(name, "foreach") && n == 3)
		expand_foreach(mv, out, arg, raw_last, depth);
	else if (!strcmp(name, "if"))
		buf_printf(out, "%s %s", n > 1 ? arg[1] : "", n > 2 ? arg[2] : "");
}

static bool is_function(const char *s, size_t n)
{
	static const char *const names[] = {
		"addprefix", "addsuffix", "patsubst", "subst",   "notdir",     "sort",
		"strip",     "foreach",   "if",       "filter",  "filter-out", "call",
		"shell",     "wildcard",  "or",       "and",     "eval",       "basename",
		"dir",       "firstword", "abspath",  "realpath"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == n && !memcmp(names[i], s, n))
			return true;
	return false;
}

static void expand_function(struct makevars *mv, struct buf *out, const char *s, size_t len,
			    size_t name_len, int depth)
{
	char *name = xstrndup(s, name_len), *raw = xstrndup(s + name_len, len - name_len);
	char *arg[MAX_FN_ARGS], *full[MAX_FN_ARGS];
	int n = split_raw(raw, arg), i;

	for (i = 0; i < n; i++) {
		struct buf b = {0};

		buf_add(&b, "", 0);
		/* make takes the blanks off the first argument only */
		makevars_expand(mv, &b, i ? arg[i] : strip_left(arg[i]),
				strlen(i ? arg[i] : strip_left(arg[i])), depth + 1);
		full[i] = b.s;
	}
	apply_function(mv, out, name, full, n, arg[n - 1], depth);
	for (i = 0; i < n; i++)
		free(full[i]);
	free(name);
	free(raw);
}

/* ---------------------------------------------------------------- variables -------- */

/* foo-m and foo-objs hold what foo-y does: parts of the object foo. */
static const char *look_up(struct makevars *mv, const char *name)
{
	const char *v = makevars_get(mv, name);
	size_t n = strlen(name);
	char *other;

	if (v || n < 3 || name[n - 2] != '-' || name[n - 1] != 'm')
		return v;
	other = xstrdup(name);
	other[n - 1] = 'y';
	v = makevars_get(mv, other);
	free(other);
	return v;
}

/* $(OBJS$(WHICH)), where configure decides WHICH: all that begin with OBJS. */
static char *look_up_computed(struct makevars *mv, const char *s, size_t len)
{
	const char *dollar = memchr(s, '$', len);
	struct buf all = {0};
	size_t i, n = dollar ? (size_t)(dollar - s) : 0;

	for (i = 0; n > 2 && i < mv->vars.n; i++)
		if (!strncmp(mv->vars.v[i].name, s, n) && mv->vars.v[i].value.s &&
		    all.n < MAX_VALUE / 16)
			buf_printf(&all, "%s ", mv->vars.v[i].value.s);
	return all.s;
}

static void expand_variable(struct makevars *mv, struct buf *out, const char *s, size_t len,
			    int depth)
{
	struct buf name = {0}, value = {0};
	char *colon, *eq, *from, *to, *copy = NULL, *computed = NULL;
	const char *v;

	buf_add(&name, "", 0);
	makevars_expand(mv, &name, s, len, depth + 1);
	colon = strchr(name.s, ':');
	if (colon)
		*colon = '\0';
	if (mv->list)
		v = makevars_get(mv, name.s);
	else if (!strcmp(name.s, "src") || !strcmp(name.s, "obj") ||
		 !strcmp(name.s, "srcroot"))
		v = mv->dir;
	else if (has_prefix(name.s, "CONFIG_"))
		v = "y";
	else
		v = look_up(mv, name.s);
	if (!v && mv->list)
		v = computed = look_up_computed(mv, s, len);
	if (v)
		v = copy = xstrdup(v); /* $(eval) in it may change the variable */
	if (v && colon && (eq = strchr(colon + 1, '='))) {
		*eq = '\0';
		from = xasprintf("%s%s", strchr(colon + 1, '%') ? "" : "%", colon + 1);
		to = xasprintf("%s%s", strchr(eq + 1, '%') ? "" : "%", eq + 1);
		buf_add(&value, "", 0);
		makevars_expand(mv, &value, v, strlen(v), depth + 1);
		each_word(out, value.s, pattern_word, from, to);
		free(from);
		free(to);
	} else if (v) {
		makevars_expand(mv, out, v, strlen(v), depth + 1);
	}
	buf_free(&name);
	buf_free(&value);
	free(copy);
	free(computed);
}

static size_t closing(const char *s, size_t len)
{
	size_t i;
	int nest = 0;

	for (i = 0; i < len; i++) {
		if (s[i] == '(' || s[i] == '{')
			nest++;
		else if ((s[i] == ')' || s[i] == '}') && !--nest)
			return i;
	}
	return len;
}

void makevars_expand(struct makevars *mv, struct buf *out, const char *text, size_t len,
		     int depth)
{
	size_t i, end, name;

	if (depth > 24 || out->n > MAX_VALUE || ++mv->work > MAX_WORK) {
		mv->given_up |= mv->work > MAX_WORK;
		return;
	}
	for (i = 0; i < len; i++) {
		if (text[i] != '$' || i + 1 >= len) {
			buf_putc(out, text[i]);
			continue;
		}
		i++;
		if (text[i] == '$' && mv->list)
			buf_putc(out, '$');
		if (text[i] != '(' && text[i] != '{')
			continue; /* $@ and the like */
		end = i + closing(text + i, len - i);
		if (end >= len)
			return;
		for (name = i + 1;
		     name < end && (isalpha((u8)text[name]) || text[name] == '-');)
			name++;
		if (name < end && isspace((u8)text[name]) &&
		    is_function(text + i + 1, name - i - 1))
			expand_function(mv, out, text + i + 1, end - i - 1, name - i - 1,
					depth);
		else
			expand_variable(mv, out, text + i + 1, end - i - 1, depth);
		i = end;
	}
}
