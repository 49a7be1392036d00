/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When, and by whom, are a revoked translation's resources given back? (hard rules 5, 6)
 *
 * Revoked slots wait on the queue. A releaser (the worker; or a thread that needs room, or
 * closes a mirror) takes them all, has every thread pass a barrier, and then looks at what
 * all threads hold: of what nobody holds the driver's release is called, with no lock held,
 * and the slot is free. The rest goes on the held list, until a put brings it back.
 *
 * A slot whose driver has nothing to release does not wake the worker: it is reclaimed
 * with the next batch.
 */
#include <errno.h>
#include <time.h>

#include "core/core.h"
#include "util/debug.h"

#define LAZY_MAX 256 /* slots queued before the worker is woken for them alone */

/* ---- the two lists, linked through left (previous) and right (next) ------------- */

void slot_list_push(struct hmm *hmm, struct list *list, uint32_t n)
{
	struct cold *slot = &hmm->cold[n];

	slot->left = list->tail;
	slot->right = NO_SLOT;
	if (list->tail)
		hmm->cold[list->tail].right = n;
	else
		list->head = n;
	list->tail = n;
}

static void list_del(struct hmm *hmm, struct list *list, uint32_t n)
{
	struct cold *slot = &hmm->cold[n];

	if (slot->left)
		hmm->cold[slot->left].right = slot->right;
	else
		list->head = slot->right;
	if (slot->right)
		hmm->cold[slot->right].left = slot->left;
	else
		list->tail = slot->left;
}

/* The flags of a slot that is not valid change under the lock only. */
static void flag(struct slot *slot, uint32_t set, uint32_t clear)
{
	__atomic_store_n(&slot->state, (slot->state | set) & ~clear, __ATOMIC_RELEASE);
}

void release_push_locked(struct hmm *hmm, uint32_t n, bool wake)
{
	flag(&hmm->slots[n], SLOT_QUEUED, SLOT_HELD | SLOT_AGAIN);
	slot_list_push(hmm, &hmm->queue, n);
	hmm->queued++;
	if ((wake || hmm->queued >= LAZY_MAX) && hmm->worker_idle) {
		hmm->worker_idle = false;
		event_count_wake_locked(&hmm->work);
	}
}

/* A reference was given back to a slot that was not valid (any more) just now. */
void release_put_locked(struct hmm *hmm, uint32_t n)
{
	struct slot *slot = &hmm->slots[n];

	if (slot->state & SLOT_HELD) {
		list_del(hmm, &hmm->held, n);
		release_push_locked(hmm, n, true);
	} else if (slot->state & SLOT_QUEUED) {
		flag(slot, SLOT_AGAIN, 0);
	}
}

/* ---- releasing ------------------------------------------------------------------- */

static void free_slot_locked(struct hmm *hmm, uint32_t n)
{
	struct slot *slot = &hmm->slots[n];
	struct hmm_mirror *mirror = slot_mirror(hmm, slot);

	mirror->stats.pinned -= slot_pinned(hmm, n);
	mirror->stats.revoking--;
	mirror->stats.released++;
	mirror->live--;
	if (!(slot->state & SLOT_STAGE))
		entry_put_locked(mirror->device);
	flag(slot, 0, (1u << SLOT_MODE) - 1);
	hmm->cold[n].right = hmm->free;
	hmm->free = n;
	event_count_wake_locked(&hmm->idle);
}

static void park_locked(struct hmm *hmm, uint32_t n)
{
	struct slot *slot = &hmm->slots[n];

	if (slot->state & SLOT_AGAIN) {
		release_push_locked(hmm, n, true);
		return;
	}
	flag(slot, SLOT_HELD, SLOT_QUEUED);
	slot_list_push(hmm, &hmm->held, n);
}

static void release_one(struct hmm *hmm, uint32_t n, uint64_t look)
{
	struct slot *slot = &hmm->slots[n];
	struct hmm_device *device = slot_mirror(hmm, slot)->device;
	bool over = !hold_found(hmm, n, look) || debug_rule_off(6);
	struct hmm_mapping mapping;

	if (core_dead(hmm))
		return; /* a handler forked, and this is the child */
	if (over && device->ops.release && !(LOAD(slot->state) & SLOT_STAGE)) {
		slot_mapping(hmm, n, &mapping);
		device->ops.release(device, &mapping);
	}
	core_lock(hmm);
	if (over)
		free_slot_locked(hmm, n);
	else
		park_locked(hmm, n);
	hmm->releasing--;
	event_count_wake_locked(&hmm->idle);
	core_unlock(hmm);
}

void release_run(struct hmm *hmm)
{
	int cancel = cancel_disable();
	uint64_t look;
	uint32_t n;

	core_lock(hmm);
	n = hmm->queue.head;
	hmm->queue = (struct list){0};
	hmm->releasing += hmm->queued;
	hmm->queued = 0;
	core_unlock(hmm);
	look = holds_look_begin(hmm);
	/* Pairs with the hit path: place, then state | state (revoked), barrier, places. */
	if (n && hmm->ops->barrier && !hmm->fences)
		hmm->ops->barrier(hmm->source, &hmm->fences);
	core_fence();
	if (n)
		holds_look(hmm, look, SLOT_QUEUED);
	while (n) {
		uint32_t next = hmm->cold[n].right;

		release_one(hmm, n, look);
		n = next;
	}
	cancel_restore(cancel);
}

void core_worker(struct hmm *hmm)
{
	core_lock(hmm);
	while (!hmm->stop) {
		if (hmm->queue.head) {
			core_unlock(hmm);
			release_run(hmm);
			core_lock(hmm);
			/* What is left was put back while we looked: only then go on at
			 * once. */
			if (hmm->queue.head)
				continue;
		}
		hmm->worker_idle = true;
		while (hmm->worker_idle && !hmm->stop)
			core_wait_locked(hmm, &hmm->work, NULL);
	}
	core_unlock(hmm);
}

static bool unsettled_locked(const struct hmm *hmm)
{
	return hmm->posted || hmm->queued || hmm->releasing || hmm->held.head;
}

int hmm_quiesce(struct hmm *hmm, uint32_t timeout_ms)
{
	struct timespec deadline;
	bool in_time = true;
	int err;

	if (core_dead(hmm))
		return core_error(-ECHILD, "hmm_quiesce: the mirror is the parent's");
	deadline_in(&deadline, timeout_ms);
	core_lock(hmm);
	while (!core_dead(hmm) && unsettled_locked(hmm)) {
		if (hmm->queued) {
			core_unlock(hmm);
			release_run(hmm);
			core_lock(hmm);
			continue;
		}
		if (!in_time)
			break;
		in_time = core_wait_locked(hmm, &hmm->idle, &deadline);
	}
	err = unsettled_locked(hmm) ? -ETIMEDOUT : 0;
	core_unlock(hmm);
	if (core_dead(hmm))
		return core_error(-ECHILD, "hmm_quiesce: the mirror is the parent's");
	return err ? core_error(err,
				"some revoked translations are still held after %u ms: "
				"put them when their operations are complete",
				timeout_ms)
		   : 0;
}
