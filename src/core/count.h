/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is a reference to a translation counted, and what does its holder get?
 *
 * hit.c says why a count that only its own thread writes is enough.
 */
#ifndef CORE_COUNT_H
#define CORE_COUNT_H

#include "core/core.h"

static inline void count_add(_Atomic uint32_t *count, uint32_t change)
{
	if (unlikely(self.shared))
		atomic_fetch_add_explicit(count, change, memory_order_seq_cst);
	else
		atomic_store_explicit(
			count, atomic_load_explicit(count, memory_order_relaxed) + change,
			memory_order_release);
}

static inline void count_fence(const struct hmm *hmm)
{
	if (unlikely(atomic_load_explicit(&hmm->fences, memory_order_relaxed)))
		core_fence();
	else
		atomic_signal_fence(memory_order_seq_cst);
}

/* What the holder of slot @n gets, for the address @start in it. */
static inline void count_told(struct hmm_mirror *mirror, const struct slot *slot,
			      uint32_t n, uint32_t state, uint64_t start,
			      struct hmm_translation *out)
{
	out->addr = LOAD(slot->addr) + (start - LOAD(slot->start));
	out->key = LOAD(slot->key);
	out->mode = (enum hmm_mode)((state >> SLOT_MODE) & 3);
	out->mirror = mirror;
	out->opaque[0] = (uint64_t)(state >> SLOT_GEN) << 32 | n;
	out->opaque[1] = 0;
}

#endif
