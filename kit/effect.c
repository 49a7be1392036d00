// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: what did a change do to a region, as data?
 *
 * A program that runs a change keeps a copy of the memory (shadow), of what a discarded
 * page shows again (base), and of what the CPU may do with each page (state). The effect of
 * a change says how these follow; no program knows the changes one by one.
 */
#include "kit.h"

#include <string.h>

void kit_state_set(struct kit_region *r, size_t lo, size_t hi, enum page_state state)
{
	for (size_t i = lo / KIT_PAGE; i < hi / KIT_PAGE; i++)
		r->state[i] = (uint8_t)state;
}

bool kit_effect_needs_fresh(const struct kit_effect *effect)
{
	return effect->content == KIT_NEW || effect->content == KIT_SHOWS ||
	       effect->content == KIT_FILE_SHOWS;
}

bool kit_effect_paints(const struct kit_region *r, const struct kit_effect *effect)
{
	return effect->content == KIT_PAINTED ||
	       (effect->content == KIT_NEW && (r->kind->traits & T_WRITE));
}

/* Each page of a writable private mapping has been written: the file is not seen there. */
static bool shows_file(const struct kit_region *r)
{
	return (r->kind->traits & T_SHARED) || !(r->kind->traits & T_WRITE);
}

/* @data NULL: zeroes. */
static void set(uint8_t *to, const uint8_t *data, size_t lo, size_t hi)
{
	if (!to)
		return;
	if (data)
		memcpy(to + lo, data + lo, hi - lo);
	else
		memset(to + lo, 0, hi - lo);
}

static void take_content(struct kit_region *r, enum kit_content content, size_t lo,
			 size_t hi)
{
	switch (content) {
	case KIT_KEPT:
	case KIT_PAINTED:
		break;
	case KIT_DISCARDED:
		if (!(r->kind->traits & T_SHARED))
			set(r->shadow, r->base, lo, hi);
		break;
	case KIT_ZEROED:
		set(r->shadow, NULL, lo, hi);
		break;
	case KIT_NEW:
	case KIT_SHOWS:
		set(r->shadow, r->fresh, lo, hi);
		set(r->base, r->fresh, lo, hi);
		break;
	case KIT_FILE_ZEROED:
		set(r->base, NULL, lo, hi);
		if (shows_file(r))
			set(r->shadow, NULL, lo, hi);
		break;
	case KIT_FILE_SHOWS:
		set(r->base, r->fresh, lo, hi);
		if (shows_file(r))
			set(r->shadow, r->fresh, lo, hi);
		break;
	case KIT_CUT:
		set(r->shadow, NULL, lo, hi);
		set(r->base, NULL, lo, hi);
		break;
	}
}

void kit_effect_take(struct kit_region *r, const struct kit_effect *effect, size_t lo,
		     size_t hi)
{
	static const enum page_state states[] = {
		[KIT_NONE] = PAGE_SEGV, [KIT_RO] = PAGE_RO,   [KIT_RW] = PAGE_RW,
		[KIT_BUS] = PAGE_BUS,   [KIT_ANY] = PAGE_ANY,
	};
	bool writes = r->kind->traits & T_WRITE;

	take_content(r, effect->content, lo, hi);
	if (effect->access == KIT_NATIVE)
		kit_state_set(r, lo, hi, writes ? PAGE_RW : PAGE_RO);
	else if (effect->access != KIT_SAME)
		kit_state_set(r, lo, hi, states[effect->access]);
}
