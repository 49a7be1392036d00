/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What does one file say, without a look at any other?
 *
 * The facts of a file are flat arrays of plain records: a scan makes them in parallel, the
 * cache writes them as they are and maps them back, and only link.c puts the facts of all
 * files together. Names are hashes (hash_bytes) wherever nothing but equality is asked.
 */
#ifndef GATE_FACTS_H
#define GATE_FACTS_H

#include "token.h"

enum facts_array {
	FA_USE,     /* struct fact_use: names used, each once, with its first line */
	FA_DEF,     /* struct fact_def: what a header defines with a body */
	FA_BODY,    /* u64: the names in those bodies */
	FA_CALL,    /* struct fact_call: calls whose arguments may make names by pasting */
	FA_EXPORT,  /* struct fact_export */
	FA_INCLUDE, /* struct fact_include */
	FA_DECL,    /* u64: names declared without a definition */
	FA_GLOBAL,  /* struct fact_global: functions and objects defined, not static */
	FA_ALIAS,   /* struct fact_alias: #define NAME OTHER in a source */
	FA_STR,     /* char: the strings that the records point into */
	FA_COUNT
};

struct fact_use {
	u64 name;
	u32 line;
	u32 pad;
};

enum def_kind { DEF_MACRO, DEF_FUNCTION, DEF_OBJECT, DEF_MADE };

/*
 * The name of a definition whose name cannot be known: it counts for every file that
 * includes the header.
 */
#define ANONYMOUS 2

struct fact_def {
	u64 name;        /* DEF_MADE: of the macro that is invoked at file scope */
	u32 body, nbody; /* in FA_BODY */
	u32 line;
	u32 str; /* the name's text */
	u32 kind;
	u32 pad;
};

/*
 * A call in a header, or in a macro's body. Arguments are separated by ARG_END; one that
 * is no plain name, string or paste of names and parameters is "?". A byte of 0x80 + i
 * stands for the i-th parameter of the macro that the call is in; a string keeps its
 * opening quote. callee 0: no call, the single argument is a name made by pasting. The
 * arguments "=callee" say that the owner is another name of the callee. A callee of
 * CALLEE_PARAM + i is what the i-th parameter names.
 */
#define CALLEE_PARAM 16
#define ARG_END      '\1'
struct fact_call {
	u64 callee;
	u32 owner; /* index in FA_DEF */
	u32 args;  /* in FA_STR */
	u32 line;
	u32 pad;
};

enum export_kind {
	EXP_PLAIN,
	EXP_GPL,
	EXP_KIND_MASK = 0x0f,
	EXP_TRACEPOINT = 0x10,  /* the name is the tracepoint's */
	EXP_STATIC_CALL = 0x20, /* the name is the static call's */
	EXP_STATIC_CALL_TRAMP = 0x40,
	EXP_LIBRARY = 0x80,       /* a version script, an attribute or an export list */
	EXP_NS_MODULES = 0x100,   /* the "namespace" is a list of modules */
	EXP_TESTS = 0x200,        /* only for tests */
	EXP_PATTERN = 0x400,      /* a version script's glob */
	EXP_CONDITIONAL = 0x1000, /* libraries: not in every configuration */
	EXP_UNNAMED = 0x800,      /* what is written; a macro makes another name of it */
};

struct fact_export {
	u32 name, ns, via; /* in FA_STR; via: the macro that was written, or the node */
	u32 kind;
	u32 line;
	u32 pad;
};

struct fact_include {
	u32 path; /* in FA_STR */
	u32 quoted;
};

struct fact_global {
	u64 name;
	u32 line;
	u32 str;
	u32 sure; /* it is defined in every configuration */
	u32 pad;
};

struct fact_alias {
	u64 name;
	u32 other, line; /* other: in FA_STR */
};

struct facts {
	const void *a[FA_COUNT];
	u32 n[FA_COUNT];
};

extern const u32 facts_size[FA_COUNT];

#define FACTS(f, type, array) ((const type *)(f)->a[array])
static inline const char *facts_str(const struct facts *f, u32 at)
{
	return (const char *)f->a[FA_STR] + at;
}

/* A pasted name's recipe: what a macro makes of its arguments. Encoded as fact_call.args.
 */
struct template
{
	const char *name;    /* one encoded argument */
	const char *ns;      /* likewise, or NULL */
	const char *licence; /* likewise: what says "GPL", or NULL */
	int kind;            /* MAKES_USE, MAKES_CALL, otherwise enum export_kind bits */
};

#define MAKES_USE  (-1) /* a use of the name */
#define MAKES_CALL (-2) /* a call of the macro `ns` with the arguments `name` */

struct template_list {
	u64 macro;
	u32 n;
	struct template *t;
};

/* The macros of a tree that paste names or export; see template.c. */
struct templates {
	struct map index; /* macro -> list */
	VEC(struct template_list) lists;
	struct map aliases; /* macro -> index in alias_names */
	VEC(const char *) alias_names;
	u64 filter[1024]; /* one bit for 16 bits of the hash: most names are none */
	u64 digest;
	struct arena arena;
};

/* The other name that a macro of a header stands for, or NULL. */
const char *templates_alias(const struct templates *ts, u64 name);

static inline const struct template_list *templates_find(const struct templates *ts,
							 u64 name)
{
	const u32 *i;

	if (!(ts->filter[(name >> 6) & 1023] & (1ull << (name & 63))))
		return NULL;
	i = map_find(&ts->index, name);
	return i ? &ts->lists.v[*i] : NULL;
}

/* The primitives: macros that export by themselves. */
struct primitive {
	u64 name;
	int kind;
	u8 ns_arg;            /* the argument that names the namespace, 0 = none */
	u8 licence_arg;       /* the argument that says "GPL", 0 = none */
	const char *fixed_ns; /* instead of an argument */
};

struct primitives {
	struct primitive *v;
	size_t n, cap;
	/* libraries: words that mark a declaration as exported */
	u64 attribute[8];
	u32 nattributes;
	bool visibility; /* __attribute__((visibility("default"))) exports */
};
void primitives_init(struct primitives *p);
void primitives_add(struct primitives *p, const char *name, int kind, int ns, int licence);
const struct primitive *primitives_find(const struct primitives *p, u64 name);

/* What extraction needs to know of the tree, and the room that it works in. */
struct extractor;
struct extractor *extractor_create(const struct primitives *prims);
void extractor_destroy(struct extractor *x);
/* From now on calls of these macros are replaced by what they make. */
void extractor_use_templates(struct extractor *x, const struct templates *ts);

enum text_kind { TEXT_SOURCE, TEXT_HEADER, TEXT_ASM, TEXT_RUST };
/*
 * Fills in `out` from the text, which has 16 readable bytes after its end. The arrays are
 * in `a` and live as long as it does. Never fails: what is not understood says nothing.
 */
void facts_extract(struct extractor *x, enum text_kind kind, const char *text, size_t size,
		   struct arena *a, struct facts *out);

#endif
