/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What does a C source say once its macros are expanded, as far as the tree tells?
 *
 * A preprocessor for libraries: includes are found in the tree, macros are those of the
 * tree, of the target's -D flags and of the platform (GNU/Linux, gcc). A condition that
 * depends on what the build decides (config.h, options, the processor) has no value:
 * both of its branches are read, and what stands in them is marked as unsure.
 */
#ifndef GATE_CPP_H
#define GATE_CPP_H

#include "sources/tree.h"

enum ctoken_kind {
	CT_EOF,
	CT_ID,
	CT_NUM,
	CT_STR,
	CT_CHR,
	CT_PUNCT,
	CT_HASH,       /* begins a directive */
	CT_EOL,        /* ends it */
	CT_BRANCH,     /* of a condition without a value: punct is one of BRANCH_* */
	CT_VISIBILITY, /* #pragma GCC visibility: 'd', 'h' or '<' (pop) */
};

#define BRANCH_BEGIN 'b'
#define BRANCH_NEXT  'n'
#define BRANCH_END   'e'

/* Punctuation of two characters, as one. */
enum {
	CP_AND = 128,
	CP_OR,
	CP_EQ,
	CP_NE,
	CP_LE,
	CP_GE,
	CP_SHL,
	CP_SHR,
	CP_PASTE,
	CP_DOTS,
	CP_ARROW,
};

struct ctoken {
	const char *s;
	u32 len;
	u32 id; /* CT_ID: its number among the names */
	u32 line, file;
	u8 kind, punct;
	u8 space;    /* blanks before it */
	u8 maybe;    /* a macro made it that is not in every configuration */
	u8 no_macro; /* never to be expanded; of a number in a condition: it is unknown */
};

struct cfile {
	struct ctoken *t;
	u32 n;
	u32 guard; /* #ifndef GUARD is its first directive */
	bool read;
};

enum cmacro_state {
	MAC_NONE,    /* nothing is said of it */
	MAC_DEFINED, /* it has a body */
	MAC_MAYBE,   /* the build decides: config.h.in's #undef */
	MAC_ABSENT,  /* taken back, or of another platform */
};

struct cmacro {
	const struct ctoken *body;
	const u32 *params;
	u32 nbody;
	u16 nparams;
	u8 state;
	bool fn, variadic, busy;
	bool unsure; /* defined in a branch that may not be read */
};

struct cname {
	const char *s;
	u32 len;
	u16 keyword;  /* what cdecl.c calls it: bits, see there */
	bool mention; /* the build files speak of it */
	bool source;  /* some source or header defines it itself */
};

struct cstream {
	const struct ctoken *t, *end;
	u32 macro; /* the macro whose body it is, 0 = none */
	u32 file;  /* NO_FILE: no file */
	u32 conds; /* how many conditions were open when the file began */
};

struct ccond {
	bool active;  /* its tokens are read */
	bool taken;   /* a branch was certainly taken */
	bool unsure;  /* a branch without a value was met: marks were given out */
	bool outside; /* what surrounds it is not read */
};

#define CPP_MAX_CONDS   128
#define CPP_MAX_STREAMS 256

struct cpp {
	const struct tree *tree;
	struct map name_index;
	VEC(struct cname) names;
	struct cmacro *macro; /* per name */
	size_t nmacro;
	VEC(u32) touched;    /* the names whose macros are to be forgotten */
	struct cfile *files; /* per file of the tree */
	struct arena arena;  /* texts and tokens of files */
	struct arena unit;   /* what lives as long as the source's reading */
	struct map by_base;  /* hash of the last path component -> 1 + first */
	u32 *next_base;      /* per file: the next with the same one */

	/* the source that is read */
	const struct strings *incs; /* folders to look for headers in */
	struct cstream stream[CPP_MAX_STREAMS];
	u32 nstream, base;
	struct ccond cond[CPP_MAX_CONDS];
	u32 nconds;
	u32 includes;             /* files that are open */
	u32 unsure;               /* conditions without a value around this place */
	bool unknown_header;      /* one that the build makes was included */
	bool from_macro;          /* the token that was given out last is a macro's */
	bool raw;                 /* identifiers are not expanded: in bodies */
	VEC(struct ctoken) marks; /* to be given out before the next token */
	/* EXPORT_SYMBOL(name) and the like, empty macros: what they name */
	struct cpp_marked {
		u32 id, macro, file, line;
	} * marked;
	size_t nmarked, marked_cap;
	u64 work;
	bool gave_up;
	bool declarator; /* a function's name may come: no macro that may not be there */
};

struct strings;

void cpp_init(struct cpp *p, const struct tree *t);
void cpp_free(struct cpp *p);
u32 cpp_name(struct cpp *p, const char *s, size_t len);
const char *cpp_text(const struct cpp *p, u32 id);
/* The build files' text: the names in it are for the build to decide. */
void cpp_mention(struct cpp *p, const char *text, size_t len);

/* Begins a source. -D flags ("NAME" or "NAME=VALUE") after that, then tokens. */
void cpp_begin(struct cpp *p, u32 file, const struct strings *incs);
void cpp_define(struct cpp *p, const char *flag);
/* A macro that this target is not given, though others are. */
void cpp_absent(struct cpp *p, const char *flag);
void cpp_next(struct cpp *p, struct ctoken *t);

/* cpplex.c */
const struct cfile *cpp_file(struct cpp *p, u32 file);
u32 cpp_lex(struct cpp *p, const char *text, size_t len, u32 file, struct ctoken **out);
static inline bool ctoken_punct(const struct ctoken *t, u8 c)
{
	return t->kind == CT_PUNCT && t->punct == c;
}

/* cppmacro.c */
void cpp_read_define(struct cpp *p, const struct ctoken *t, const struct ctoken *end);
/* The macro's name was read: true if its expansion comes next. */
bool cpp_expand(struct cpp *p, const struct ctoken *name);
void cpp_push(struct cpp *p, const struct ctoken *t, u32 n, u32 macro, u32 file);
/* The list with all macros expanded; lives as long as the unit. */
u32 cpp_expand_list(struct cpp *p, const struct ctoken *t, u32 n, struct ctoken **out);
void cpp_raw_next(struct cpp *p, struct ctoken *t);
struct cmacro *cpp_macro(struct cpp *p, u32 id);

/* cppif.c */
enum truth { TRUTH_NO, TRUTH_YES, TRUTH_UNKNOWN };
enum truth cpp_condition(struct cpp *p, const struct ctoken *t, u32 n);
enum truth cpp_defined(struct cpp *p, u32 id);
void cpp_platform(struct cpp *p);

/* cppinc.c */
u32 cpp_find_header(struct cpp *p, u32 includer, const char *path, bool quoted);
void cpp_index_headers(struct cpp *p);

#endif
