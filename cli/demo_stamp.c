// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm demo: what should memory hold, and does it?
 *
 * A word is owner (16 bits), generation (24 bits) and its own index (24 bits), so that a
 * word that is wrong tells whose it is and of when. Generations start at 1: a word that
 * is 0 was never written.
 */
#include "demo.h"

#include <string.h>

#define OWNER_SHIFT      48
#define GENERATION_SHIFT 24
#define INDEX_MASK       ((1u << GENERATION_SHIFT) - 1)

uint64_t stamp(unsigned int owner, unsigned int generation)
{
	return ((uint64_t)owner << OWNER_SHIFT) |
	       ((uint64_t)(generation & INDEX_MASK) << GENERATION_SHIFT);
}

void stamp_fill(void *memory, size_t len, uint64_t base)
{
	uint64_t *words = memory;

	for (size_t i = 0; i < len / 8; i++)
		words[i] = base + i;
}

bool stamp_right(const void *memory, size_t from, size_t len, uint64_t base)
{
	const uint64_t *words = memory;
	uint64_t first = base ? base + from / 8 : 0;
	uint64_t step = base ? 1 : 0, wrong = 0;

	for (size_t i = 0; i < len / 8; i++)
		wrong |= words[i] ^ (first + step * i);
	return !wrong;
}

/*
 * By bytes: a device that copies byte by byte (the kernel does, under emulation) may meet a
 * word of which a part was stored. So each byte is zero, the owner's, or the file's; those
 * of the generation are anybody's.
 */
static bool word_own(uint64_t word, uint64_t mine, uint64_t file)
{
	for (unsigned int shift = 0; shift < 64; shift += 8) {
		uint8_t byte = (uint8_t)(word >> shift);

		if (shift >= GENERATION_SHIFT && shift < OWNER_SHIFT)
			continue;
		if (byte && byte != (uint8_t)(mine >> shift) &&
		    byte != (uint8_t)(file >> shift))
			return false;
	}
	return true;
}

bool stamp_own(const void *memory, size_t from, size_t len, unsigned int owner)
{
	const volatile uint64_t *words = memory;

	for (size_t i = 0; i < len / 8; i++) {
		uint64_t place = from / 8 + i;

		if (!word_own(words[i], stamp(owner, 0) + place,
			      stamp(OWNER_FILE, 0) + place))
			return false;
	}
	return true;
}

uint64_t buffer_stamp(struct buffer *buffer)
{
	return stamp(buffer->id, ++buffer->generation);
}

void buffer_fill(struct buffer *buffer)
{
	uint64_t base = buffer_stamp(buffer);

	stamp_fill(buffer->addr, buffer->len, base);
	buffer->contents[buffer->half] = base;
	buffer->known = true;
}
