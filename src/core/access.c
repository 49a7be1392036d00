/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does a driver let its device access memory that may change meanwhile?
 *
 * Translate, move, put; begin again when the device was refused because the memory changed
 * under the translation. Each driver would have this loop, and each a mistake of its own in
 * it: the translation that is not put on an error, the fault that was only the change, the
 * loop without an end.
 */
#include <errno.h>

#include "core/core.h"
#include "util/arena.h"

#define ATTEMPTS 1000 /* without a byte moved, before it is given up */

struct access {
	struct hmm_device *device;
	uint64_t at;
	size_t len;
	unsigned int rights;
	hmm_move_fn move;
	void *arg;
};

/* As many bytes as one mapping of the device holds, by whole pages. */
static size_t piece_length(const struct access *a, const struct hmm_mirror *mirror)
{
	uint64_t room = longest_mapping(mirror) - a->at % page_size();

	return a->len < room ? a->len : (size_t)room;
}

/* Bytes moved of the piece, perhaps with an error that comes after them. */
static size_t move_all(const struct access *a, const struct hmm_translation *t, size_t len,
		       int *err)
{
	size_t moved = 0;

	while (moved < len) {
		ssize_t n = a->move(a->device, t, moved, len - moved, a->arg);

		if (n <= 0) {
			*err = n ? (int)n : -EIO;
			break;
		}
		moved += (size_t)n < len - moved ? (size_t)n : len - moved;
	}
	return moved;
}

/* A refusal with the translation still valid is final. */
static int judge(const struct access *a, const struct hmm_translation *t, size_t moved,
		 int err)
{
	if (err != -EFAULT && err != -EAGAIN)
		return err;
	if (!hmm_translation_valid(t))
		return -EAGAIN;
	if (err == -EAGAIN)
		return err;
	return core_error(
		-EFAULT,
		"device %s cannot %s %#llx: the mapping is there, its memory is not",
		a->device->driver->name, a->rights & HMM_WRITE ? "write" : "read",
		(unsigned long long)(a->at + moved));
}

/* -EAGAIN: begin again, with what is left. */
static int access_piece(struct access *a, struct hmm_mirror *mirror)
{
	struct hmm_translation t;
	size_t len = piece_length(a, mirror), moved;
	int err = hmm_translate(mirror, (const void *)(uintptr_t)a->at, len, a->rights, &t);
	int put;

	if (err)
		return err;
	moved = move_all(a, &t, len, &err);
	if (err)
		err = judge(a, &t, moved, err);
	put = hmm_translation_put_moved(&t, a->rights & HMM_WRITE ? moved : 0);
	if (put)
		return put;
	a->at += moved;
	a->len -= moved;
	return err;
}

static int next_piece(struct access *a)
{
	struct hmm_mirror *mirror = hmm_device_mirror(a->device);

	if (!mirror)
		return core_error(-ENODEV,
				  "device %s has no mirror: hmm_mirror_create() one",
				  a->device->driver->name);
	return access_piece(a, mirror);
}

int hmm_device_access(struct hmm_device *device, const void *ptr, size_t len,
		      unsigned int access, hmm_move_fn move, void *arg)
{
	struct access a = {device, (uintptr_t)ptr, len, access, move, arg};
	unsigned int attempts = 0;

	if (core_dead(device->hmm))
		return core_error(-ECHILD,
				  "device %s is in use by the parent of this process",
				  device->driver->name);
	while (a.len) {
		size_t left = a.len;
		int err = next_piece(&a);

		attempts = a.len < left ? 0 : attempts + 1;
		if (err && err != -EAGAIN)
			return err;
		if (attempts == ATTEMPTS)
			return core_error(-EBUSY,
					  "device %s was refused at %#llx %u times, as the "
					  "memory was changing: try again",
					  device->driver->name, (unsigned long long)a.at,
					  ATTEMPTS);
	}
	return 0;
}
