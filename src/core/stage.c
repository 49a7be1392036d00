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
 * ends, or when the mirror's limit of pinned memory needs their room.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/core.h"
#include "util/arena.h"

struct bounce {
	struct hmm_mapping mapping;
	uint64_t size;
	struct bounce *next;
	/* The use it is in. */
	uint64_t ptr, len;
	unsigned int access;
};

static uint64_t bounce_size(uint64_t len)
{
	uint64_t size = page_size();

	while (size < len)
		size *= 2;
	return size;
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

static void bounce_free(struct hmm_mirror *mirror, struct bounce *bounce)
{
	struct hmm_device *device = mirror->device;

	if (device->ops.release && !core_dead(mirror->hmm))
		device->ops.release(device, &bounce->mapping);
	arena_free(bounce->mapping.memory, bounce->size);
	core_lock(mirror->hmm);
	mirror->bounce_bytes -= bounce->size;
	mirror->stats.pinned -= bounce->size;
	core_unlock(mirror->hmm);
	free(bounce);
}

/* Those not in use, until @size bytes fit under the limit. */
static bool make_room(struct hmm_mirror *mirror, uint64_t size)
{
	for (;;) {
		core_lock(mirror->hmm);
		bool fits = !mirror->max_pinned ||
			    mirror->stats.pinned + size <= mirror->max_pinned;
		struct bounce *victim = fits ? NULL : mirror->bounces;

		if (victim)
			mirror->bounces = victim->next;
		if (fits) {
			mirror->stats.pinned += size;
			mirror->bounce_bytes += size;
		}
		core_unlock(mirror->hmm);
		if (!victim)
			return fits;
		bounce_free(mirror, victim);
	}
}

static int bounce_make(struct hmm_mirror *mirror, uint64_t size, struct bounce **out)
{
	struct hmm_device *device = mirror->device;
	struct bounce *bounce;
	int err = -ENOMEM;

	if (!make_room(mirror, size))
		return core_error(-ENOMEM,
				  "a bounce buffer of %llu bytes exceeds the mirror's "
				  "limit of pinned memory (max_pinned)",
				  (unsigned long long)size);
	bounce = calloc(1, sizeof(*bounce));
	void *memory = bounce ? arena_reserve(size, &err) : NULL;

	if (!memory)
		goto err_room;
	bounce->size = size;
	bounce->mapping = (struct hmm_mapping){
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + size,
		.access = HMM_READ | HMM_WRITE,
		.mode = HMM_MODE_STAGE,
		.memory = memory,
	};
	err = core_dead(mirror->hmm) ? -ECHILD : device->ops.map(device, &bounce->mapping);
	if (err)
		goto err_memory;
	*out = bounce;
	return 0;

err_memory:
	arena_free(memory, size);
err_room:
	free(bounce);
	core_lock(mirror->hmm);
	mirror->stats.pinned -= size;
	mirror->bounce_bytes -= size;
	core_unlock(mirror->hmm);
	return core_error(err, "device %s: no bounce buffer of %llu bytes",
			  device->driver->name, (unsigned long long)size);
}

static int bounce_get(struct hmm_mirror *mirror, uint64_t len, struct bounce **out)
{
	uint64_t size = bounce_size(len);

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

int stage_get(struct request *r, uint32_t slot, struct hmm_translation *out)
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
		/* Memory that the CPU may only write has no old bytes to keep. */
		if (err && !(r->access & HMM_READ))
			err = 0;
		if (err)
			core_error(err,
				   "[%#llx, %#llx) cannot be read into a bounce buffer",
				   (unsigned long long)r->ptr, (unsigned long long)r->end);
	}
	if (err) {
		if (bounce)
			bounce_put(mirror, bounce);
		out->opaque[1] = 0;
		hmm_translation_put(out);
		return err;
	}
	out->addr = bounce->mapping.addr;
	out->key = bounce->mapping.key;
	out->mode = HMM_MODE_STAGE;
	out->opaque[1] = (uintptr_t)bounce;
	return 0;
}

int stage_put(struct hmm_translation *translation, size_t moved)
{
	struct hmm_mirror *mirror = translation->mirror;
	struct bounce *bounce = (struct bounce *)(uintptr_t)translation->opaque[1];
	struct hmm *hmm = mirror->hmm;
	int err = 0;

	if (!bounce)
		return 0;
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
	bounce_put(mirror, bounce);
	translation->opaque[1] = 0;
	return err;
}

void stage_fini(struct hmm_mirror *mirror)
{
	for (;;) {
		core_lock(mirror->hmm);
		struct bounce *bounce = mirror->bounces;

		if (bounce)
			mirror->bounces = bounce->next;
		core_unlock(mirror->hmm);
		if (!bounce)
			return;
		bounce_free(mirror, bounce);
	}
}
