/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What do the writer (index.c) and the readers (hit.c) of the index have to agree on?
 * Hashes, tags, and how the tags of a bucket are compared eight at a time.
 */
#ifndef CORE_INDEX_H
#define CORE_INDEX_H

#include "core/core.h"

#define INDEX_PASSED_SHIFT                                            \
	56 /* in tags[1]: how many entries went on to the next bucket \
	    */
#define INDEX_BYTES 0x0101010101010101ull
/* The tags of word 1 are its first four bytes. */
#define INDEX_TAGS_1 0x00000000ffffffffull

static inline unsigned int index_class(uint64_t size)
{
	return 63u - (unsigned int)__builtin_clzll(size);
}

static inline uint64_t index_hash(uint32_t mirror, unsigned int class, uint64_t granule)
{
	uint64_t h = granule + ((uint64_t)(mirror * 64 + class) << 45);

	h *= 0x9E3779B97F4A7C15ull;
	return h ^ h >> 32;
}

static inline uint64_t index_bucket(uint64_t hash)
{
	return hash;
}

static inline uint8_t index_tag(uint64_t hash)
{
	uint8_t tag = (uint8_t)(hash >> 56);

	return tag ? tag : 1;
}

/* Bits at 0x80 of each byte that may equal the tag; a false one is found out later. */
static inline uint64_t index_match_word(uint64_t tags, uint8_t tag)
{
	uint64_t x = tags ^ INDEX_BYTES * tag;

	return (x - INDEX_BYTES) & ~x & INDEX_BYTES * 0x80;
}

/*
 * The entries of a bucket whose tag may match, in one word: entry i below 8 is bit 8 * i,
 * entry 8 + i is bit 8 * i + 4. One word, so that the usual case (one match, anywhere) has
 * no branch that depends on where it is: such a branch would wait for the bucket to come
 * from memory, be mispredicted every other time, and keep the next lookup from starting.
 */
static inline uint64_t index_match(const struct bucket *bucket, uint8_t tag)
{
	uint64_t low = __atomic_load_n(&bucket->tags[0], __ATOMIC_ACQUIRE);
	uint64_t high = __atomic_load_n(&bucket->tags[1], __ATOMIC_ACQUIRE);

	return index_match_word(low, tag) >> 7 |
	       (index_match_word(high, tag) & INDEX_TAGS_1) >> 3;
}

static inline int index_entry(uint64_t match)
{
	int bit = __builtin_ctzll(match);

	return (bit >> 3) + (bit & 4) * 2;
}

static inline bool index_passed(const struct bucket *bucket)
{
	return LOAD(bucket->tags[1]) >> INDEX_PASSED_SHIFT;
}

#endif
