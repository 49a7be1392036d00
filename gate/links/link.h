/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What do the two halves of linking share? Private to link.c, names.c, reach.c and
 * assign.c. */
#ifndef GATE_LINK_H
#define GATE_LINK_H

#include "includes.h"
#include "linker.h"

/* One name that is exported, by however many exports. */
struct export_name {
	u64 hash;
	u32 first_export;      /* chained by linker.next_export; UINT32_MAX ends */
	bool declared_in_made; /* some macro at a header's file scope names it */
};

/* A consumer of a name, before it is known for which exports it counts. */
struct hit {
	u32 name;
	struct consumer c;
};

enum edge_kind { EDGE_EXPORT, EDGE_DEF };

struct edge {
	u32 target, next; /* next: 1 + index, 0 = none */
	u8 kind;
};

/* The same once all are known: a name's targets lie side by side, in groups. */
struct target {
	u32 index;  /* of an export name, or of a definition */
	u32 header; /* the definition's, see includes_header() */
};

/* A name that matters: it is an export's, or that of a definition that reaches one. */
struct linker {
	struct scan *s;
	struct includes *inc;
	struct reach *reach;
	struct map names;    /* hash -> number of the name */
	VEC(u32) first_edge; /* per name: 1 + index in edges */
	VEC(struct edge) edges;
	VEC(struct target) targets;
	VEC(struct group) groups;
	u32 *group_first;   /* per name, in groups */
	struct arena arena; /* the scan's from linker_link() on */
	u64 *filter;        /* 2^22 bits over the names */
	VEC(u32) anonymous; /* definitions that every file which sees them uses */
	VEC(u32) classes;   /* those that only CREATE_TRACE_POINTS compiles */
	VEC(struct export_name) xnames;
	struct map xname_index;
	struct map known_exports; /* while they are collected */
	u32 *next_export;
	/* headers that declare a name: (name, file) pairs, sorted */
	VEC(struct membership) declared;
	u32 *files_first, *files; /* module -> files */
	u8 *may_consume;          /* per file, by the policy */
	u32 next_module;          /* for the workers */
	struct hits {
		struct hit *v;
		size_t n, cap;
	} * hits; /* one a worker */
};

#define FILTER_BITS 22
static inline bool linker_matters(const struct linker *l, u64 name)
{
	u32 bit = name >> (64 - FILTER_BITS);

	return (l->filter[bit / 64] >> (bit % 64)) & 1;
}

/* assign.c */
void linker_collect_exports(struct linker *l);
void linker_collect_declarations(struct linker *l);
void linker_assign(struct linker *l);
/* globs.c */
void linker_add_globs(struct linker *l);
/* names.c */
void linker_add_name(struct linker *l, u64 name, enum edge_kind kind, u32 target);
/* All that headers define. Needs the facts only, and not who is in which module. */
void linker_collect_defs(struct linker *l);
void linker_find_reaching(struct linker *l);
/* No more names and definitions come. */
void linker_seal_names(struct linker *l);

#endif
