/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is a reference to a translation taken and given back, and what does its holder get?
 *
 * hit.c says why a word that only its own thread fills is enough; hold.c has the rest.
 */
#ifndef CORE_HOLD_H
#define CORE_HOLD_H

#include "core/core.h"

/* This thread holds the slot: the place's address, for hold_end(); 0: hmm.more counts it.
 */
static inline uint64_t hold_begin(struct hmm *hmm, uint32_t slot)
{
	struct holds *holds = self.holds;
	uint64_t empty = holds->empty;
	uint32_t at;

	if (unlikely(!empty))
		return hold_more(hmm, slot);
	at = (uint32_t)__builtin_ctzll(empty);
	holds->empty = empty & (empty - 1);
	/* Before the place: who looks at the lists goes no further than this. */
	if (unlikely(at >= atomic_load_explicit(&holds->used, memory_order_relaxed)))
		atomic_store_explicit(&holds->used, at + 1, memory_order_relaxed);
	atomic_store_explicit(&holds->slot[at], slot, memory_order_release);
	return (uintptr_t)&holds->slot[at];
}

static inline _Atomic uint32_t *hold_place(uint64_t place)
{
	return (_Atomic uint32_t *)(uintptr_t)place;
}

/* By any thread. It is known to be empty at once by the one whose place it is, else later.
 */
static inline void hold_end(struct hmm *hmm, uint32_t slot, uint64_t place)
{
	uint64_t at;

	if (unlikely(!place)) {
		atomic_fetch_sub(&hmm->more[slot], 1);
		return;
	}
	atomic_store_explicit(hold_place(place), 0, memory_order_release);
	at = (place - (uintptr_t)self.holds - offsetof(struct holds, slot)) /
	     sizeof(uint32_t);
	if (likely(at < HOLDS && self.hmm_id == hmm->id))
		self.holds->empty |= 1ull << at;
}

static inline void hold_fence(const struct hmm *hmm)
{
	if (unlikely(atomic_load_explicit(&hmm->fences, memory_order_relaxed)))
		core_fence();
	else
		atomic_signal_fence(memory_order_seq_cst);
}

/* What the holder of slot @n gets, for the address @start in it. */
static inline void hold_told(struct hmm_mirror *mirror, const struct slot *slot, uint32_t n,
			     uint32_t state, uint64_t start, uint64_t place,
			     struct hmm_translation *out)
{
	out->addr = LOAD(slot->addr) + (start - LOAD(slot->start));
	out->key = LOAD(slot->key);
	out->mode = (enum hmm_mode)((state >> SLOT_MODE) & 3);
	out->mirror = mirror;
	out->opaque[0] = (uint64_t)(state >> SLOT_GEN) << 32 | n;
	out->opaque[1] = place;
}

#endif
