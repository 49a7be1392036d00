// SPDX-License-Identifier: GPL-2.0-or-later
/* Who maintains this file? */
#include <ctype.h>
#include <stdlib.h>

#include "maintainers.h"

static void push_section(struct maintainers *m, struct section *s)
{
	if (s->files.n && s->people.n) {
		vec_push(m, *s);
	} else {
		free(s->files.v);
		free(s->excluded.v);
		free(s->people.v);
	}
	memset(s, 0, sizeof(*s));
}

static const char *copy_trimmed(struct maintainers *m, const char *p, size_t n)
{
	while (n && isspace((u8)*p))
		p++, n--;
	while (n && isspace((u8)p[n - 1]))
		n--;
	return arena_strndup(&m->arena, p, n);
}

static void read_entry(struct maintainers *m, struct section *s, const char *p, size_t n)
{
	const char *value;

	if (n < 3 || p[1] != ':')
		return;
	value = copy_trimmed(m, p + 2, n - 2);
	if (!*value)
		return;
	if (*p == 'M' || *p == 'R')
		vec_push(&s->people, value);
	else if (*p == 'F')
		vec_push(&s->files, value);
	else if (*p == 'X')
		vec_push(&s->excluded, value);
}

static void read_owner_line(struct maintainers *m, const char *p, size_t n)
{
	char *line = xstrndup(p, n), *save = NULL, *w;
	struct section s = {0};

	if (strchr(line, '#'))
		*strchr(line, '#') = '\0';
	w = strtok_r(line, " \t\r", &save);
	if (w) {
		const char *pattern = *w == '/' ? w + 1 : w;

		vec_push(&s.files, arena_strndup(&m->arena, pattern, strlen(pattern)));
		while ((w = strtok_r(NULL, " \t\r", &save)))
			vec_push(&s.people, arena_strndup(&m->arena, w, strlen(w)));
		push_section(m, &s);
	}
	free(line);
}

void maintainers_parse(struct maintainers *m, const char *text, size_t len, bool codeowners)
{
	const char *end = text + len, *nl;
	struct section s = {0};

	for (; text < end; text = nl + 1) {
		nl = memchr(text, '\n', end - text);
		if (!nl)
			nl = end;
		if (codeowners)
			read_owner_line(m, text, nl - text);
		else if (nl == text || (nl - text > 1 && text[1] != ':'))
			push_section(m, &s);
		else
			read_entry(m, &s, text, nl - text);
	}
	push_section(m, &s);
}

void maintainers_add(struct maintainers *m, const char *pattern, const char *person)
{
	struct section s = {0};

	vec_push(&s.files, pattern);
	vec_push(&s.people, person);
	push_section(m, &s);
}

/* A pattern that names a folder without its '/' means all below it. */
static bool covers(const struct strings *patterns, const char *path)
{
	size_t i, n;

	for (i = 0; i < patterns->n; i++) {
		n = strlen(patterns->v[i]);
		if (path_match(patterns->v[i], path) ||
		    (!strncmp(path, patterns->v[i], n) && path[n] == '/'))
			return true;
	}
	return false;
}

void maintainers_of(const struct maintainers *m, const char *path, struct strings *out)
{
	size_t i, k;

	for (i = 0; i < m->n; i++) {
		if (!covers(&m->v[i].files, path) || covers(&m->v[i].excluded, path))
			continue;
		for (k = 0; k < m->v[i].people.n; k++)
			vec_push(out, m->v[i].people.v[k]);
	}
}

/* The address in "Name <address>", or the whole. */
static const char *address(const char *s, size_t *n)
{
	const char *open = strchr(s, '<'), *close = open ? strchr(open, '>') : NULL;

	if (close) {
		*n = close - open - 1;
		return open + 1;
	}
	*n = strlen(s);
	return s;
}

bool same_person(const char *a, const char *b)
{
	size_t na, nb;

	a = address(a, &na);
	b = address(b, &nb);
	return na && na == nb && !strncasecmp(a, b, na);
}

void maintainers_free(struct maintainers *m)
{
	size_t i;

	for (i = 0; i < m->n; i++) {
		free(m->v[i].files.v);
		free(m->v[i].excluded.v);
		free(m->v[i].people.v);
	}
	free(m->v);
	arena_free(&m->arena);
}
