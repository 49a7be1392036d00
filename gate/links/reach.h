/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which exports does a file use that names this macro or inline function? */
#ifndef GATE_REACH_H
#define GATE_REACH_H

#include "link.h"

#define NO_SET UINT32_MAX

/*
 * A set of numbers: those below reach.base are exported names; the others stand for
 * names that mean what the file sees of such definitions, reach.maybe. What it holds is
 * in its own words and in the set `rest`, so that large sets share what they have in
 * common.
 */
struct reach_set {
	const struct reach_word {
		u32 at; /* index of the 64 numbers */
		u64 bits;
	} * w;
	u32 n;
	u32 rest;  /* another set, or NO_SET */
	u32 size;  /* words, those of the rest too */
	bool open; /* it, or the rest, holds some of those names */
};

struct reach {
	struct linker *l;
	u32 base, words;
	u32 *set_of; /* per definition; NO_SET = it reaches nothing */
	struct {
		struct reach_set *v;
		size_t n, cap;
	} sets;
	VEC(u32) maybe; /* the names, by number less base */
	/* What maybe.v[i] means to a file that sees the header: the groups of meanings from
	 * group_first[i] on.
	 */
	u32 *group_first;
	VEC(struct group) groups;
	VEC(struct reach_meaning {
		u32 header; /* see includes_header() */
		u32 set;
	})
	meaning;

	/* only while it is made */
	struct visible seen;
	u32 *node_of, *def_of, n;
	u32 *edge_first, *own_first;
	VEC(u32) edges;
	VEC(u32) own;
	u32 *maybe_of; /* per name */
	u64 *scratch, *common;
	VEC(u32) touched, merged;
	VEC(u32) stamp; /* per set: the merge that has it */
	u32 merge;
};

/* For all definitions that reach an export, once each has its names to follow. */
struct reach *reach_create(struct linker *l);
void reach_free(struct reach *r);

#endif
