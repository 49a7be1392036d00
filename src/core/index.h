/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What do the writer (index.c) and the readers (hit.c) of the index have to agree on?
 * Hashes, tags, and how the tags of a bucket are compared eight at a time.
 */
#ifndef CORE_INDEX_H
#define CORE_INDEX_H

#include "core/core.h"

#define INDEX_PASSED_SHIFT 56 /* in tags[1]: how many entries went on to the next bucket \
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
static inline uint64_t index_match(const struct bucket *bucket, int word, uint8_t tag)
{
	uint64_t x =
		__atomic_load_n(&bucket->tags[word], __ATOMIC_ACQUIRE) ^ INDEX_BYTES * tag;
	uint64_t m = (x - INDEX_BYTES) & ~x & INDEX_BYTES * 0x80;

	return word ? m & INDEX_TAGS_1 : m;
}

static inline int index_entry(uint64_t match, int word)
{
	return (__builtin_ctzll(match) >> 3) + 8 * word;
}

static inline bool index_passed(const struct bucket *bucket)
{
	return LOAD(bucket->tags[1]) >> INDEX_PASSED_SHIFT;
}

#endif
