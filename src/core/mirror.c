/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How does a mirror of a device begin and end? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/core.h"
#include "util/arena.h"

static int check_attr(const struct hmm_mirror_attr *attr)
{
	if ((attr->start || attr->end) && attr->end <= attr->start)
		return core_error(-EINVAL, "the mirror's interval [%#llx, %#llx) is empty",
				  (unsigned long long)attr->start,
				  (unsigned long long)attr->end);
	if (attr->modes & ~((1u << HMM_MODES) - 1))
		return core_error(-EINVAL, "hmm_mirror_attr.modes %#x names unknown modes",
				  attr->modes);
	if (attr->granule & (attr->granule - 1) ||
	    (attr->granule && attr->granule < page_size()))
		return core_error(
			-EINVAL,
			"hmm_mirror_attr.granule %llu is not a power of two of at "
			"least a page (%zu)",
			(unsigned long long)attr->granule, page_size());
	return 0;
}

static void take_attr(struct hmm_mirror *mirror, const struct hmm_mirror_attr *attr)
{
	struct hmm *hmm = mirror->hmm;

	mirror->start = attr->start;
	mirror->end = attr->end ? attr->end : UINT64_MAX;
	mirror->max_pinned = attr->max_pinned;
	mirror->max_translations =
		attr->max_translations && attr->max_translations < hmm->max_slots
			? attr->max_translations
			: hmm->max_slots - 1;
	mirror->modes = attr->modes ? attr->modes : (1u << HMM_MODES) - 1;
	mirror->granule = attr->granule ? attr->granule : page_size();
	if (mirror->granule >> hmm->page_shift > PAGES_MAX)
		mirror->granule = (uint64_t)PAGES_MAX << hmm->page_shift;
}

static int enter_locked(struct hmm_mirror *mirror)
{
	struct hmm *hmm = mirror->hmm;

	core_assert_locked(hmm);
	if (mirror->device->mirror)
		return -EBUSY;
	for (uint32_t i = 0; i < MIRRORS; i++)
		if (!hmm->mirrors[i]) {
			mirror->id = i;
			hmm->mirrors[i] = mirror;
			mirror->device->mirror = mirror;
			return 0;
		}
	return -ENOSPC;
}

/* @by_default: the one that comes with the device. */
static int make(struct hmm_device *device, const struct hmm_mirror_attr *attr,
		bool by_default, struct hmm_mirror **out)
{
	struct hmm_mirror *mirror;
	int err;

	mirror = calloc(1, sizeof(*mirror));
	if (!mirror)
		return core_error(-ENOMEM, "hmm_mirror_create: out of memory");
	mirror->hmm = device->hmm;
	mirror->device = device;
	mirror->by_default = by_default;
	take_attr(mirror, attr);
	core_lock(device->hmm);
	err = enter_locked(mirror);
	core_unlock(device->hmm);
	if (err) {
		free(mirror);
		return core_error(
			err,
			err == -EBUSY ? "device %s has a mirror already: destroy it first"
				      : "device %s: the process has as many mirrors as "
					"there can be",
			device->driver->name);
	}
	*out = mirror;
	return 0;
}

int mirror_make_default(struct hmm_device *device)
{
	static const struct hmm_mirror_attr defaults;
	struct hmm_mirror *mirror;

	return make(device, &defaults, true, &mirror);
}

int hmm_mirror_create(struct hmm_device *device, const struct hmm_mirror_attr *given,
		      struct hmm_mirror **out)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr)};
	struct hmm_mirror *mirror;
	int err = 0;

	if (!device || !out)
		return core_error(-EINVAL,
				  "hmm_mirror_create: no device, or nowhere to put it");
	if (core_dead(device->hmm))
		return core_error(-ECHILD, "hmm_mirror_create: the device is the parent's");
	if (given)
		err = core_struct_take(&attr, sizeof(attr), given,
				       "struct hmm_mirror_attr");
	if (!err)
		err = check_attr(&attr);
	mirror = err ? NULL : hmm_device_mirror(device);
	if (mirror && mirror->by_default)
		err = hmm_mirror_destroy(mirror);
	return err ? err : make(device, &attr, false, out);
}

static int in_use(const struct hmm *hmm, uint32_t live, uint32_t releasing)
{
	if (releasing)
		return core_error(-EBUSY,
				  "the driver's release has not returned for %u ms "
				  "(wait_ms): does it wait for a lock that the caller of "
				  "this holds? Nothing was freed, try again without it",
				  hmm->wait_ms);
	if (live)
		return core_error(
			-EBUSY,
			"%u translations are still held after %u ms (wait_ms): put "
			"them when their operations are complete, then try again",
			live, hmm->wait_ms);
	return core_error(-EBUSY,
			  "a thread has been making a translation for %u ms (wait_ms): try "
			  "again when its call has returned",
			  hmm->wait_ms);
}

static void revoke_all(struct hmm_mirror *mirror)
{
	struct hmm *hmm = mirror->hmm;
	struct list posted = {0};

	undisturbed_begin();
	core_lock(hmm);
	mirror->closing = true;
	for (uint32_t n = 1; n <= hmm->slots_high && mirror->stats.translations; n++)
		if (hmm->slots[n].state & SLOT_VALID && hmm->slots[n].mirror == mirror->id)
			slot_revoke_locked(hmm, n, &posted);
	revoke_unlock(hmm, &posted);
	undisturbed_end();
}

/* Revoke all of it, and wait until nobody holds any of it, or makes more. */
int mirror_close(struct hmm_mirror *mirror)
{
	struct hmm *hmm = mirror->hmm;
	struct timespec deadline;
	bool in_time = true;
	uint32_t live, users, releasing;

	deadline_in(&deadline, hmm->wait_ms);
	revoke_all(mirror);
	core_lock(hmm);
	while ((mirror->live || mirror->users) && in_time && !core_dead(hmm)) {
		if (hmm->queued) {
			core_unlock(hmm);
			release_run(hmm);
			core_lock(hmm);
			continue;
		}
		in_time = core_wait_locked(hmm, &hmm->idle, &deadline);
	}
	live = mirror->live;
	users = mirror->users;
	releasing = hmm->releasing;
	core_unlock(hmm);
	if (core_dead(hmm))
		return 0; /* a handler forked, and this is the child */
	if (live || users)
		return in_use(hmm, live, releasing);
	stage_drop_idle(mirror);
	return 0;
}

static void add_stats(struct hmm_stats *sum, const struct hmm_stats *one)
{
	sum->translations += one->translations;
	sum->revoking += one->revoking;
	sum->pinned += one->pinned;
	sum->staged += one->staged;
	sum->misses += one->misses;
	sum->collisions += one->collisions;
	sum->revoked += one->revoked;
	sum->evicted += one->evicted;
	sum->released += one->released;
	sum->closed_fills += one->closed_fills;
	for (int i = 0; i < HMM_MODES; i++)
		sum->by_mode[i] += one->by_mode[i];
}

/*
 * Destroyed, the oldest at gone_next; the mirror lock of the one struct hmm guards them. A
 * leak checker of the program looks into static memory, and not into the library's arena.
 * What the child of a fork finds here is the parent's, and stays.
 */
#define GONE_MIRRORS 64
static struct hmm_mirror *gone[GONE_MIRRORS];
static uint32_t gone_next;

/*
 * A call that was under way may still look at it: it finds no translation there, and then
 * that it is closing. The memory goes when so many more were destroyed.
 */
static struct hmm_mirror *keep_locked(struct hmm_mirror *mirror)
{
	struct hmm_mirror *oldest = gone[gone_next];

	gone[gone_next] = mirror;
	gone_next = (gone_next + 1) % GONE_MIRRORS;
	return oldest && oldest->hmm == mirror->hmm ? oldest : NULL;
}

void mirrors_fini(struct hmm *hmm)
{
	for (unsigned int i = 0; i < GONE_MIRRORS; i++) {
		if (!gone[i] || gone[i]->hmm != hmm)
			continue;
		free(gone[i]);
		gone[i] = NULL;
	}
}

int hmm_mirror_destroy(struct hmm_mirror *mirror)
{
	struct hmm_mirror *oldest;
	int cancel, err;

	if (!mirror || core_dead(mirror->hmm))
		return 0;
	cancel = cancel_disable();
	err = mirror_close(mirror);
	cancel_restore(cancel);
	if (err)
		return err;
	core_lock(mirror->hmm);
	add_stats(&mirror->hmm->past, &mirror->stats);
	mirror->hmm->mirrors[mirror->id] = NULL;
	mirror->device->mirror = NULL;
	oldest = keep_locked(mirror);
	core_unlock(mirror->hmm);
	free(oldest);
	return 0;
}

const char *hmm_mode_name(enum hmm_mode mode)
{
	static const char *const names[HMM_MODES] = {"direct", "fault", "pin", "stage"};

	return (unsigned int)mode < HMM_MODES ? names[mode] : "?";
}

/* ---- statistics ------------------------------------------------------------------ */

static uint64_t own_memory(const struct hmm *hmm)
{
	uint64_t used = sizeof(*hmm) + ((uint64_t)hmm->slots_high + 1) *
					       (sizeof(struct slot) + sizeof(struct cold));

	used += (atomic_load(&hmm->index.table)->mask + 1) * sizeof(struct bucket);
	return used + (uint64_t)LOAD(hmm->nr_holds) * sizeof(struct holds);
}

int hmm_stats_read(struct hmm *hmm, struct hmm_mirror *mirror, struct hmm_stats *out,
		   size_t size)
{
	struct hmm_stats sum = {0};

	if (!hmm || !out)
		return core_error(-EINVAL,
				  "hmm_stats_read: no struct hmm, or nowhere to put it");
	if (core_dead(hmm))
		return core_error(-ECHILD, "hmm_stats_read: the mirror is the parent's");
	core_lock(hmm);
	if (!mirror)
		sum = hmm->past;
	for (uint32_t i = 0; i < MIRRORS; i++)
		if (hmm->mirrors[i] && (!mirror || hmm->mirrors[i] == mirror))
			add_stats(&sum, &hmm->mirrors[i]->stats);
	sum.arena = own_memory(hmm);
	core_unlock(hmm);
	sum.events = atomic_load(&hmm->counters[COUNT_EVENTS]);
	sum.interposed = atomic_load(&hmm->counters[COUNT_INTERPOSED]);
	sum.perf_records = atomic_load(&hmm->counters[COUNT_PERF]);
	core_struct_give(out, size, &sum, sizeof(sum));
	return 0;
}
