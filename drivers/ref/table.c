// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device's page table.
 *
 * The question this file answers: which pages may the device touch, and how?
 *
 * A radix tree of two levels. Both are sparse mappings of the device's own, so memory is
 * taken for the parts in use only; leaves appear in map and go at close, hence commit and
 * revoke never allocate. They are wiped in the child of a fork: the device has no entry
 * there, whatever it had here (Y9).
 */
#include "ref.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define ADDRESS_BITS 48
#define LEAF_BITS    18

#define ONE_READ  1ull
#define ONE_WRITE (1ull << 32)

static void *map_wiped(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (madvise(memory, size, MADV_WIPEONFORK)) {
		munmap(memory, size);
		return NULL;
	}
	madvise(memory, size, MADV_NOHUGEPAGE); /* sparse */
	return memory;
}

static size_t root_count(const struct ref_table *table)
{
	return 1ull << (ADDRESS_BITS - LEAF_BITS - table->page_shift);
}

static const size_t leaf_size = sizeof(uint64_t) << LEAF_BITS;

int ref_table_init(struct ref_table *table)
{
	table->page_shift =
		(unsigned int)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	table->root = map_wiped(root_count(table) * sizeof(*table->root));
	return table->root ? 0 : -ENOMEM;
}

void ref_table_fini(struct ref_table *table)
{
	if (!table->root)
		return;
	for (size_t i = 0; i < root_count(table); i++)
		if (table->root[i])
			munmap((void *)table->root[i], leaf_size);
	munmap((void *)table->root, root_count(table) * sizeof(*table->root));
	table->root = NULL;
}

int ref_table_reserve(struct ref_table *table, uint64_t start, uint64_t end)
{
	uint64_t first = start >> table->page_shift >> LEAF_BITS;
	uint64_t last = (end - 1) >> table->page_shift >> LEAF_BITS;

	if (last >= root_count(table))
		return -EOPNOTSUPP;
	for (uint64_t i = first; i <= last; i++) {
		_Atomic uint64_t *none = NULL, *leaf;

		if (table->root[i])
			continue;
		leaf = map_wiped(leaf_size);
		if (!leaf)
			return -ENOMEM; /* what is there already is of use later */
		if (!atomic_compare_exchange_strong(&table->root[i], &none, leaf))
			munmap((void *)leaf, leaf_size);
	}
	return 0;
}

static _Atomic uint64_t *word_of(const struct ref_table *table, uint64_t page)
{
	_Atomic uint64_t *leaf;

	if (page >> LEAF_BITS >= root_count(table))
		return NULL;
	leaf = table->root[page >> LEAF_BITS];
	return leaf ? leaf + (page & ((1u << LEAF_BITS) - 1)) : NULL;
}

static uint64_t weight(unsigned int access)
{
	return (access & HMM_READ ? ONE_READ : 0) + (access & HMM_WRITE ? ONE_WRITE : 0);
}

void ref_table_add(struct ref_table *table, uint64_t start, uint64_t end,
		   unsigned int access)
{
	for (uint64_t p = start >> table->page_shift; p < end >> table->page_shift; p++)
		atomic_fetch_add(word_of(table, p), weight(access));
}

void ref_table_remove(struct ref_table *table, uint64_t start, uint64_t end,
		      unsigned int access)
{
	for (uint64_t p = start >> table->page_shift; p < end >> table->page_shift; p++)
		atomic_fetch_sub(word_of(table, p), weight(access));
}

static bool allows(uint64_t word, unsigned int access)
{
	return (!(access & HMM_READ) || (uint32_t)word) &&
	       (!(access & HMM_WRITE) || word >> 32);
}

size_t ref_table_allowed(const struct ref_table *table, uint64_t addr, size_t len,
			 unsigned int access)
{
	uint64_t at = addr;

	while (at < addr + len) {
		_Atomic uint64_t *word = word_of(table, at >> table->page_shift);

		if (!word || !allows(*word, access))
			break;
		at = ((at >> table->page_shift) + 1) << table->page_shift;
	}
	return at < addr + len ? at - addr : len;
}
