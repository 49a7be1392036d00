// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which names mean something of the file's own, and in which configurations?
 *
 * A local variable, a static function, an enumerator or a macro of the file hides an export
 * of the same name, but only where the branch of the #if that makes it is compiled: outside
 * of it, and of other branches with the same condition, the name may still be the export's.
 * What every branch of an #if up to its #else makes is made for the code around it too.
 */
#include <stdlib.h>

#include "extract.h"

static u64 current_cond(const struct extractor *x)
{
	return x->nconds && x->nconds <= MAX_CONDS ? x->conds[x->nconds - 1].now : 0;
}

static void push(struct extractor *x, struct owns *to, struct own *o)
{
	u32 *last;

	if (to == &x->own) {
		last = map_get(&x->own_index, o->name, 0);
		o->next = *last;
		*last = to->n + 1;
	} else {
		x->locals_filter |= 1ull << (o->name & 63);
	}
	vec_push(to, *o);
}

void own_add(struct extractor *x, struct owns *to, u64 name, enum own_kind kind)
{
	struct own o = {.name = name, .kind = kind, .cond = current_cond(x)};

	o.depth = x->depth ? x->depth : 1;
	o.level = x->nconds;
	/* deeper than the stack: in some branch that nobody knows */
	if (x->nconds > MAX_CONDS)
		o.cond = 1;
	else if (x->nconds)
		o.branch = x->conds[x->nconds - 1].branch;
	push(x, to, &o);
}

static bool holds(const struct extractor *x, u64 cond)
{
	u32 i, n = x->nconds < MAX_CONDS ? x->nconds : MAX_CONDS;

	if (!cond)
		return true;
	for (i = 0; i < n; i++)
		if (x->conds[i].now == cond)
			return true;
	return false;
}

static const struct own *next_own(const struct extractor *x, u64 name,
				  const struct own *after)
{
	const u32 *last = after ? &after->next : map_find(&x->own_index, name);

	return last && *last ? &x->own.v[*last - 1] : NULL;
}

bool own_here(const struct extractor *x, u64 name)
{
	const struct own *o;

	for (o = next_own(x, name, NULL); o; o = next_own(x, name, o))
		if (o->kind != OWN_GLOBAL && !o->ended && holds(x, o->cond))
			return true;
	return false;
}

bool own_macro_here(const struct extractor *x, u64 name)
{
	const struct own *o;

	for (o = next_own(x, name, NULL); o; o = next_own(x, name, o))
		if (o->kind == OWN_MACRO && !o->ended && holds(x, o->cond))
			return true;
	return false;
}

bool own_ever_macro(const struct extractor *x, u64 name)
{
	const struct own *o;

	for (o = next_own(x, name, NULL); o; o = next_own(x, name, o))
		if (o->kind == OWN_MACRO)
			return true;
	return false;
}

bool own_always(const struct extractor *x, u64 name, enum own_kind kind)
{
	const struct own *o;

	for (o = next_own(x, name, NULL); o; o = next_own(x, name, o))
		if (o->kind == kind && !o->ended && !o->cond)
			return true;
	return false;
}

bool own_is_local(const struct extractor *x, u64 name)
{
	size_t i;

	if (!(x->locals_filter & (1ull << (name & 63))))
		return false;
	for (i = 0; i < x->locals.n; i++)
		if (x->locals.v[i].name == name && holds(x, x->locals.v[i].cond))
			return true;
	return false;
}

void own_end_macro(struct extractor *x, u64 name)
{
	u32 *last = map_find(&x->own_index, name), i;

	for (i = last ? *last : 0; i; i = x->own.v[i - 1].next)
		if (x->own.v[i - 1].kind == OWN_MACRO)
			x->own.v[i - 1].ended = true;
}

/* ---------------------------------------------------------------- branches --------- */

static int by_name(const void *a, const void *b)
{
	const struct own *x = a, *y = b;

	return x->name < y->name ? -1 : x->name > y->name;
}

/* What the outermost entries of one #if make of a name, for the code around it. */
static void promote_name(struct extractor *x, struct owns *to, const struct own *v,
			 size_t n, const struct cond *c)
{
	u64 branches = c->dead, all = (2ull << c->branch) - 1;
	struct own o = v[0];
	size_t i;

	for (i = 0; i < n; i++) {
		branches |= v[i].ended ? 0 : 1ull << v[i].branch;
		if (v[i].kind != o.kind)
			o.kind = v[i].kind == OWN_GLOBAL || o.kind == OWN_GLOBAL
					 ? OWN_GLOBAL
					 : OWN_STATIC;
	}
	if (branches != all)
		return;
	o.level = x->nconds - 1;
	o.cond = o.level ? x->conds[o.level - 1].now : 0;
	o.branch = o.level ? x->conds[o.level - 1].branch : 0;
	o.ended = false;
	push(x, to, &o);
}

static void promote(struct extractor *x, struct owns *to, size_t first,
		    const struct cond *c)
{
	size_t i, k, n = 0;
	struct own *v;

	if (!c->has_else || c->branch > 62 || to->n <= first)
		return;
	v = xmalloc((to->n - first) * sizeof(*v));
	for (i = first; i < to->n; i++)
		if (to->v[i].level == x->nconds)
			v[n++] = to->v[i];
	if (n)
		qsort(v, n, sizeof(*v), by_name);
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && v[k].name == v[i].name; k++)
			;
		promote_name(x, to, v + i, k - i, c);
	}
	free(v);
}

/* At the #endif of the innermost #if. */
void own_end_branch(struct extractor *x, struct cond *c)
{
	promote(x, &x->own, c->first_own, c);
	promote(x, &x->locals, c->first_local, c);
}

/* The locals of blocks that have ended. */
void own_drop_locals(struct extractor *x)
{
	size_t i, kept = 0;

	x->locals_filter = 0;
	for (i = 0; i < x->locals.n; i++) {
		if (x->locals.v[i].depth > x->depth)
			continue;
		x->locals_filter |= 1ull << (x->locals.v[i].name & 63);
		x->locals.v[kept++] = x->locals.v[i];
	}
	x->locals.n = kept;
}

void own_reset(struct extractor *x)
{
	x->own.n = x->locals.n = 0;
	x->locals_filter = 0;
	if (x->own_index.n)
		map_free(&x->own_index);
}
