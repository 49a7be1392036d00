// SPDX-License-Identifier: GPL-2.0-or-later
/* Which files make up which module, however that was found out? */
#include <stdlib.h>

#include "scan.h"

u32 scan_module(struct scan *s, const char *name, bool builtin)
{
	u32 *i = map_get(&s->module_index, hash_str(name), UINT32_MAX);
	struct module m = {.builtin = builtin};

	if (*i == UINT32_MAX) {
		*i = s->modules.n;
		m.name = arena_strndup(&s->arena, name, strlen(name));
		vec_push(&s->modules, m);
	}
	return *i;
}

void scan_add_member(struct scan *s, u32 file, u32 module)
{
	struct membership m = {.file = file, .module = module};

	vec_push(&s->pairs, m);
}

static int by_file(const void *a, const void *b)
{
	const struct membership *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->module < y->module ? -1 : x->module > y->module;
}

/* From now on s->first and s->member answer. */
void scan_seal_members(struct scan *s)
{
	size_t nfiles = s->tree->files.n, i, n = 0;

	if (s->pairs.n)
		qsort(s->pairs.v, s->pairs.n, sizeof(*s->pairs.v), by_file);
	s->first = xcalloc(nfiles + 1, sizeof(*s->first));
	s->member = xcalloc(s->pairs.n + 1, sizeof(*s->member));
	for (i = 0; i < s->pairs.n; i++) {
		const struct membership *m = &s->pairs.v[i];

		if (i && !by_file(m, m - 1))
			continue;
		s->member[n++] = m->module;
		s->first[m->file + 1]++;
	}
	for (i = 0; i < nfiles; i++)
		s->first[i + 1] += s->first[i];
	vec_free(&s->pairs);
	if (s->included.n)
		qsort(s->included.v, s->included.n, sizeof(*s->included.v), by_file);
}

void scan_add_foreign(struct scan *s, u32 file, const char *folder)
{
	u32 *last = map_get(&s->foreign_of, (u64)file + 1, 0);
	struct foreign f = {file, *last, arena_strndup(&s->arena, folder, strlen(folder))};

	vec_push(&s->foreign, f);
	*last = s->foreign.n;
}

size_t scan_first_includer(const struct scan *s, u32 file)
{
	size_t lo = 0, hi = s->included.n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (s->included.v[mid].file < file)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool scan_file_in(const struct scan *s, u32 file, u32 module)
{
	u32 i;

	for (i = s->first[file]; i < s->first[file + 1]; i++)
		if (s->member[i] == module)
			return true;
	return false;
}
