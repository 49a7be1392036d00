/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which symbols does an object file have that is compiled of this source? */
#ifndef GATE_CDECL_H
#define GATE_CDECL_H

#include "cpp.h"

struct csymbol {
	u32 id;         /* its name, as the source has it */
	u32 label;      /* asm("label"): the name that the object has; 0 = the same */
	u32 file, line; /* of the definition */
	bool defined, is_static, object;
	bool is_inline; /* defined inline only: no symbol unless `plain` too */
	bool plain;     /* declared without inline */
	bool maybe;     /* its visibility is not that of every configuration */
	bool sure;      /* defined, and in no branch without a value */
	u8 visibility;  /* 'd', 'h', or 0: nothing says it */
};

/* .symver name, symbol@NODE */
struct csymver {
	u32 id;     /* what the library exports */
	u32 target; /* the function that it is */
	u32 file, line;
	const char *node; /* lives as long as the unit */
	bool only;        /* one @: no default version */
	bool marks;       /* no symbol version, but a macro that says: this is an export */
};

struct cunit {
	struct map index; /* name -> 1 + symbol */
	VEC(struct csymbol) symbols;
	VEC(struct csymver) symvers;
	VEC(u32) invoked; /* unknown macros that are invoked at file scope */
};

/* Tells the names apart that mean something in C: once. */
void cdecl_init(struct cpp *p);
/* Reads the source that cpp_begin() began. */
void cdecl_read(struct cpp *p, struct cunit *u);
void cunit_free(struct cunit *u);

#endif
