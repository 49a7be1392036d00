/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does a device reach memory that it can neither follow nor pin?
 *
 * Through a bounce buffer of the library's own, which the device can: filled from the
 * application's memory when the translation is had, copied back when it is put. The copy
 * goes through the CPU's mapping as it then is, with its permissions. Bytes that the
 * device did not write go back as they came.
 *
 * Buffers stay mapped for the device and are used again; they are unmapped when the mirror
 * ends, or when the device has no room for something else. Their memory is the library's,
 * or what the driver has for that. The mirror's limit of pinned memory is of the
 * application's: it does not count them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "util/arena.h"

#define IS_BOUNCE \
	1ull /* in struct hmm_translation.opaque[1]; else it is a place (hold.h) */

struct bounce {
	struct hmm_mapping mapping;
	uint64_t size;
	struct bounce *next;
	/* The use it is in. */
	uint64_t ptr, len, place;
	unsigned int access;
};

/* Of few sizes, so that one fits again. */
static uint64_t bounce_size(const struct hmm_mirror *mirror, uint64_t len)
{
	uint64_t size = page_size();

	while (size < len)
		size *= 2;
	return lower(size, longest_mapping(mirror));
}

static struct bounce *take_locked(struct hmm_mirror *mirror, uint64_t size)
{
	for (struct bounce **p = &mirror->bounces; *p; p = &(*p)->next) {
		struct bounce *bounce = *p;

		if (bounce->size == size) {
			*p = bounce->next;
			return bounce;
		}
	}
	return NULL;
}

static void count(struct hmm_mirror *mirror, uint64_t bytes)
{
	core_lock(mirror->hmm);
	mirror->stats.staged += bytes;
	core_unlock(mirror->hmm);
}

static void bounce_free(struct hmm_mirror *mirror, struct bounce *bounce)
{
	struct hmm_device *device = mirror->device;

	if (!core_dead(mirror->hmm)) {
		if (device->ops.release)
			device->ops.release(device, &bounce->mapping);
		device->ops.stage_free(device, bounce->mapping.memory, bounce->size);
		entry_put(device);
	}
	count(mirror, -bounce->size);
	free(bounce);
}

/* What the driver said of its refusal is the reason, where it said something. */
static int refused(const struct hmm_mirror *mirror, uint64_t size, int err)
{
	char said[160];

	snprintf(said, sizeof(said), "%s", hmm_error());
	if (!*said)
		snprintf(said, sizeof(said), "there is no memory for it (errno %d)", -err);
	return core_error(err, "device %s: no bounce buffer of %llu bytes: %s",
			  mirror->device->driver->name, (unsigned long long)size, said);
}

/* Where the device's own memory is full, what is idle of it goes. */
static int alloc_memory(struct hmm_mirror *mirror, uint64_t size, void **memory)
{
	struct hmm_device *device = mirror->device;
	int err;

	do
		err = device->ops.stage_alloc(device, size, memory);
	while ((err == -ENOMEM || err == -ENOSPC) && stage_drop_idle(mirror));
	return err;
}

static int map_memory(struct hmm_mirror *mirror, struct bounce *bounce)
{
	void *memory;
	int err = alloc_memory(mirror, bounce->size, &memory);

	if (err)
		return err;
	bounce->mapping = (struct hmm_mapping){
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + bounce->size,
		.access = HMM_READ | HMM_WRITE,
		.mode = HMM_MODE_STAGE,
		.memory = memory,
	};
	err = map_with_room(mirror->device, &bounce->mapping);
	if (err)
		mirror->device->ops.stage_free(mirror->device, memory, bounce->size);
	return err;
}

static int bounce_make(struct hmm_mirror *mirror, uint64_t size, struct bounce **out)
{
	struct bounce *bounce = calloc(1, sizeof(*bounce));
	int err;

	if (!bounce)
		return core_error(-ENOMEM, "no memory for a bounce buffer of %llu bytes",
				  (unsigned long long)size);
	bounce->size = size;
	if (self.error)
		*self.error = 0; /* what is said from here on is the driver's */
	err = map_memory(mirror, bounce);
	if (err) {
		free(bounce);
		return refused(mirror, size, err);
	}
	count(mirror, size);
	*out = bounce;
	return 0;
}

static int bounce_get(struct hmm_mirror *mirror, uint64_t len, struct bounce **out)
{
	uint64_t size = bounce_size(mirror, len);

	core_lock(mirror->hmm);
	*out = take_locked(mirror, size);
	core_unlock(mirror->hmm);
	return *out ? 0 : bounce_make(mirror, size, out);
}

static void bounce_put(struct hmm_mirror *mirror, struct bounce *bounce)
{
	core_lock(mirror->hmm);
	bounce->next = mirror->bounces;
	mirror->bounces = bounce;
	core_unlock(mirror->hmm);
}

int stage_get(struct request *r, bool readable, struct hmm_translation *out)
{
	struct hmm_mirror *mirror = r->mirror;
	struct hmm *hmm = mirror->hmm;
	struct bounce *bounce;
	int err = bounce_get(mirror, r->end - r->ptr, &bounce);

	if (!err) {
		bounce->ptr = r->ptr;
		bounce->len = r->end - r->ptr;
		bounce->access = r->access;
		err = hmm->ops->copy_in(hmm->source, bounce->mapping.memory, r->ptr,
					bounce->len);
		/*
		 * Memory that the CPU may only write has no old bytes to keep; nor may the
		 * buffer's reach it, which are another operation's.
		 */
		if (err && !readable) {
			memset(bounce->mapping.memory, 0, bounce->len);
			err = 0;
		}
		if (err)
			core_error(err,
				   "[%#llx, %#llx) cannot be read into a bounce buffer",
				   (unsigned long long)r->ptr, (unsigned long long)r->end);
	}
	if (err) {
		if (bounce)
			bounce_put(mirror, bounce);
		hmm_translation_put(out);
		return err;
	}
	out->addr = bounce->mapping.addr;
	out->key = bounce->mapping.key;
	out->mode = HMM_MODE_STAGE;
	bounce->place = out->opaque[1];
	out->opaque[1] = (uintptr_t)bounce | IS_BOUNCE;
	return 0;
}

int stage_put(struct hmm_translation *translation, size_t moved)
{
	struct hmm_mirror *mirror = translation->mirror;
	uint64_t is = translation->opaque[1];
	struct bounce *bounce = (struct bounce *)(uintptr_t)(is & ~IS_BOUNCE);
	struct hmm *hmm = mirror->hmm;
	int err = 0;

	if (!(is & IS_BOUNCE))
		return 0; /* it could not be filled */
	if (bounce->access & HMM_WRITE && moved)
		err = hmm->ops->copy_out(hmm->source, bounce->ptr, bounce->mapping.memory,
					 moved < bounce->len ? moved : bounce->len);
	if (err)
		core_error(
			err,
			"what the device wrote to [%#llx, %#llx) is lost: the memory is no "
			"longer there, or no longer writable",
			(unsigned long long)bounce->ptr,
			(unsigned long long)(bounce->ptr + bounce->len));
	translation->opaque[1] = bounce->place;
	bounce_put(mirror, bounce);
	return err;
}

/* Those not in use go, at the end of the mirror or for want of room. */
bool stage_drop_idle(struct hmm_mirror *mirror)
{
	struct bounce *idle, *next;

	core_lock(mirror->hmm);
	idle = mirror->bounces;
	mirror->bounces = NULL;
	core_unlock(mirror->hmm);
	for (struct bounce *bounce = idle; bounce; bounce = next) {
		next = bounce->next;
		bounce_free(mirror, bounce);
	}
	return idle;
}
