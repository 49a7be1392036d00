// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: what is memory filled with?
 *
 * Every write carries a stamp of its own, of which no byte is zero, so that old data never
 * looks like new and new memory never looks written.
 */
#include "kit.h"

#include <string.h>

static uint64_t stamp_word(uint64_t serial, size_t index)
{
	uint64_t x = serial * 0x9e3779b97f4a7c15ull + index;

	x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9ull;
	return (x ^ (x >> 29)) | 0x0101010101010101ull; /* no byte of it is zero */
}

/* Never the same twice in a process: data of an earlier cell is old data too. */
uint64_t kit_stamp_next(void)
{
	static uint64_t last;

	return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

void kit_stamp_fill(uint8_t *out, size_t offset, size_t len, uint64_t serial)
{
	size_t i = 0;

	while (i < len) {
		uint64_t word = stamp_word(serial, (offset + i) / 8);
		size_t in = (offset + i) % 8;
		size_t n = 8 - in < len - i ? 8 - in : len - i;

		memcpy(out + i, (uint8_t *)&word + in, n);
		i += n;
	}
}
