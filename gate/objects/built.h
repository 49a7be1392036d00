/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What do built objects export and import? */
#ifndef GATE_BUILT_H
#define GATE_BUILT_H

#include "base/util.h"

struct elf_symbol {
	const char *name, *module, *kind, *ns;
	u32 importers;      /* objects other than its own that import it */
	u32 first_importer; /* in objects; UINT32_MAX = none */
};

struct built {
	struct {
		struct elf_symbol *v;
		size_t n, cap;
	} symbols;
	struct map index;
	struct {
		const char **v;
		size_t n, cap;
	} objects; /* names: "drivers/net/foo" of foo.ko, else the file's */
	struct {
		struct import {
			u64 name;
			u32 object;
		} * v;
		size_t n, cap;
	} imports;
	u32 compressed; /* modules that could not be read for that */
	bool symvers;
	struct arena arena;
};

/*
 * Reads Module.symvers and every .ko, .o and shared library below `dir`, and a
 * Module.symvers beside it. Dies if the folder cannot be read; damaged objects are
 * warned about and left out.
 */
void built_read(struct built *b, const char *dir);
void built_free(struct built *b);
bool built_imports(const struct built *b, const char *symbol);
/* '-' and '_' are the same in module names, and folders do not matter. */
bool same_module(const char *a, const char *b);

#endif
