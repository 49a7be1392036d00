// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is the value of an expression in a meson.build?
 *
 * Strings, lists and dictionaries have values. What a configuration decides has none:
 * then all that it could be counts.
 */
#include <ctype.h>
#include <stdlib.h>

#include "meson.h"

/* ---------------------------------------------------------------- values ----------- */

struct mval *mval_new(struct meson *m, enum mkind kind)
{
	struct mval *v = arena_alloc(&m->b->arena, sizeof(*v));

	*v = (struct mval){.kind = kind, .s = "", .unknown = kind == M_NONE};
	return v;
}

struct mval *mval_string(struct meson *m, const char *s)
{
	struct mval *v = mval_new(m, M_STRING);

	v->s = arena_strndup(&m->b->arena, s, strlen(s));
	return v;
}

static void grow(struct meson *m, struct mval *list)
{
	struct mval **old = list->v;
	const char **keys = list->key;

	list->cap = list->cap ? list->cap * 2 : 8;
	list->v = arena_alloc(&m->b->arena, list->cap * sizeof(void *));
	list->key = arena_alloc(&m->b->arena, list->cap * sizeof(*list->key));
	if (!list->n)
		return;
	memcpy(list->v, old, list->n * sizeof(void *));
	memcpy(list->key, keys, list->n * sizeof(*keys));
}

void mval_push(struct meson *m, struct mval *list, const char *key, struct mval *v)
{
	if (list->n == list->cap)
		grow(m, list);
	list->key[list->n] = key;
	list->v[list->n++] = v;
}

const struct mval *mval_named(const struct mval *args, const char *key)
{
	size_t i;

	for (i = 0; i < args->n; i++)
		if (args->key[i] && !strcmp(args->key[i], key))
			return args->v[i];
	return NULL;
}

struct mval *meson_get(struct meson *m, const char *name)
{
	const u32 *at = map_find(&m->vars, hash_str(name));

	return at && *at ? m->values.v[*at - 1] : NULL;
}

void meson_set(struct meson *m, const char *name, struct mval *v)
{
	u32 *at = map_get(&m->vars, hash_str(name), 0);

	if (!*at) {
		vec_push(&m->values, v); /* NOLINT(bugprone-sizeof-expression): pointers */
		*at = m->values.n;
	}
	m->values.v[*at - 1] = v;
}

static struct mval *joined(struct meson *m, const struct mval *a, const struct mval *b)
{
	struct mval *v = mval_new(m, M_LIST);
	size_t i;

	if (a->kind == M_DICT)
		v->kind = M_DICT;
	if (a->kind != M_LIST && a->kind != M_DICT && !a->unknown)
		mval_push(m, v, NULL, (struct mval *)a);
	for (i = 0; i < a->n; i++)
		mval_push(m, v, a->key[i], a->v[i]);
	if (b->kind != M_LIST && b->kind != M_DICT && !b->unknown)
		mval_push(m, v, NULL, (struct mval *)b);
	for (i = 0; i < b->n && (b->kind == M_LIST || b->kind == M_DICT); i++)
		mval_push(m, v, b->key[i], b->v[i]);
	return v;
}

static struct mval *sum(struct meson *m, const struct mval *a, const struct mval *b)
{
	if (a->kind == M_LIST || a->kind == M_DICT)
		return joined(m, a, b);
	if (a->kind == M_STRING && b->kind == M_STRING)
		return mval_string(m, arena_printf(&m->b->arena, "%s%s", a->s, b->s));
	return a->unknown ? (struct mval *)b : (struct mval *)a;
}

static struct mval *path_of(struct meson *m, const struct mval *a, const struct mval *b)
{
	if (a->kind != M_STRING || b->kind != M_STRING)
		return mval_new(m, M_NONE);
	if (has_prefix(b->s, MESON_ROOT) || !*a->s)
		return (struct mval *)b;
	return mval_string(m, arena_printf(&m->b->arena, "%s/%s", a->s, b->s));
}

/* ---------------------------------------------------------------- tokens ----------- */

static void read_string(struct meson *m)
{
	bool triple = m->end - m->p > 2 && !memcmp(m->p, "'''", 3);
	size_t n = 0;

	m->p += triple ? 3 : 1;
	for (; m->p < m->end; m->p++) {
		if (triple ? m->end - m->p > 2 && !memcmp(m->p, "'''", 3) : *m->p == '\'')
			break;
		if (*m->p == '\\' && !triple && m->p + 1 < m->end)
			m->p++;
		m->line += *m->p == '\n';
		if (n + 1 < sizeof(m->word))
			m->word[n++] = *m->p;
	}
	m->p += triple ? 3 : 1;
	if (m->p > m->end)
		m->p = m->end;
	m->word[n] = '\0';
	m->t = MT_STRING;
}

static void read_word(struct meson *m)
{
	size_t n = 0;

	m->t = isdigit((u8)*m->p) ? MT_NUMBER : MT_NAME;
	for (; m->p < m->end && (isalnum((u8)*m->p) || *m->p == '_'); m->p++)
		if (n + 1 < sizeof(m->word))
			m->word[n++] = *m->p;
	m->word[n] = '\0';
	if (n == 1 && *m->word == 'f' && m->p < m->end && *m->p == '\'')
		read_string(m);
}

/* True if a line's end was found that ends a statement. */
static bool skip_space(struct meson *m)
{
	for (; m->p < m->end; m->p++) {
		if (*m->p == '#') {
			while (m->p + 1 < m->end && m->p[1] != '\n')
				m->p++;
		} else if (*m->p == '\\' && m->p + 1 < m->end && m->p[1] == '\n') {
			m->p++;
			m->line++;
		} else if (*m->p == '\n') {
			m->line++;
			if (!m->parens) {
				m->p++;
				return true;
			}
		} else if (!isspace((u8)*m->p)) {
			return false;
		}
	}
	return false;
}

void meson_next(struct meson *m)
{
	m->work++;
	m->punct = 0;
	*m->word = '\0';
	if (skip_space(m)) {
		m->t = MT_LINE;
		return;
	}
	if (m->p >= m->end) {
		m->t = MT_END;
		return;
	}
	if (*m->p == '\'') {
		read_string(m);
	} else if (isalnum((u8)*m->p) || *m->p == '_') {
		read_word(m);
	} else {
		m->t = MT_PUNCT;
		m->punct = *m->p++;
		m->word[0] = m->punct;
		m->word[1] = '\0';
		if (m->p < m->end && *m->p == '=' && strchr("=!<>+", m->punct)) {
			m->word[1] = *m->p++;
			m->word[2] = '\0';
		}
		if (strchr("([{", m->punct))
			m->parens++;
		if (strchr(")]}", m->punct) && m->parens)
			m->parens--;
	}
}

bool meson_is(const struct meson *m, const char *s)
{
	return (m->t == MT_PUNCT || m->t == MT_NAME) && !strcmp(m->word, s);
}

/* ---------------------------------------------------------------- expressions ------ */

/* What stands between the token that opens and @close: a list, a dictionary, arguments. */
static struct mval *read_list(struct meson *m, const char *close)
{
	struct mval *list = mval_new(m, *close == '}' ? M_DICT : M_LIST), *v;
	const char *key;

	meson_next(m);
	while (m->t != MT_END && !meson_is(m, close) && m->work < 4000000) {
		v = meson_expression(m);
		key = NULL;
		if (meson_is(m, ":")) {
			key = v->s;
			meson_next(m);
			v = meson_expression(m);
		}
		mval_push(m, list, key, v);
		if (meson_is(m, ","))
			meson_next(m);
		else if (!meson_is(m, close))
			break;
	}
	if (meson_is(m, close))
		meson_next(m);
	return list;
}

struct mval *meson_arguments(struct meson *m)
{
	return read_list(m, ")");
}

static struct mval *formatted(struct meson *m, const char *s, const struct mval *args)
{
	struct buf b = {0};
	struct mval *v;

	buf_add(&b, "", 0);
	for (; *s; s++) {
		if (*s == '@' && isdigit((u8)s[1]) && s[2] == '@') {
			size_t i = s[1] - '0';

			if (i < args->n && args->v[i]->kind == M_STRING)
				buf_puts(&b, args->v[i]->s);
			s += 2;
		} else {
			buf_putc(&b, *s);
		}
	}
	v = mval_string(m, b.n ? b.s : "");
	buf_free(&b);
	return v;
}

static struct mval *split(struct meson *m, const char *s, const char *at)
{
	struct mval *list = mval_new(m, M_LIST);
	char *copy = xstrdup(s), *save = NULL, *w;

	for (w = strtok_r(copy, at, &save); w; w = strtok_r(NULL, at, &save))
		mval_push(m, list, NULL, mval_string(m, w));
	free(copy);
	return list;
}

static struct mval *string_method(struct meson *m, const struct mval *v, const char *name,
				  const struct mval *args)
{
	char *copy;
	size_t i;

	if (!strcmp(name, "format"))
		return formatted(m, v->s, args);
	if (!strcmp(name, "split"))
		return split(m, v->s,
			     args->n && args->v[0]->kind == M_STRING ? args->v[0]->s
								     : " \n\t");
	if (!strcmp(name, "strip"))
		return (struct mval *)v;
	if (!strcmp(name, "join")) {
		struct buf b = {0};

		buf_add(&b, "", 0);
		for (i = 0; args->n && i < args->v[0]->n; i++)
			buf_printf(&b, "%s%s", i ? v->s : "", args->v[0]->v[i]->s);
		struct mval *r = mval_string(m, b.n ? b.s : "");

		buf_free(&b);
		return r;
	}
	copy = xstrdup(v->s);
	for (i = 0; copy[i]; i++) {
		if (!strcmp(name, "underscorify"))
			copy[i] = isalnum((u8)copy[i]) ? copy[i] : '_';
		else if (!strcmp(name, "to_upper"))
			copy[i] = toupper((u8)copy[i]);
		else if (!strcmp(name, "to_lower"))
			copy[i] = tolower((u8)copy[i]);
		else if (!strcmp(name, "replace") && args->n > 1 && args->v[0]->s[0] &&
			 !args->v[0]->s[1] && args->v[1]->s[0] && !args->v[1]->s[1] &&
			 copy[i] == args->v[0]->s[0])
			copy[i] = args->v[1]->s[0];
	}
	struct mval *r = mval_string(m, copy);

	free(copy);
	return r;
}

/* conf.set('NAME', 'value'): a macro; only those with attributes matter. */
static void note_macro(struct meson *m, const char *name, const struct mval *args)
{
	if (m->skip || (strcmp(name, "set") != 0 && strcmp(name, "set_quoted") != 0) ||
	    args->n < 2 || args->v[0]->kind != M_STRING || args->v[1]->kind != M_STRING)
		return;
	if (strstr(args->v[1]->s, "__attribute__") || strstr(args->v[1]->s, "extern"))
		strings_add(m->b, &m->b->macros,
			    arena_printf(&m->b->arena, "%s=%s", args->v[0]->s,
					 args->v[1]->s));
}

static struct mval *object_path(struct meson *m, const char *name)
{
	if (has_prefix(name, "current_"))
		return mval_string(m,
				   arena_printf(&m->b->arena, "%s%s", MESON_ROOT, m->dir));
	return mval_string(m, arena_printf(&m->b->arena, "%s%s", MESON_ROOT, m->root));
}

bool meson_is_bool(const struct mval *v)
{
	return v->kind == M_STRING && (!strcmp(v->s, "true") || !strcmp(v->s, "false"));
}

static bool meson_has_file(struct meson *m, const char *path)
{
	const char *root = NULL, *p = path;

	while ((p = strstr(p, MESON_ROOT)))
		root = p, p++;
	return root ? build_path(m->b, "", root + strlen(MESON_ROOT)) != NO_FILE
		    : build_path(m->b, m->dir, path) != NO_FILE;
}

static struct mval *method(struct meson *m, struct mval *v, const char *name)
{
	struct mval *args = meson_arguments(m), *r;
	size_t i;

	if (has_suffix(name, "_source_dir") || has_suffix(name, "_build_dir") ||
	    has_suffix(name, "_root"))
		return object_path(m, name);
	/* fs.is_file(path) */
	if (v->unknown && args->n && args->v[0]->kind == M_STRING &&
	    (!strcmp(name, "is_file") || !strcmp(name, "exists")))
		return mval_string(m, meson_has_file(m, args->v[0]->s) ? "true" : "false");
	if (v->kind == M_STRING)
		return string_method(m, v, name, args);
	if (v->kind == M_DICT && !strcmp(name, "get") && args->n) {
		const struct mval *hit = mval_named(v, args->v[0]->s);

		return hit           ? (struct mval *)hit
		       : args->n > 1 ? args->v[1]
				     : mval_new(m, M_NONE);
	}
	if (v->kind == M_LIST && !strcmp(name, "get") && args->n && v->n) {
		i = strtoul(args->v[0]->s, NULL, 10);
		return v->v[i < v->n ? i : 0];
	}
	if (v->kind == M_DICT && !strcmp(name, "keys")) {
		r = mval_new(m, M_LIST);
		for (i = 0; i < v->n; i++)
			mval_push(m, r, NULL, mval_string(m, v->key[i] ? v->key[i] : ""));
		return r;
	}
	if (has_prefix(name, "extract_") || has_prefix(name, "get_static_lib") ||
	    has_prefix(name, "get_shared_lib") || !strcmp(name, "as_link_whole"))
		return v;
	/* compiler.get_supported_arguments(list) and the like */
	if (has_prefix(name, "get_supported_") && args->n) {
		r = mval_new(m, M_LIST);
		for (i = 0; i < args->n; i++)
			r = joined(m, r, args->v[i]);
		return r;
	}
	note_macro(m, name, args);
	return mval_new(m, M_NONE);
}

static struct mval *indexed(struct meson *m, struct mval *v)
{
	struct mval *at, *r = NULL;

	meson_next(m);
	at = meson_expression(m);
	if (meson_is(m, "]"))
		meson_next(m);
	if (v->kind == M_DICT)
		r = (struct mval *)mval_named(v, at->s);
	else if (v->kind == M_LIST && strtoul(at->s, NULL, 10) < v->n)
		r = v->v[strtoul(at->s, NULL, 10)];
	return r ? r : mval_new(m, M_NONE);
}

static struct mval *primary(struct meson *m)
{
	struct mval *v = NULL;
	char name[256];

	if (m->t == MT_STRING || m->t == MT_NUMBER) {
		v = mval_string(m, m->word);
		meson_next(m);
	} else if (m->t == MT_NAME) {
		snprintf(name, sizeof(name), "%.255s", m->word);
		meson_next(m);
		if (meson_is(m, "(")) {
			struct mval *args = meson_arguments(m);

			v = meson_call(m, name, args);
		} else if (meson_is(m, ":")) {
			v = mval_string(m, name); /* a named argument */
		} else if (!strcmp(name, "true") || !strcmp(name, "false")) {
			v = mval_string(m, name);
		} else {
			v = meson_get(m, name);
		}
	} else if (meson_is(m, "(")) {
		meson_next(m);
		v = meson_expression(m);
		if (meson_is(m, ")"))
			meson_next(m);
	} else if (meson_is(m, "[") || meson_is(m, "{")) {
		v = read_list(m, meson_is(m, "[") ? "]" : "}");
	} else {
		meson_next(m);
	}
	return v ? v : mval_new(m, M_NONE);
}

static struct mval *postfix(struct meson *m)
{
	struct mval *v;
	char name[256];

	if (meson_is(m, "not") || meson_is(m, "-")) {
		bool negate = meson_is(m, "not");

		meson_next(m);
		v = postfix(m);
		if (negate && meson_is_bool(v))
			return mval_string(m, *v->s == 't' ? "false" : "true");
		return mval_new(m, M_NONE);
	}
	v = primary(m);
	while ((meson_is(m, ".") || meson_is(m, "[")) && m->work < 4000000) {
		if (meson_is(m, "[")) {
			v = indexed(m, v);
			continue;
		}
		meson_next(m);
		snprintf(name, sizeof(name), "%.255s", m->word);
		meson_next(m);
		v = meson_is(m, "(") ? method(m, v, name) : mval_new(m, M_NONE);
	}
	return v;
}

static struct mval *term(struct meson *m)
{
	struct mval *v = postfix(m), *b;

	while (meson_is(m, "+") || meson_is(m, "/") || meson_is(m, "-") ||
	       meson_is(m, "*") || meson_is(m, "%")) {
		u8 op = m->punct;

		meson_next(m);
		b = postfix(m);
		if (op == '+')
			v = sum(m, v, b);
		else if (op == '/')
			v = path_of(m, v, b);
	}
	return v;
}

static bool compares(const struct meson *m)
{
	return meson_is(m, "==") || meson_is(m, "!=") || meson_is(m, "<") ||
	       meson_is(m, ">") || meson_is(m, "<=") || meson_is(m, ">=") ||
	       meson_is(m, "in") || meson_is(m, "and") || meson_is(m, "or") ||
	       meson_is(m, "not");
}

struct mval *meson_expression(struct meson *m)
{
	struct mval *v, *a, *b;

	if (++m->depth > 150) {
		m->depth--;
		meson_next(m);
		return mval_new(m, M_NONE);
	}
	v = term(m);
	while (compares(m) && m->work < 4000000) {
		meson_next(m);
		if (meson_is(m, "in"))
			meson_next(m);
		term(m);
		v = mval_new(m, M_NONE);
	}
	if (meson_is(m, "?")) {
		meson_next(m);
		a = meson_expression(m);
		if (meson_is(m, ":"))
			meson_next(m);
		b = meson_expression(m);
		v = a->kind == M_LIST ? joined(m, a, b) : a->unknown ? b : a;
	}
	m->depth--;
	return v;
}
