/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What do the parts that make facts out of a text share? Private to them. */
#ifndef GATE_EXTRACT_H
#define GATE_EXTRACT_H

#include "template.h"

enum scope_kind { SCOPE_FILE, SCOPE_BLOCK, SCOPE_INIT, SCOPE_AGGREGATE };

#define MAX_SCOPES 96
#define MAX_CONDS  64
#define MAX_PARAMS 32
#define MAX_ARGS   16
#define NO_DEF     UINT32_MAX

struct scope {
	u8 kind;
	u8 for_loop;
	u8 is_enum; /* an aggregate whose names are enumerators */
	u8 in_args; /* opened among the arguments of a macro at file scope */
	u16 paren;  /* the depth of parentheses where the brace was opened */
};

/* What is known of the statement or declaration that is being read. */
struct statement {
	bool prefix; /* so far only what may begin a declaration */
	bool decl;   /* it is a declaration: after ',' comes another declarator */
	bool is_static, is_extern, is_typedef;
	bool tag;      /* struct, union or enum was seen */
	bool is_enum;  /* and it was enum */
	bool init;     /* after '=' */
	bool invoke;   /* a macro is invoked at file scope */
	bool label;    /* case or default: ':' ends it */
	bool exported; /* by an attribute */
	bool fn_made;  /* a macro makes the function's name */
	bool typed;    /* a word that only a declaration has: int, struct */
	u16 ids;       /* identifiers so far */
	u64 last;      /* the last of them that is no word of the language, 0 = none */
	u32 last_line, last_len;
	const char *last_s;
	u16 paren; /* the depth of parentheses that it is in */
	u64 fn;    /* the function declared, 0 = none */
	u32 fn_line, fn_len;
	const char *fn_s;
};

/* What a name means that is the file's own, see own.c. */
enum own_kind { OWN_LOCAL, OWN_STATIC, OWN_MACRO, OWN_GLOBAL };

struct own {
	u64 name;
	u64 cond;  /* the branch of an #if that it is made in, 0 = none */
	u32 next;  /* 1 + index of the same name's entry before this one */
	u32 depth; /* OWN_LOCAL: of the block */
	u16 level, branch;
	u8 kind;
	bool ended; /* a macro that was taken back */
};

struct owns {
	struct own *v;
	size_t n, cap;
};

/* An #if that is being read. */
struct cond {
	/* where its branches begin */
	struct scope stack[MAX_SCOPES];
	u32 depth, paren;
	struct statement st;
	bool in_params, in_args;
	/* which branch this is */
	u64 now;    /* says what the branch asks for, the same wherever it is asked */
	u64 others; /* what the branches before it asked for */
	u16 branch;
	u64 dead; /* bit i: branch i is never compiled */
	bool has_else;
	bool rest_never, rest_sure, rest_assembly; /* of the branches that come after it */
	size_t first_own, first_local;
};

struct seen {
	u64 key;
	u32 gen;
};

/* #define name other, in a source. */
struct alias {
	u64 name;
	const char *other;
	bool ended;
};

/* #define NAME "path" or <path> */
struct include_path {
	u64 name;
	const char *text;
};

/* A call in the body of a macro of the file's own; encoded as struct fact_call is. */
struct local_call {
	u64 callee; /* below MAX_PARAMS + 1: 1 + the parameter that is called */
	const char *args;
};

struct local_macro {
	u64 name;
	u32 first, n; /* in local_calls */
	bool ended;
};

struct extractor {
	const struct primitives *prims;
	const struct templates *ts;
	enum text_kind kind;
	struct lexer lx;
	struct token t;
	char prev; /* the token before: its character, 'i' for an identifier, '0' else */

	/* where we are */
	struct scope stack[MAX_SCOPES];
	u32 depth, paren;
	struct statement st;
	bool in_params, in_args, skip_id, for_next, asm_next;
	u32 asm_paren, param_ids;
	struct cond *conds; /* MAX_CONDS of them */
	u32 nconds;
	struct owns locals, own;
	struct map own_index; /* name -> 1 + its last entry in own */
	u64 locals_filter;
	bool recover, unbalanced; /* the braces do not add up: trust the margin */
	u32 open_blocks;          /* of extern "C" */
	u32 asm_level;            /* the #if whose branch is assembly, 0 = none */
	u32 def;                  /* the definition that uses go to; NO_DEF = to the file */

	/* what was found */
	VEC(struct fact_use) uses;
	VEC(struct fact_def) defs;
	VEC(u64) body;
	VEC(struct fact_call) calls;
	VEC(struct fact_export) exports;
	VEC(struct fact_include) includes;
	VEC(u64) decls;
	VEC(struct fact_global) globals;
	VEC(struct fact_alias) noted_aliases;
	struct buf str;
	VEC(struct alias) aliases;
	VEC(struct include_path) paths;

	/* each name once: a name was seen if its entry has this generation */
	struct seen *seen;
	u32 nseen, seen_mask, gen;

	/* macros of the file itself that paste or export */
	VEC(struct local_macro) macros;
	VEC(struct local_call) local_calls;
	u64 macros_filter;
	struct arena scratch;
};

/* facts.c */
void note_use(struct extractor *x, u64 name, u32 line);
void note_decl(struct extractor *x, u64 name);
void note_global(struct extractor *x, u64 name, const char *s, u32 len, u32 line);
void note_export(struct extractor *x, const char *name, const char *ns, const char *via,
		 u32 via_len, int kind, u32 line);
u32 note_def(struct extractor *x, u64 name, const char *s, u32 len, enum def_kind kind,
	     u32 line);
u32 note_str(struct extractor *x, const char *s, u32 len);
void note_asm_words(struct extractor *x, const char *s, u32 len, u32 line);

/* own.c */
void own_add(struct extractor *x, struct owns *to, u64 name, enum own_kind kind);
void own_end_macro(struct extractor *x, u64 name);
/* Does the name mean something of the file's own here, whatever is configured? */
bool own_here(const struct extractor *x, u64 name);
bool own_is_local(const struct extractor *x, u64 name);
bool own_macro_here(const struct extractor *x, u64 name);
/* Everywhere in the file, at its end. */
bool own_always(const struct extractor *x, u64 name, enum own_kind kind);
bool own_ever_macro(const struct extractor *x, u64 name);
void own_end_branch(struct extractor *x, struct cond *c);
void own_drop_locals(struct extractor *x);
void own_reset(struct extractor *x);

void skip_parens(struct extractor *x, bool note);
bool is_export_attribute(const struct primitives *p, u64 name);

/* cparse.c, asm.c */
void parse_c(struct extractor *x);
/* ".macro NAME" in a header, after its dot. */
void parse_asm_macro(struct extractor *x);
void parse_asm(struct extractor *x);
void parse_rust(struct extractor *x);

/* directive.c: the token '#' was read */
void parse_directive(struct extractor *x);

/* macro.c */
struct macro_params {
	u64 name[MAX_PARAMS];
	u32 n;
};
/*
 * The arguments of the call whose '(' comes next, encoded as in struct fact_call; the
 * lexer stays where it is. Returns NULL if no argument says anything.
 */
const char *encode_args(struct extractor *x, const struct lexer *at,
			const struct macro_params *params);
/* The text between the parentheses that come next, as far as it is of use: "*text". */
const char *raw_args(struct extractor *x);
/* The macro that is called makes names: note them. False if it makes none. */
bool apply_templates(struct extractor *x, u64 callee, const char *s, u32 len, u32 line);
void parse_define(struct extractor *x);

#endif
