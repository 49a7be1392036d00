/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does a translation cost that is there already?
 *
 * No lock, no atomic read-modify-write, two lines of memory that may be cold (the index's
 * and the slot's): the thread writes the slot's number into a place of its own list
 * (hold.c), which stays in its cache, then looks whether the slot is (still) valid. Against
 * it stands release.c: it makes the slot invalid, then has every thread pass a full
 * barrier, then looks at the places of all threads. Either it sees ours, or we see the slot
 * invalid (the pair is: place, then state | state, barrier, then places). Without such a
 * barrier (source_ops.barrier is NULL) we use a fence of our own.
 *
 * A slot that turns out to be another's, or free, is given back: it delays a release at
 * most.
 *
 * The orders, for processors that reorder loads and stores (docs/model/weak.pml has each,
 * and finds the fault where one is left out):
 *
 *   event    odd number, read of the event | the call returns, number, state. The kernel
 *            orders the first pair. The number is loaded with acquire, and made even with
 *            release after the revocations: who finds it even and moved finds them.
 *   record   the kernel writes the record, moves the head, returns | head, seen, state. The
 *            drain revokes, then stores seen with release: who loads an equal seen, with
 *            acquire, finds that.
 *   call     an interposed call revokes before it begins: whoever acts after its return was
 *            told of that by the program's own means, which order the stores before it.
 *   release  state (revoked), barrier, places | place, state. Of a store and a later load
 *            each thread passes the barrier before, between or after: it finds the slot
 *            revoked, or its place is found.
 *   put      the same pair with the place emptied: either the releaser finds it empty, or
 *            who empties it finds SLOT_QUEUED or SLOT_HELD and brings the slot back.
 *   hold     a place is filled by its thread only, when it was found empty; whoever gives
 *            the reference back empties it. So no store of one is lost in another's, and a
 *            slot that is held stays written down.
 *   reuse    the fields, then state with release | state with acquire, the fields. Nobody
 *            fills a slot again while it may be found in a place.
 *   log      the head, fence, entry, head with release | head, entry, head, all but the
 * last with acquire: an entry that was written over is never taken for its predecessor.
 */
#include <errno.h>

#include "core/core.h"
#include "core/hold.h"
#include "core/index.h"
#include "util/arena.h"

/* Our reference is written down: is this the translation that we look for? */
static inline bool slot_fits(const struct hmm *hmm, const struct slot *slot,
			     uint32_t mirror, uint64_t start, uint64_t end, uint32_t want,
			     uint32_t *state)
{
	*state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

	uint64_t first = LOAD(slot->start);
	uint64_t size = (uint64_t)LOAD(slot->pages) << hmm->page_shift;

	return (*state & want) == want && LOAD(slot->mirror) == mirror && start >= first &&
	       end - first <= size;
}

/* The clock's time of this hit, for eviction: written only when the clock has moved. */
static inline void slot_touch(struct hmm *hmm, struct slot *slot)
{
	uint16_t clock = (uint16_t)atomic_load_explicit(&hmm->clock, memory_order_relaxed);

	if (unlikely(LOAD(slot->used) != clock))
		STORE(slot->used, clock);
}

/*
 * A releaser that saw a reference sets the slot aside for its holder: then nobody but the
 * holder brings it back.
 */
static __attribute__((noinline)) void bring_back(struct hmm *hmm, uint32_t n,
						 uint32_t state)
{
	bool locked = core_busy();

	if (!(state & (SLOT_QUEUED | SLOT_HELD)) || core_dead(hmm))
		return;
	if (!locked)
		core_lock(hmm);
	release_put_locked(hmm, n);
	if (!locked)
		core_unlock(hmm);
}

/* Give a reference back: its holder is done, or it was taken in vain. */
static inline void hold_back(struct hmm *hmm, uint32_t n, uint64_t place)
{
	uint32_t state;

	hold_end(hmm, n, place);
	hold_fence(hmm);
	state = __atomic_load_n(&hmm->slots[n].state, __ATOMIC_ACQUIRE);
	if (unlikely(!(state & SLOT_VALID)))
		bring_back(hmm, n, state);
}

_Static_assert((SLOT_READ | SLOT_WRITE) == (HMM_READ | HMM_WRITE) << 1, "one shift");

static inline __attribute__((always_inline)) bool look_up(struct hmm_mirror *mirror,
							  uint64_t start, uint64_t end,
							  unsigned int access,
							  struct hmm_translation *out)
{
	struct hmm *hmm = mirror->hmm;
	const struct index_table *table =
		atomic_load_explicit(&hmm->index.table, memory_order_acquire);
	uint64_t classes = atomic_load_explicit(&mirror->classes, memory_order_relaxed);
	uint32_t want = SLOT_VALID | SLOT_INDEXED | access << 1;
	uint32_t state;

	for (; classes; classes &= classes - 1) {
		unsigned int class = (unsigned int)__builtin_ctzll(classes);
		uint64_t hash = index_hash(mirror->id, class, start >> class);
		uint64_t b = index_bucket(hash), mask = LOAD(table->mask);

		for (uint64_t i = 0; i <= mask; i++, b++) {
			const struct bucket *bucket = &table->buckets[b & mask];

			for (uint64_t m = index_match(bucket, index_tag(hash)); m;
			     m &= m - 1) {
				uint32_t n = LOAD(bucket->slots[index_entry(m)]);

				uint64_t place = hold_begin(hmm, n);

				hold_fence(hmm);
				if (likely(slot_fits(hmm, &hmm->slots[n], mirror->id, start,
						     end, want, &state))) {
					slot_touch(hmm, &hmm->slots[n]);
					hold_told(mirror, &hmm->slots[n], n, state, start,
						  place, out);
					return true;
				}
				hold_back(hmm, n, place);
			}
			if (likely(!index_passed(bucket)))
				break;
		}
	}
	return false;
}

/* For who holds the lock; hmm_translate() has a copy of its own. */
bool hit(struct hmm_mirror *mirror, uint64_t start, uint64_t end, unsigned int access,
	 struct hmm_translation *out)
{
	return look_up(mirror, start, end, access, out);
}

/* May translations be had without asking anybody? Hard rule 3: not while odd. */
static inline bool settled(struct hmm *hmm)
{
	uint64_t seq = atomic_load_explicit(&hmm->wiped->seq, memory_order_acquire);

	return likely(!(seq & 1) && seq) && likely(!change_poll_moved(hmm));
}

static int check_request(struct request *r, const void *ptr, size_t len)
{
	uint64_t page = page_size();

	if (!r->mirror)
		return core_error(-EINVAL, "hmm_translate: no mirror given");
	if (core_dead(r->mirror->hmm))
		return core_error(-ECHILD, "this mirror belongs to the parent of a fork: "
					   "hmm_open() one of your own");
	if (!len)
		return core_error(-EINVAL, "hmm_translate: a length of 0 names no memory");
	if (!r->access || r->access & ~(HMM_READ | HMM_WRITE))
		return core_error(-EINVAL,
				  "hmm_translate: access %#x is not HMM_READ, "
				  "HMM_WRITE or both",
				  r->access);
	if (r->end < r->ptr || r->end > UINT64_MAX - page)
		return core_error(-EINVAL, "hmm_translate: %p + %zu wraps around", ptr,
				  len);
	r->start = page_down(r->ptr, page);
	r->stop = page_down(r->end + page - 1, page);
	if ((r->stop - r->start) >> r->mirror->hmm->page_shift > PAGES_MAX)
		return core_error(-E2BIG,
				  "hmm_translate: %zu bytes are more than one translation "
				  "takes: translate parts",
				  len);
	if (r->ptr < r->mirror->start || r->end > r->mirror->end)
		return core_error(-ERANGE,
				  "[%#llx, %#llx) is outside the mirrored interval "
				  "[%#llx, %#llx)",
				  (unsigned long long)r->ptr, (unsigned long long)r->end,
				  (unsigned long long)r->mirror->start,
				  (unsigned long long)r->mirror->end);
	return 0;
}

static __attribute__((noinline)) int translate_slowly(struct hmm_mirror *mirror,
						      const void *ptr, size_t len,
						      unsigned int access,
						      struct hmm_translation *out)
{
	struct request r = {
		.mirror = mirror,
		.ptr = (uintptr_t)ptr,
		.end = (uintptr_t)ptr + len,
		.access = access,
	};
	int cancel = cancel_disable();
	int err = check_request(&r, ptr, len);

	if (!err)
		err = thread_attach(mirror->hmm);
	if (!err)
		err = fill(&r, out);
	cancel_restore(cancel);
	return err;
}

int hmm_translate(struct hmm_mirror *mirror, const void *ptr, size_t len,
		  unsigned int access, struct hmm_translation *out)
{
	uint64_t start = (uintptr_t)ptr, end = start + len;

	if (likely(mirror && self.hmm_id == mirror->hmm->id && end > start && access &&
		   !(access & ~3u)) &&
	    settled(mirror->hmm) && look_up(mirror, start, end, access, out))
		return 0;
	return translate_slowly(mirror, ptr, len, access, out);
}

int hmm_translate_present(struct hmm_mirror *mirror, const void *ptr, size_t len,
			  unsigned int access, struct hmm_translation *out)
{
	uint64_t start = (uintptr_t)ptr, end = start + len;

	if (likely(mirror && self.hmm_id == mirror->hmm->id && end > start && access &&
		   !(access & ~3u)) &&
	    settled(mirror->hmm) && look_up(mirror, start, end, access, out))
		return 0;
	return -ENOENT;
}

/* The slot is revoked, or ends with this holder. */
static __attribute__((noinline)) int put_slowly(struct hmm_translation *translation,
						size_t moved, uint32_t n, uint32_t state)
{
	int cancel = cancel_disable(), err = 0;
	struct hmm *hmm = translation->mirror->hmm;
	struct list posted = {0};
	uint64_t place;

	if (state & SLOT_STAGE)
		err = stage_put(translation, moved);
	translation->mirror = NULL;
	place = translation->opaque[1];
	undisturbed_begin();
	/* Revoked while it is still ours: once it is not, the slot may be another's. */
	core_lock(hmm);
	if (!core_dead(hmm)) {
		if (LOAD(hmm->slots[n].state) & SLOT_VALID)
			slot_revoke_locked(hmm, n, &posted);
		hold_end(hmm, n, place);
		hold_fence(hmm);
		release_put_locked(hmm, n);
	}
	revoke_unlock(hmm, &posted);
	undisturbed_end();
	cancel_restore(cancel);
	return err;
}

static int not_held(void)
{
	return core_error(
		-EINVAL,
		"hmm_translation_put: not a translation that is held (put twice?)");
}

int hmm_translation_put_moved(struct hmm_translation *translation, size_t moved)
{
	struct hmm *hmm;
	uint32_t n, state;
	uint64_t place;

	if (unlikely(!translation || !translation->mirror))
		return not_held();
	hmm = translation->mirror->hmm;
	n = (uint32_t)translation->opaque[0];
	place = translation->opaque[1];
	if (unlikely(self.hmm_id != hmm->id) && core_dead(hmm))
		return 0;
	if (unlikely(!n || n >= hmm->max_slots))
		return not_held();
	state = __atomic_load_n(&hmm->slots[n].state, __ATOMIC_ACQUIRE);
	if (unlikely(state & SLOT_ONCE))
		return put_slowly(translation, moved, n, state);
	/* A copy of it was put already, and the place may be another's by now. */
	if (unlikely(place && LOAD(*(uint32_t *)(uintptr_t)place) != n))
		return not_held();
	translation->mirror = NULL;
	hold_back(hmm, n, place);
	return 0;
}

int hmm_translation_put(struct hmm_translation *translation)
{
	return hmm_translation_put_moved(translation, SIZE_MAX);
}

static bool same_and_valid(struct hmm *hmm, const struct hmm_translation *translation)
{
	uint32_t n = (uint32_t)translation->opaque[0];
	uint32_t state;

	if (!n || n >= hmm->max_slots)
		return false;
	state = __atomic_load_n(&hmm->slots[n].state, __ATOMIC_ACQUIRE);
	return state & SLOT_VALID && state >> SLOT_GEN == translation->opaque[0] >> 32;
}

bool hmm_translation_valid(const struct hmm_translation *translation)
{
	struct hmm *hmm;

	if (!translation || !translation->mirror)
		return false;
	hmm = translation->mirror->hmm;
	if (core_dead(hmm))
		return false;
	if (unlikely(!settled(hmm))) {
		struct timespec deadline;

		/* What is being read may be about this one: wait until it has been told. */
		deadline_in(&deadline, hmm->wait_ms);
		core_lock(hmm);
		int err = change_settle_locked(hmm, 0, 0, &deadline);
		core_unlock(hmm);
		if (err)
			return false;
	}
	return same_and_valid(hmm, translation);
}
