/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which headers does a file see, by its own includes and theirs? */
#ifndef GATE_INCLUDES_H
#define GATE_INCLUDES_H

#include "scan.h"

struct includes;
struct includes *includes_create(const struct scan *s);
void includes_free(struct includes *inc);

/* Does the one header see the other, whoever includes it? */
bool includes_reach(const struct includes *inc, u32 from_file, u32 to_file);

/* The number by which a set of headers knows the file; NO_FILE if it is none. */
u32 includes_header(const struct includes *inc, u32 file);

/* A set of headers; one a thread, refilled for file after file. */
struct visible {
	u64 *bits;
	u32 words;
};
void visible_init(const struct includes *inc, struct visible *v);
void visible_fill(const struct includes *inc, u32 file, struct visible *v);
static inline bool visible_header(const struct visible *v, u32 header)
{
	return (v->bits[header / 64] >> (header % 64)) & 1;
}
bool visible_has(const struct includes *inc, const struct visible *v, u32 header_file);
void visible_free(struct visible *v);

#endif
