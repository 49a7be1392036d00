/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which translation goes when a limit is reached? (Y8)
 *
 * The one whose last use is longest ago, nearly: a hand goes round the slots, and takes the
 * first that was not used since the clock stood where it did a round before. A hit writes
 * the clock's time into its slot only when that moved, so that hits stay cheap. What an
 * operation holds is left alone: taking it would free nothing now.
 */
#include <errno.h>
#include <time.h>

#include "core/core.h"

#define YOUNG       2  /* ticks of the clock */
#define RELEASE_MS  10 /* to wait for one that another thread is releasing */
#define EVICT_SLOTS 16 /* taken at a time: a table is full */

/* @mirror NULL: of any mirror. */
static bool may_go(struct hmm *hmm, struct hmm_mirror *mirror, uint32_t n, uint32_t age,
		   uint64_t look)
{
	struct slot *slot = &hmm->slots[n];
	uint16_t clock = (uint16_t)atomic_load_explicit(&hmm->clock, memory_order_relaxed);

	return slot->state & SLOT_VALID && !(slot->state & SLOT_ONCE) &&
	       (!mirror || slot->mirror == mirror->id) &&
	       (uint16_t)(clock - LOAD(slot->used)) >= age && !hold_found(hmm, n, look);
}

/* One round of the hand; what it takes is subtracted from *bytes and *slots. */
static bool round_trip(struct hmm *hmm, struct hmm_mirror *mirror, uint32_t age,
		       uint64_t look, uint64_t *bytes, uint32_t *slots, struct list *posted)
{
	bool any = false;

	for (uint32_t i = 0; i < hmm->slots_high && (*bytes || *slots); i++) {
		hmm->hand = hmm->hand >= hmm->slots_high ? 1 : hmm->hand + 1;
		if (!may_go(hmm, mirror, hmm->hand, age, look))
			continue;
		uint64_t freed = slot_pinned(hmm, hmm->hand);

		if (!freed && !*slots)
			continue;
		slot_revoke_locked(hmm, hmm->hand, posted);
		slot_mirror(hmm, &hmm->slots[hmm->hand])->stats.evicted++;
		*bytes -= freed < *bytes ? freed : *bytes;
		*slots -= *slots ? 1 : 0;
		any = true;
	}
	return any;
}

/*
 * Revoke translations of the mirror (NULL: of any) until @bytes of pins and @slots slots
 * are on their way out. The caller goes on with revoke_unlock(), evict_settle(). False:
 * nothing could go.
 */
bool evict_locked(struct hmm *hmm, struct hmm_mirror *mirror, uint64_t bytes,
		  uint32_t slots, struct list *posted)
{
	uint64_t look;
	bool any;

	core_assert_locked(hmm);
	if (core_dead(hmm))
		return false;
	look = holds_look_begin(hmm);
	holds_look(hmm, look, SLOT_VALID);
	atomic_fetch_add_explicit(&hmm->clock, 1, memory_order_relaxed);
	any = round_trip(hmm, mirror, YOUNG, look, &bytes, &slots, posted);
	if (bytes || slots)
		any |= round_trip(hmm, mirror, 0, look, &bytes, &slots, posted);
	return any;
}

/* What is on its way out, by us or by others, is out, or a little time has passed. */
void evict_settle(struct hmm *hmm)
{
	unsigned int depth = undisturbed_pause();
	struct timespec soon;

	release_run(hmm);
	undisturbed_resume(depth);
	deadline_in(&soon, RELEASE_MS);
	core_lock(hmm);
	if (hmm->posted || hmm->releasing)
		core_wait_locked(hmm, &hmm->idle, &soon);
	core_unlock(hmm);
}

/*
 * The device has no room for a mapping: idle bounce buffers of its mirror go, and some of
 * its translations. Is it worth trying again?
 */
bool evict_for_device(struct hmm_device *device, uint64_t bytes)
{
	struct hmm_mirror *mirror = hmm_device_mirror(device);
	struct hmm *hmm = device->hmm;
	bool any = stage_drop_idle(mirror);
	struct list posted = {0};

	undisturbed_begin();
	core_lock(hmm);
	any |= evict_locked(hmm, mirror, bytes, EVICT_SLOTS, &posted);
	any |= hmm->posted || hmm->queued || hmm->releasing;
	revoke_unlock(hmm, &posted);
	evict_settle(hmm);
	undisturbed_end();
	return any;
}

/* ---- the driver's map, with room made for it ---------------------------------------- */

static int entry_get(struct hmm_device *device)
{
	uint32_t max = device->driver->max_entries;
	bool full;

	if (!max)
		return 0;
	core_lock(device->hmm);
	full = device->entries >= max;
	device->entries += !full;
	core_unlock(device->hmm);
	if (!full)
		return 0;
	return core_error(-ENOSPC,
			  "device %s has %u entries, and all are held by operations: wait "
			  "for some to complete",
			  device->driver->name, max);
}

void entry_put_locked(struct hmm_device *device)
{
	core_assert_locked(device->hmm);
	device->entries -= !!device->driver->max_entries;
}

void entry_put(struct hmm_device *device)
{
	if (!device->driver->max_entries)
		return;
	core_lock(device->hmm);
	entry_put_locked(device);
	core_unlock(device->hmm);
}

static int map_once(struct hmm_device *device, struct hmm_mapping *mapping)
{
	int err = entry_get(device);
	unsigned int depth;

	if (err)
		return err;
	depth = undisturbed_pause();
	err = device->ops.map(device, mapping);
	undisturbed_resume(depth);
	if (err)
		entry_put(device);
	if (err > 0)
		return core_error(-EIO,
				  "the driver of device %s returned %d from map, which is "
				  "neither 0 nor -errno",
				  device->driver->name, err);
	return err;
}

int map_with_room(struct hmm_device *device, struct hmm_mapping *mapping)
{
	const struct hmm_mapping asked = *mapping;
	int err;

	for (int i = 0; i < EVICT_TRIES; i++) {
		/* A handler may have forked, and come back here in the child. */
		if (core_dead(device->hmm))
			return -ECHILD;
		*mapping = asked;
		err = map_once(device, mapping);
		if ((err != -ENOMEM && err != -ENOSPC) ||
		    !evict_for_device(device, mapping->end - mapping->start))
			break;
	}
	return err;
}

/* The mirror, or the process, has as many translations as it may have. */
bool evict_for_slot(struct hmm_mirror *mirror)
{
	struct hmm *hmm = mirror->hmm;
	struct list posted = {0};
	bool any;

	undisturbed_begin();
	core_lock(hmm);
	any = evict_locked(hmm, mirror->live >= mirror->max_translations ? mirror : NULL, 0,
			   EVICT_SLOTS, &posted) ||
	      hmm->posted || hmm->queued || hmm->releasing;
	revoke_unlock(hmm, &posted);
	evict_settle(hmm);
	undisturbed_end();
	return any;
}
