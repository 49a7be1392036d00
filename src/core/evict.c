/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which translation goes when a limit is reached? (Y8)
 *
 * The one whose last use is longest ago, nearly: a hand goes round the slots, and takes the
 * first that was not used since the clock stood where it did a round before. A hit writes
 * the clock's time into its slot only when that moved, so that hits stay cheap. What an
 * operation holds is left alone: taking it would free nothing now.
 */
#include "core/core.h"

#define YOUNG 2 /* ticks of the clock */

static bool may_go(struct hmm_mirror *mirror, uint32_t n, uint32_t age)
{
	struct hmm *hmm = mirror->hmm;
	struct slot *slot = &hmm->slots[n];
	uint16_t clock = (uint16_t)atomic_load_explicit(&hmm->clock, memory_order_relaxed);

	return slot->state & SLOT_VALID && !(slot->state & SLOT_ONCE) &&
	       slot->mirror == mirror->id && (uint16_t)(clock - LOAD(slot->used)) >= age &&
	       slot_unreferenced(hmm, n);
}

/* One round of the hand; what it takes is subtracted from *bytes and *slots. */
static bool round_trip(struct hmm_mirror *mirror, uint32_t age, uint64_t *bytes,
		       uint32_t *slots)
{
	struct hmm *hmm = mirror->hmm;
	bool any = false;

	for (uint32_t i = 0; i < hmm->slots_high && (*bytes || *slots); i++) {
		hmm->hand = hmm->hand >= hmm->slots_high ? 1 : hmm->hand + 1;
		if (!may_go(mirror, hmm->hand, age))
			continue;
		uint64_t freed = slot_pinned(hmm, hmm->hand);

		if (!freed && !*slots)
			continue;
		slot_revoke_locked(hmm, hmm->hand);
		mirror->stats.evicted++;
		*bytes -= freed < *bytes ? freed : *bytes;
		*slots -= *slots ? 1 : 0;
		any = true;
	}
	return any;
}

/*
 * Revoke translations of the mirror until @bytes of pins and @slots slots are on their way
 * out. The caller drops the lock and calls release_run(). False: nothing could go.
 */
bool evict_locked(struct hmm_mirror *mirror, uint64_t bytes, uint32_t slots)
{
	bool any;

	core_assert_locked(mirror->hmm);
	if (core_dead(mirror->hmm))
		return false;
	atomic_fetch_add_explicit(&mirror->hmm->clock, 1, memory_order_relaxed);
	any = round_trip(mirror, YOUNG, &bytes, &slots);
	if (bytes || slots)
		any |= round_trip(mirror, 0, &bytes, &slots);
	return any;
}
