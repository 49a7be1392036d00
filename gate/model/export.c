// SPDX-License-Identifier: GPL-2.0-or-later
/* What are files and exports called in reports? */
#include "scan.h"

const char *scan_path(const struct scan *s, u32 file)
{
	return file == NO_FILE ? "" : s->tree->files.v[file].path;
}

const char *export_kind_name(u32 kind)
{
	bool gpl = (kind & EXP_KIND_MASK) == EXP_GPL;

	if (kind & EXP_LIBRARY)
		return gpl ? "node-gpl" : "node";
	if (kind & EXP_TRACEPOINT)
		return gpl ? "tracepoint-gpl" : "tracepoint";
	if (kind & (EXP_STATIC_CALL | EXP_STATIC_CALL_TRAMP))
		return gpl ? "static-call-gpl" : "static-call";
	if (kind & EXP_TESTS)
		return gpl ? "tests-gpl" : "tests";
	return gpl ? "gpl" : "plain";
}

const char *export_symbol(struct arena *a, const struct export *e)
{
	if (e->kind & EXP_TRACEPOINT)
		return arena_printf(a, "__tracepoint_%s", e->name);
	if (e->kind & EXP_STATIC_CALL_TRAMP)
		return arena_printf(a, "__SCT__%s", e->name);
	if (e->kind & EXP_STATIC_CALL)
		return arena_printf(a, "__SCK__%s", e->name);
	return e->name;
}
