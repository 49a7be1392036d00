/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to a translation's slot, from its making to its next use?
 *
 *	free -> published (VALID) -> revoked (QUEUED, HELD while somebody holds it) -> free
 *
 * Publishing is the release store of the state word. Revoking clears VALID; from then on
 * nobody can take a new reference (see hit.c), so once it has been seen that nobody holds
 * it, after a barrier, it stays so, and the slot may be used again (rule 6).
 */
#include <errno.h>

#include "core/core.h"
#include "core/index.h"
#include "util/arena.h"

int slots_init(struct hmm *hmm, uint32_t max)
{
	int err = 0;

	/* Slot 0 is none. */
	hmm->max_slots = max + 1;
	hmm->page_shift = (uint32_t)__builtin_ctzl(page_size());
	hmm->slots = arena_reserve((size_t)hmm->max_slots * sizeof(struct slot), &err);
	if (!hmm->slots)
		return err;
	hmm->cold = arena_reserve((size_t)hmm->max_slots * sizeof(struct cold), &err);
	if (hmm->cold)
		err = holds_init(hmm);
	if (err)
		slots_fini(hmm);
	return err;
}

void slots_fini(struct hmm *hmm)
{
	arena_free(hmm->slots, (size_t)hmm->max_slots * sizeof(struct slot));
	arena_free(hmm->cold, (size_t)hmm->max_slots * sizeof(struct cold));
	hmm->slots = NULL;
	hmm->cold = NULL;
}

uint32_t slot_alloc_locked(struct hmm *hmm)
{
	uint32_t n = hmm->free;

	if (n) {
		hmm->free = hmm->cold[n].right;
		return n;
	}
	if (hmm->slots_high + 1 >= hmm->max_slots)
		return NO_SLOT;
	return ++hmm->slots_high;
}

struct hmm_mirror *slot_mirror(struct hmm *hmm, const struct slot *slot)
{
	return hmm->mirrors[slot->mirror];
}

void slot_mapping(struct hmm *hmm, uint32_t n, struct hmm_mapping *out)
{
	const struct slot *slot = &hmm->slots[n];
	uint32_t state = LOAD(slot->state); /* a put may flag it meanwhile */

	*out = (struct hmm_mapping){
		.start = slot->start,
		.end = slot_end(hmm, n),
		.access = (state & SLOT_READ ? HMM_READ : 0) |
			  (state & SLOT_WRITE ? HMM_WRITE : 0),
		.mode = slot_mode(slot),
		.memory = (void *)(uintptr_t)slot->start,
		.addr = slot->addr,
		.key = slot->key,
		.priv = hmm->cold[n].priv,
	};
}

static void class_add(struct hmm_mirror *mirror, uint32_t n, int change)
{
	unsigned int class = index_class(slot_size(mirror->hmm, n));
	uint64_t bits = atomic_load_explicit(&mirror->classes, memory_order_relaxed);

	mirror->class_count[class] += (uint32_t)change;
	bits = mirror->class_count[class] ? bits | 1ull << class : bits & ~(1ull << class);
	atomic_store_explicit(&mirror->classes, bits, memory_order_relaxed);
}

static void count_published(struct hmm_mirror *mirror, uint32_t n)
{
	mirror->live++;
	mirror->stats.translations++;
	mirror->stats.misses++;
	mirror->stats.by_mode[slot_mode(&mirror->hmm->slots[n])]++;
}

void slot_publish_locked(struct hmm_mirror *mirror, uint32_t n,
			 const struct hmm_mapping *mapping, uint32_t flags)
{
	struct hmm *hmm = mirror->hmm;
	struct slot *slot = &hmm->slots[n];
	uint32_t gen = (slot->state >> SLOT_GEN) + 1;

	STORE(slot->mirror, (uint16_t)mirror->id);
	STORE(slot->start, mapping->start);
	STORE(slot->pages, (uint32_t)((mapping->end - mapping->start) >> hmm->page_shift));
	STORE(slot->addr, mapping->addr);
	STORE(slot->key, mapping->key);
	STORE(slot->used,
	      (uint16_t)atomic_load_explicit(&hmm->clock, memory_order_relaxed));
	hmm->cold[n].priv = mapping->priv;
	if (mapping->access & HMM_READ)
		flags |= SLOT_READ;
	if (mapping->access & HMM_WRITE)
		flags |= SLOT_WRITE;
	flags |= (uint32_t)mapping->mode << SLOT_MODE;
	tree_add_locked(hmm, n);
	__atomic_store_n(&slot->state, gen << SLOT_GEN | flags | SLOT_VALID,
			 __ATOMIC_RELEASE);
	if (!(flags & SLOT_ONCE)) {
		class_add(mirror, n, 1);
		index_add_locked(hmm, n);
	}
	count_published(mirror, n);
}

void slot_revoke_locked(struct hmm *hmm, uint32_t n, struct list *posted)
{
	struct slot *slot = &hmm->slots[n];
	struct hmm_mirror *mirror = slot_mirror(hmm, slot);
	struct hmm_device *device = mirror->device;
	uint32_t state = slot->state;
	struct hmm_mapping mapping;

	core_assert_locked(hmm);
	__atomic_store_n(&slot->state, state & ~(SLOT_VALID | SLOT_INDEXED),
			 __ATOMIC_RELEASE);
	if (state & SLOT_INDEXED) {
		index_del_locked(hmm, n);
		class_add(mirror, n, -1);
	}
	tree_del_locked(hmm, n);
	slot_mapping(hmm, n, &mapping);
	if (!(state & SLOT_STAGE))
		device->ops.revoke(device, &mapping);
	mirror->stats.translations--;
	mirror->stats.revoking++;
	if (device->ops.revoke_wait && !(state & SLOT_STAGE))
		revoke_post_locked(hmm, n, posted);
	else
		release_push_locked(hmm, n, device->ops.release && !(state & SLOT_STAGE));
}

void slot_revoke_range_locked(struct hmm *hmm, uint64_t start, uint64_t end,
			      struct list *posted)
{
	uint32_t n;

	if (core_dead(hmm))
		return;
	while ((n = tree_overlap_locked(hmm, start, end))) {
		slot_mirror(hmm, &hmm->slots[n])->stats.revoked++;
		slot_revoke_locked(hmm, n, posted);
	}
}
