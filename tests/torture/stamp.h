/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pattern that pages are filled with.
 *
 * The question this file answers: how does each aligned word of memory say by itself
 * who wrote it, for which page of which region, and when?
 *
 * A word is a bijection of (magic, region, page, word in the page, generation), so that
 * any word found anywhere can be decoded, and a word that nobody wrote is seen. The bits
 * are mixed so that two generations differ in every byte: a mix of two is told from both.
 * Generation 0 is memory as the kernel gives it: zeroes.
 */
#ifndef TORTURE_STAMP_H
#define TORTURE_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of this machine: set before anything is stamped. */
extern unsigned int torture_page, torture_word_bits;
#define PAGE        torture_page
#define STAMP_MAGIC 0x2a5ull /* 10 bits */

/* 10 bits of magic, 8 of region, 20 of page and word in it, 26 of generation. Of the 20
 * the word has as many as a page has words: 9 where pages have 4 KiB, 13 where 64 KiB. */
struct stamp {
	unsigned int region, page, word;
	uint32_t gen;
};
#define STAMP_GEN_MAX ((1u << 26) - 1)

static inline uint64_t stamp_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint64_t stamp_word(unsigned int region, unsigned int page, unsigned int word,
				  uint32_t gen)
{
	if (!gen)
		return 0;
	uint64_t where = (uint64_t)page << torture_word_bits | word;

	return stamp_mix(STAMP_MAGIC << 54 | (uint64_t)region << 46 | where << 26 | gen);
}

/* The byte at offset @at of the page. */
static inline uint8_t stamp_byte(unsigned int region, unsigned int page, unsigned int at,
				 uint32_t gen)
{
	return (uint8_t)(stamp_word(region, page, at / 8, gen) >> (at % 8 * 8));
}

void stamp_init(void);
/* Fill [lo, hi) of a page whose byte 0 would be at @page_mem. */
void stamp_fill(void *page_mem, unsigned int region, unsigned int page, unsigned int lo,
		unsigned int hi, uint32_t gen);
/* What a word is; false when nobody wrote it. */
bool stamp_decode(uint64_t word, struct stamp *out);

#endif
