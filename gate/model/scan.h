/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What does a scan of one tree know when it is done? */
#ifndef GATE_SCAN_H
#define GATE_SCAN_H

#include "policy/policy.h"
#include "sources/template.h"
#include "sources/tree.h"

struct membership {
	u32 file, module;
};

struct module {
	const char *name; /* "vmlinux", or the object's path without ".o" */
	bool builtin;     /* always part of the kernel image */
};

#define MODULE_BUILTIN 0 /* the kernel image */

/* What scan.listed says of a file. */
enum {
	LISTED = 1,           /* an object list names it */
	LISTED_BY_OTHERS = 2, /* what includes it is named by one */
	/* obj-$(subst m,y,$(CONFIG_X)): in the image, also for an option that is a module
	 */
	LISTED_BY_SUBST = 4,
};

struct consumer {
	u32 module;
	u32 file, line;
	u32 through; /* 1 + index in scan.defs of the macro or inline function, 0 = direct
		      */
	const char *note; /* instead of a place: the policy's reason */
};

struct verdict {
	u8 level;           /* enum level: LEVEL_OFF = no violation */
	const char *reason; /* NULL = the rule holds or does not apply */
};

struct export
{
	const char *name, *ns, *via;
	u32 kind;
	u32 file, line;
	u32 source, source_line; /* libraries: where it is defined; NO_FILE = unknown */
	u32 name_id;
	bool judged;
	struct consumer *consumers; /* only those that count for this export */
	u32 nconsumers;
	/* releases (history), indices; -1 = unknown */
	int added, consumed;
	const char *waiver; /* the waiver's reason, if one holds */
	struct verdict verdict[RULE_COUNT];
};

/* Something that a header defines with a body, or that a macro makes there. */
struct def {
	u64 name;
	const u64 *body, *extra;
	u32 nbody, nextra;
	u32 file, line, str, kind;
	u32 next;          /* 1 + index of the next one with the same name that matters */
	bool reaches;      /* an export, by way of its body */
	const u32 *follow; /* link.c: the names in it that matter, by their numbers */
	u32 nfollow;
};

struct scan {
	struct policy *policy;
	struct tree *tree;
	enum project_kind kind;
	struct primitives prims;
	struct templates templates;
	unsigned int workers;

	struct {
		struct module *v;
		size_t n, cap;
	} modules;
	struct map module_index;
	/* The modules of file i are member[first[i]] to member[first[i + 1] - 1]. */
	u32 *first, *member;
	/* (file, source that includes it): of sources, and of headers that export; sorted
	 */
	struct {
		struct membership *v;
		size_t n, cap;
	} included;
	u8 *listed;   /* per file: how the build names it, see LISTED; NULL if unknown */
	u8 *optional; /* per file: it is not in all configurations of its modules */
	/* files of an architecture that another one's makefiles name */
	struct {
		struct foreign {
			u32 file, next; /* next: 1 + index of the same file's */
			const char *folder;
		} * v;
		size_t n, cap;
	} foreign;
	struct map foreign_of; /* 1 + file -> 1 + index of its last */
	/* where the sources of a folder, and of those below it, find headers */
	struct {
		struct include_dir {
			const char *dir; /* or a header that each of them includes */
			u32 next;        /* 1 + index of the same folder's */
		} * v;
		size_t n, cap;
	} include_dirs;
	struct map dirs_of; /* hash of the folder -> 1 + index of its last */
	/* what was given up, a sentence each */
	struct strings given_up;
	struct {
		struct membership *v;
		size_t n, cap;
	} pairs;

	struct {
		struct export *v;
		size_t n, cap;
	} exports;
	/* exports whose names macros make that are not expanded here */
	struct {
		struct unnamed {
			u32 file;
			const char *text; /* what is written instead of the name */
		} * v;
		size_t n, cap;
	} unnamed;
	struct {
		struct def *v;
		size_t n, cap;
	} defs;
	/* libraries: what is built of what, until the exports are known */
	struct build *build;
	struct strings notes; /* what was not understood of it */
	struct arena arena;
	struct cache *cache; /* what cached facts point into */

	struct {
		double walk, headers, sources, link;
		u64 bytes;
		u32 files, read, unbuilt;
		bool cached;
	} stats;
};

/* membership.c */
u32 scan_module(struct scan *s, const char *name, bool builtin);
void scan_add_member(struct scan *s, u32 file, u32 module);
void scan_seal_members(struct scan *s);
void scan_add_foreign(struct scan *s, u32 file, const char *folder);
/* The first of the sources that include the file, in included. */
size_t scan_first_includer(const struct scan *s, u32 file);
bool scan_file_in(const struct scan *s, u32 file, u32 module);

/* export.c */
const char *scan_path(const struct scan *s, u32 file);
const char *export_kind_name(u32 kind);
/* The symbol as the linker sees it: __tracepoint_x, __SCK__x, x. */
const char *export_symbol(struct arena *a, const struct export *e);

#endif
