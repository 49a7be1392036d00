/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does a device go off many mappings at once?
 *
 * A device that is asked over a bus or a socket answers after a round trip. So its revoke
 * only posts the request, and its revoke_wait waits for all that was posted: one round trip
 * a change, not one a mapping.
 *
 * What was posted is on a list of the thread that revoked it, and on no other: it is
 * neither valid nor queued, so nobody takes it up, and nobody releases it before its device
 * is off. Another thread that changes the same memory meanwhile finds it revoked, and the
 * device perhaps still on it: so whoever waits, waits for every device that was asked by
 * anybody.
 *
 * A thread that announced its change (nobody gets a translation of the range) or makes room
 * waits with the mirror lock given back. Handling an event it keeps the lock: until the
 * number is even again nobody gets a translation anyhow.
 */
#include "core/core.h"

/* Bits, by struct hmm_mirror.id. */
struct mirrors {
	uint64_t bits[MIRRORS / 64];
};

void revoke_post_locked(struct hmm *hmm, uint32_t n, struct list *posted)
{
	core_assert_locked(hmm);
	slot_list_push(hmm, posted, n);
	slot_mirror(hmm, &hmm->slots[n])->posted++;
	hmm->posted++;
}

static void done_locked(struct hmm *hmm, struct list *posted)
{
	uint32_t next;

	for (uint32_t n = posted->head; n; n = next) {
		next = hmm->cold[n].right;
		slot_mirror(hmm, &hmm->slots[n])->posted--;
		hmm->posted--;
		release_push_locked(hmm, n, true);
	}
	*posted = (struct list){0};
	event_count_wake_locked(&hmm->idle);
}

void revoke_finish_locked(struct hmm *hmm, struct list *posted)
{
	core_assert_locked(hmm);
	if (!hmm->posted || core_dead(hmm))
		return;
	for (uint32_t i = 0; i < MIRRORS; i++)
		if (hmm->mirrors[i] && hmm->mirrors[i]->posted)
			hmm->mirrors[i]->device->ops.revoke_wait(hmm->mirrors[i]->device);
	done_locked(hmm, posted);
}

/* Those whose device was asked; they stay until drop_locked(). */
static void hold_locked(struct hmm *hmm, struct mirrors *asked)
{
	for (uint32_t i = 0; i < MIRRORS; i++)
		if (hmm->mirrors[i] && hmm->mirrors[i]->posted) {
			asked->bits[i / 64] |= 1ull << i % 64;
			hmm->mirrors[i]->users++;
		}
}

static void wait_for_devices(struct hmm *hmm, const struct mirrors *asked)
{
	for (uint32_t i = 0; i < MIRRORS; i++)
		if (asked->bits[i / 64] & 1ull << i % 64)
			hmm->mirrors[i]->device->ops.revoke_wait(hmm->mirrors[i]->device);
}

static void drop_locked(struct hmm *hmm, const struct mirrors *asked)
{
	for (uint32_t i = 0; i < MIRRORS; i++)
		if (asked->bits[i / 64] & 1ull << i % 64)
			hmm->mirrors[i]->users--;
}

void revoke_unlock(struct hmm *hmm, struct list *posted)
{
	struct mirrors asked = {0};

	if (!hmm->posted || core_dead(hmm)) {
		core_unlock(hmm);
		return;
	}
	hold_locked(hmm, &asked);
	core_unlock(hmm);
	wait_for_devices(hmm, &asked);
	core_lock(hmm);
	drop_locked(hmm, &asked);
	done_locked(hmm, posted);
	core_unlock(hmm);
}
