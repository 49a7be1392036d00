// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device's page table.
 *
 * The question this file answers: which pages may the device touch, and how?
 *
 * A radix tree whose entries count at every level: a mapping is counted where an entry is
 * of its pages and no others, as high up as it can be. So what a mapping costs depends on
 * its two ends, not on its length, and whoever looks for a page looks at one entry of each
 * level. Nodes are sparse mappings of the device's own; they appear in map and go at close,
 * hence commit and revoke never allocate. They are wiped in the child of a fork: the device
 * has no entry there, whatever it had here (Y9).
 */
#include "ref.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define NODE_BITS 9 /* 48 bits of address with pages of 4 KiB */
#define NODE_SIZE (1u << NODE_BITS)
#define TOP       3

#define ONE_READ  1ull
#define ONE_WRITE (1ull << 32)

struct ref_node {
	_Atomic uint64_t counts[NODE_SIZE];
	struct ref_node *_Atomic below[NODE_SIZE];
};

/* Under mlockall(MCL_FUTURE) it is filled as it is mapped, unless nobody may touch it. */
static struct ref_node *map_wiped(void)
{
	size_t size = sizeof(struct ref_node);
	void *memory = mmap(NULL, size, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	munlock(memory, size);
	if (madvise(memory, size, MADV_WIPEONFORK) ||
	    mprotect(memory, size, PROT_READ | PROT_WRITE)) {
		munmap(memory, size);
		return NULL;
	}
	return memory;
}

/* How many bits of a page's number lie below an entry of that level. */
static unsigned int shift(unsigned int level)
{
	return level * NODE_BITS;
}

static unsigned int slot(uint64_t page, unsigned int level)
{
	return (page >> shift(level)) & (NODE_SIZE - 1);
}

static uint64_t pages_below(unsigned int level)
{
	return 1ull << shift(level);
}

int ref_table_init(struct ref_table *table)
{
	table->page_shift =
		(unsigned int)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	table->top = map_wiped();
	return table->top ? 0 : -ENOMEM;
}

static void unmap_nodes(struct ref_node *node, unsigned int level)
{
	for (unsigned int i = 0; level && i < NODE_SIZE; i++)
		if (node->below[i])
			unmap_nodes(node->below[i], level - 1);
	munmap(node, sizeof(*node));
}

void ref_table_fini(struct ref_table *table)
{
	if (table->top)
		unmap_nodes(table->top, TOP);
	table->top = NULL;
}

/* The entries of other levels that lead to the one where @page is an end of a mapping. */
static int reserve_end(const struct ref_table *table, uint64_t page)
{
	struct ref_node *node = table->top;

	for (unsigned int level = TOP; page & (pages_below(level) - 1); level--) {
		struct ref_node *_Atomic *below = &node->below[slot(page, level)];
		struct ref_node *none = NULL, *new;

		if (!*below) {
			new = map_wiped();
			if (!new)
				return -ENOMEM; /* what is there already is of use later */
			if (!atomic_compare_exchange_strong(below, &none, new))
				munmap(new, sizeof(*new));
		}
		node = *below;
	}
	return 0;
}

int ref_table_reserve(struct ref_table *table, uint64_t start, uint64_t end)
{
	uint64_t first = start >> table->page_shift, last = end >> table->page_shift;
	int err;

	if (last > pages_below(TOP + 1))
		return -EOPNOTSUPP;
	err = reserve_end(table, first);
	return err ? err : reserve_end(table, last);
}

/* The largest entry that begins at @page and is of no page from @end on. */
static _Atomic uint64_t *entry_from(const struct ref_table *table, uint64_t page,
				    uint64_t end, unsigned int *level)
{
	struct ref_node *node = table->top;

	for (*level = TOP;
	     page & (pages_below(*level) - 1) || end - page < pages_below(*level); --*level)
		node = node->below[slot(page, *level)];
	return &node->counts[slot(page, *level)];
}

static void count(struct ref_table *table, uint64_t start, uint64_t end, uint64_t by)
{
	uint64_t page = start >> table->page_shift, last = end >> table->page_shift;
	unsigned int level;

	for (; page < last; page += pages_below(level))
		atomic_fetch_add(entry_from(table, page, last, &level), by);
}

static uint64_t weight(unsigned int access)
{
	return (access & HMM_READ ? ONE_READ : 0) + (access & HMM_WRITE ? ONE_WRITE : 0);
}

void ref_table_add(struct ref_table *table, uint64_t start, uint64_t end,
		   unsigned int access)
{
	count(table, start, end, weight(access));
}

void ref_table_remove(struct ref_table *table, uint64_t start, uint64_t end,
		      unsigned int access)
{
	count(table, start, end, -weight(access));
}

/* From which page on another entry has to be asked; 0: the device may not touch @page. */
static uint64_t allowed_until(const struct ref_table *table, uint64_t page,
			      unsigned int access)
{
	const struct ref_node *node = page < pages_below(TOP + 1) ? table->top : NULL;
	bool reads = !(access & HMM_READ), writes = !(access & HMM_WRITE);

	for (unsigned int level = TOP; node; level--) {
		uint64_t word = node->counts[slot(page, level)];

		reads |= (uint32_t)word != 0;
		writes |= word >> 32 != 0;
		if (reads && writes)
			return (page & ~(pages_below(level) - 1)) + pages_below(level);
		node = level ? node->below[slot(page, level)] : NULL;
	}
	return 0;
}

size_t ref_table_allowed(const struct ref_table *table, uint64_t addr, size_t len,
			 unsigned int access)
{
	uint64_t at = addr, until;

	while (at < addr + len) {
		until = allowed_until(table, at >> table->page_shift, access);
		if (!until)
			break;
		at = until << table->page_shift;
	}
	return at < addr + len ? at - addr : len;
}
