/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does the hit path find a translation without a lock?
 *
 * A hash table of cache lines. A translation of 2^k to 2^(k+1) bytes is entered under each
 * granule of 2^k bytes that it touches (three at most); the mirror remembers which k are in
 * use, and a lookup tries each, as a TLB with several page sizes does.
 *
 * Readers may be wrong, never unsafe: what they find is a slot number, which they verify
 * against the slot itself after they have counted their reference; what they fail to find
 * they ask for again under the lock. So entries move, and the table grows, under their
 * feet: the tables lie in address space that is reserved for good, and read as zeros
 * (empty) when given back.
 */
#include <errno.h>
#include <string.h>

#include "core/core.h"
#include "core/index.h"
#include "util/arena.h"

#define MIN_BUCKETS 16
#define FULL_NUM    3 /* grow at 3/4 of the entries */
#define FULL_DEN    4

int index_init(struct index *index, uint64_t max_entries)
{
	uint64_t buckets = MIN_BUCKETS;
	int err = 0;

	/* A translation has up to three entries. */
	while (buckets * BUCKET_ENTRIES * FULL_NUM / FULL_DEN < max_entries * 3)
		buckets *= 2;
	index->max_buckets = buckets;
	for (int i = 0; i < 2; i++) {
		index->tables[i].buckets =
			arena_reserve(buckets * sizeof(struct bucket), &err);
		if (!index->tables[i].buckets) {
			index_fini(index);
			return err;
		}
	}
	index->tables[0].mask = MIN_BUCKETS - 1;
	atomic_store(&index->table, &index->tables[0]);
	return 0;
}

void index_fini(struct index *index)
{
	for (int i = 0; i < 2; i++)
		if (index->tables[i].buckets)
			arena_free(index->tables[i].buckets,
				   index->max_buckets * sizeof(struct bucket));
	memset(index->tables, 0, sizeof(index->tables));
}

static uint64_t tag_byte(int entry)
{
	return 8 * (uint64_t)(entry & 7);
}

static void tag_set(struct bucket *bucket, int entry, uint8_t tag)
{
	uint64_t *word = &bucket->tags[entry >> 3];
	uint64_t value = *word & ~(0xffull << tag_byte(entry));

	__atomic_store_n(word, value | (uint64_t)tag << tag_byte(entry), __ATOMIC_RELEASE);
}

static int bucket_empty_entry(const struct bucket *bucket)
{
	for (int i = 0; i < BUCKET_ENTRIES; i++)
		if (!(bucket->tags[i >> 3] >> tag_byte(i) & 0xff))
			return i;
	return -1;
}

/* The passers-by saturate: a bucket that ever had 255 is always looked beyond. */
static void passed_by(struct bucket *bucket, int change)
{
	uint64_t passed = bucket->tags[1] >> INDEX_PASSED_SHIFT;

	if (passed == 255)
		return;
	passed += (uint64_t)change;
	__atomic_store_n(&bucket->tags[1],
			 (bucket->tags[1] & ~(0xffull << INDEX_PASSED_SHIFT)) |
				 (passed & 0xff) << INDEX_PASSED_SHIFT,
			 __ATOMIC_RELEASE);
}

static void table_add(struct index_table *table, uint64_t hash, uint32_t slot)
{
	uint64_t i = index_bucket(hash) & table->mask;

	for (;; i = (i + 1) & table->mask) {
		struct bucket *bucket = &table->buckets[i];
		int entry = bucket_empty_entry(bucket);

		if (entry >= 0) {
			STORE(bucket->slots[entry], slot);
			tag_set(bucket, entry, index_tag(hash));
			return;
		}
		passed_by(bucket, 1);
	}
}

static bool table_del(struct index_table *table, uint64_t hash, uint32_t slot)
{
	uint64_t i = index_bucket(hash) & table->mask;

	for (uint64_t n = 0; n <= table->mask; n++, i = (i + 1) & table->mask) {
		struct bucket *bucket = &table->buckets[i];
		uint64_t m;

		for (m = index_match(bucket, index_tag(hash)); m; m &= m - 1) {
			int entry = index_entry(m);

			if (bucket->slots[entry] != slot)
				continue;
			tag_set(bucket, entry, 0);
			/* Those before it in the row have one less that went on. */
			for (uint64_t j = index_bucket(hash) & table->mask; j != i;
			     j = (j + 1) & table->mask)
				passed_by(&table->buckets[j], -1);
			return true;
		}
		if (!index_passed(bucket))
			return false;
	}
	return false;
}

static void each_entry(struct hmm *hmm, struct index_table *table, uint32_t n, bool add)
{
	struct slot *slot = &hmm->slots[n];
	unsigned int class = index_class(slot_size(hmm, n));

	for (uint64_t g = slot->start >> class; g <= (slot_end(hmm, n) - 1) >> class; g++) {
		uint64_t hash = index_hash(slot->mirror, class, g);

		if (add)
			table_add(table, hash, n);
		else
			table_del(table, hash, n);
		hmm->index.entries += add ? 1 : (uint64_t)-1;
	}
}

/* Twice the size, in the other area. Readers of the old one soon find it empty. */
static void grow(struct hmm *hmm)
{
	struct index *index = &hmm->index;
	struct index_table *old = atomic_load(&index->table);
	struct index_table *new =
		old == &index->tables[0] ? &index->tables[1] : &index->tables[0];

	new->mask = old->mask * 2 + 1;
	index->entries = 0;
	for (uint32_t n = 1; n <= hmm->slots_high; n++)
		if (hmm->slots[n].state & SLOT_INDEXED)
			each_entry(hmm, new, n, true);
	atomic_store(&index->table, new);
	arena_discard(old->buckets, (old->mask + 1) * sizeof(struct bucket));
}

void index_add_locked(struct hmm *hmm, uint32_t slot)
{
	struct index_table *table =
		atomic_load_explicit(&hmm->index.table, memory_order_relaxed);
	uint64_t buckets = table->mask + 1;

	if ((hmm->index.entries + 3) * FULL_DEN > buckets * BUCKET_ENTRIES * FULL_NUM &&
	    buckets < hmm->index.max_buckets) {
		grow(hmm);
		table = atomic_load_explicit(&hmm->index.table, memory_order_relaxed);
	}
	each_entry(hmm, table, slot, true);
	__atomic_store_n(&hmm->slots[slot].state, hmm->slots[slot].state | SLOT_INDEXED,
			 __ATOMIC_RELEASE);
}

void index_del_locked(struct hmm *hmm, uint32_t slot)
{
	each_entry(hmm, atomic_load_explicit(&hmm->index.table, memory_order_relaxed), slot,
		   false);
}
