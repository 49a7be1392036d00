/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much around a miss is translated with it?
 *
 * Where more costs the device nothing (HMM_MODE_DIRECT and a driver with max_direct), so
 * much, the request in its middle; else the granules of the mirror that the request
 * touches. Never beyond the memory mapping, the mirror's interval, or what the device
 * takes at a time; always the request.
 */
#include "core/core.h"
#include "util/arena.h"

/* @most bytes with the request in the middle, moved to lie in [low, high). */
static void in_the_middle(uint64_t low, uint64_t high, uint64_t most, uint64_t *start,
			  uint64_t *end)
{
	uint64_t page = page_size(), more = most - lower(most, *end - *start), below;

	below = lower(page_down(more / 2, page), *start - low);
	more = lower(page_down(more, page) - below, high - *end);
	*start -= below;
	*end += more;
}

static void granules(uint64_t low, uint64_t high, uint64_t granule, uint64_t *start,
		     uint64_t *end)
{
	*start = higher(low, page_down(*start, granule));
	*end = lower(high, page_down(*end + granule - 1, granule));
}

void around(const struct request *r, enum hmm_mode mode, uint64_t low, uint64_t high,
	    uint64_t *start, uint64_t *end)
{
	const struct hmm_mirror *mirror = r->mirror;
	uint64_t page = page_size(), most = longest_mapping(mirror);
	uint64_t direct = lower(mirror->device->driver->max_direct, most);

	low = higher(low, page_down(mirror->start + page - 1, page));
	high = lower(high, page_down(mirror->end, page));
	*start = r->start;
	*end = r->stop;
	/* The first and last page may be partly outside the mirror. */
	if (low > r->start || high < r->stop)
		return;
	if (mode == HMM_MODE_DIRECT && direct)
		in_the_middle(low, high, direct, start, end);
	else
		granules(low, high, mirror->granule, start, end);
	if (*end - *start > most) {
		*start = r->start;
		*end = r->stop;
		in_the_middle(low, high, most, start, end);
	}
}
