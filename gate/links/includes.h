/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which headers does a file see, by its own includes and theirs? */
#ifndef GATE_INCLUDES_H
#define GATE_INCLUDES_H

#include "model/scan.h"

struct includes;
struct includes *includes_create(const struct scan *s);
void includes_free(struct includes *inc);

/* The number by which a set of headers knows the file; NO_FILE if it is none. */
u32 includes_header(const struct includes *inc, u32 file);

/* A set of headers; one a thread, refilled for file after file. */
struct visible {
	u64 *bits;
	u32 words;
};
void visible_init(const struct includes *inc, struct visible *v);
void visible_fill(const struct includes *inc, u32 file, struct visible *v);
/* The headers that a header sees, whoever includes it. */
void visible_fill_header(const struct includes *inc, u32 file, struct visible *v);
static inline bool visible_header(const struct visible *v, u32 header)
{
	return (v->bits[header / 64] >> (header % 64)) & 1;
}
/* Things side by side whose headers are in one word of such a set. */
enum group_kind { GROUP_EXPORTS, GROUP_REACHING, GROUP_OTHER };
struct group {
	u64 mask; /* their headers */
	u32 word, first, n;
	u8 kind; /* exports are in no header */
};
static inline bool visible_some(const struct visible *v, const struct group *g)
{
	return v->bits[g->word] & g->mask;
}
bool visible_has(const struct includes *inc, const struct visible *v, u32 header_file);
void visible_free(struct visible *v);

#endif
