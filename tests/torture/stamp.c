// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how is the pattern of stamp.h written and read back?
 */
#include "stamp.h"

#include <string.h>
#include <unistd.h>

unsigned int torture_page, torture_word_bits;

void stamp_init(void)
{
	torture_page = (unsigned int)sysconf(_SC_PAGESIZE);
	torture_word_bits = (unsigned int)__builtin_ctz(torture_page / 8);
}

static uint64_t unshift(uint64_t x, unsigned int bits)
{
	uint64_t out = x;

	for (unsigned int done = bits; done < 64; done += bits)
		out = x ^ (out >> bits);
	return out;
}

/* The inverse of an odd number modulo 2^64, by Newton's iteration. */
static uint64_t inverse(uint64_t odd)
{
	uint64_t x = odd;

	for (int i = 0; i < 6; i++)
		x *= 2 - odd * x;
	return x;
}

static uint64_t stamp_unmix(uint64_t x)
{
	x = unshift(x, 31);
	x *= inverse(0x94d049bb133111ebull);
	x = unshift(x, 27);
	x *= inverse(0xbf58476d1ce4e5b9ull);
	return unshift(x, 30);
}

bool stamp_decode(uint64_t word, struct stamp *out)
{
	uint64_t x = stamp_unmix(word), where = x >> 26 & 0xfffff;

	if (x >> 54 != STAMP_MAGIC)
		return false;
	out->region = x >> 46 & 0xff;
	out->page = (unsigned int)(where >> torture_word_bits);
	out->word = (unsigned int)where & (torture_page / 8 - 1);
	out->gen = x & STAMP_GEN_MAX;
	return true;
}

void stamp_fill(void *page_mem, unsigned int region, unsigned int page, unsigned int lo,
		unsigned int hi, uint32_t gen)
{
	char *to = page_mem;

	while (lo < hi && lo % 8) {
		to[lo] = (char)stamp_byte(region, page, lo, gen);
		lo++;
	}
	for (; lo + 8 <= hi; lo += 8) {
		uint64_t word = stamp_word(region, page, lo / 8, gen);

		memcpy(to + lo, &word, 8);
	}
	for (; lo < hi; lo++)
		to[lo] = (char)stamp_byte(region, page, lo, gen);
}
