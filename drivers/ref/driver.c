// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The reference device as libhmm sees it.
 *
 * The question this file answers: what does a driver do in map, commit, revoke, release?
 *
 *	mode	map			commit	revoke		release
 *	direct	count, reserve		add	remove, drain	uncount
 *	stage	count, reserve, add	-	-		remove, uncount
 *
 * The window of a staged mapping is the bounce buffer. It belongs to whoever holds the
 * translation and is not looked up by anybody else, so it stays in the table until that
 * operation is over; a change of the memory it was copied from is of no concern to it.
 */
#include "ref.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OFFERED ((1u << HMM_MODE_DIRECT) | (1u << HMM_MODE_STAGE))

static uint64_t window_end(const struct hmm_mapping *mapping)
{
	return mapping->addr + (mapping->end - mapping->start);
}

static int refuse(struct hmm_ref *ref, int err)
{
	atomic_fetch_add_explicit(&ref->map_fails, 1, memory_order_relaxed);
	return err;
}

static int ref_map(struct hmm_device *device, struct hmm_mapping *mapping)
{
	struct hmm_ref *ref = hmm_device_priv(device);
	uint64_t nth = atomic_fetch_add(&ref->maps, 1) + 1;
	int err;

	if (ref->attr.fail_map_every && nth % ref->attr.fail_map_every == 0)
		return refuse(ref, hmm_device_error(ref->attr.fail_map_error,
						    "the reference device was told to fail "
						    "this mapping (fail_map_every)"));
	mapping->addr = (uintptr_t)mapping->memory;
	mapping->key = atomic_fetch_add(&ref->next_key, 1);
	err = ref_table_reserve(&ref->table, mapping->addr, window_end(mapping));
	if (err)
		return refuse(ref, err);
	atomic_fetch_add(&ref->entries, 1);
	if (mapping->mode == HMM_MODE_STAGE)
		ref_table_add(&ref->table, mapping->addr, window_end(mapping),
			      mapping->access);
	return 0;
}

static void ref_commit(struct hmm_device *device, struct hmm_mapping *mapping)
{
	struct hmm_ref *ref = hmm_device_priv(device);

	if (mapping->mode == HMM_MODE_DIRECT)
		ref_table_add(&ref->table, mapping->addr, window_end(mapping),
			      mapping->access);
}

static void ref_revoke(struct hmm_device *device, struct hmm_mapping *mapping)
{
	struct hmm_ref *ref = hmm_device_priv(device);

	atomic_fetch_add(&ref->revokes, 1); /* before the drain: see enter_valid() */
	if (mapping->mode != HMM_MODE_DIRECT)
		return;
	ref_table_remove(&ref->table, mapping->addr, window_end(mapping), mapping->access);
	if (ref_gate_drain(&ref->gate, mapping->addr, window_end(mapping)))
		atomic_fetch_add_explicit(&ref->waits, 1, memory_order_relaxed);
}

static void ref_release(struct hmm_device *device, struct hmm_mapping *mapping)
{
	struct hmm_ref *ref = hmm_device_priv(device);

	if (mapping->mode == HMM_MODE_STAGE)
		ref_table_remove(&ref->table, mapping->addr, window_end(mapping),
				 mapping->access);
	atomic_fetch_sub(&ref->entries, 1);
}

static const struct hmm_driver_ops ref_ops = {
	.size = sizeof(ref_ops),
	.map = ref_map,
	.commit = ref_commit,
	.revoke = ref_revoke,
	.release = ref_release,
};

static int take_attr(struct hmm_ref_attr *to, const struct hmm_ref_attr *from)
{
	int err = from ? hmm_struct_take(to, sizeof(*to), from, "struct hmm_ref_attr") : 0;

	if (err)
		return err;
	if (!to->modes)
		to->modes = OFFERED;
	if (!to->fail_map_error)
		to->fail_map_error = -ENOSPC;
	if (to->modes & ~OFFERED)
		return hmm_device_error(-EINVAL,
					"hmm_ref_open: the reference device has the "
					"modes direct and stage only");
	if (to->delay_ns > 1000000000 || to->fail_map_error > 0)
		return hmm_device_error(-EINVAL,
					"hmm_ref_open: delay_ns is at most a second, "
					"fail_map_error a negative errno");
	return 0;
}

static void fill_driver(struct hmm_driver *driver, const struct hmm_ref_attr *attr)
{
	*driver = (struct hmm_driver){
		.size = sizeof(*driver),
		.abi = HMM_DRIVER_ABI,
		.name = "ref",
		.license = "GPL-2.0-or-later",
		.ops = &ref_ops,
		.max_entries = attr->max_entries,
	};
	if (attr->modes & (1u << HMM_MODE_DIRECT))
		driver->modes[driver->nr_modes++] = HMM_MODE_DIRECT;
	if (attr->modes & (1u << HMM_MODE_STAGE))
		driver->modes[driver->nr_modes++] = HMM_MODE_STAGE;
}

int hmm_ref_open(struct hmm *hmm, const struct hmm_ref_attr *attr, struct hmm_ref **out)
{
	struct hmm_ref *ref = calloc(1, sizeof(*ref));
	int err;

	if (!ref)
		return hmm_device_error(-ENOMEM, "hmm_ref_open: out of memory");
	err = take_attr(&ref->attr, attr);
	if (err)
		goto err_free;
	err = ref_access_probe();
	if (err) {
		hmm_device_error(err,
				 "hmm_ref_open: neither process_vm_readv nor a pipe can "
				 "be had: %s",
				 strerror(-err));
		goto err_free;
	}
	err = ref_table_init(&ref->table);
	if (err) {
		hmm_device_error(err, "hmm_ref_open: no memory for the page table");
		goto err_free;
	}
	fill_driver(&ref->driver, &ref->attr);
	err = hmm_device_register(hmm, &ref->driver, ref, &ref->device);
	if (err)
		goto err_fini;
	*out = ref;
	return 0;

err_fini:
	ref_table_fini(&ref->table);
err_free:
	free(ref);
	return err;
}

int hmm_ref_close(struct hmm_ref *ref)
{
	int err;

	if (!ref)
		return 0;
	err = hmm_device_unregister(ref->device);
	if (err)
		return err;
	ref_table_fini(&ref->table);
	free(ref);
	return 0;
}

struct hmm_device *hmm_ref_device(struct hmm_ref *ref)
{
	return ref->device;
}

int hmm_ref_stats(const struct hmm_ref *ref, struct hmm_ref_stats *out, size_t size)
{
	struct hmm_ref_stats now = {
		.entries = ref->entries,
		.accesses = ref->accesses,
		.faults = ref->faults,
		.maps = ref->maps - ref->map_fails,
		.map_fails = ref->map_fails,
		.revokes = ref->revokes,
		.waits = ref->waits,
	};

	hmm_struct_give(out, size, &now, sizeof(now));
	return 0;
}

int hmm_ref_features(struct hmm_feature *features, unsigned int max, size_t size)
{
	struct hmm_feature f = {.group = "driver", .name = "ref", .state = HMM_FEATURE_ON};
	int err = ref_access_probe();

	strcpy(f.detail, "a device in software with a page table of its own; modes direct, "
			 "stage");
	if (err) {
		f.state = HMM_FEATURE_MISSING;
		strcpy(f.reason, "neither process_vm_readv(2) nor a pipe can be had");
		strcpy(f.remedy,
		       "allow it in the seccomp filter of the container or service");
	}
	if (max)
		hmm_struct_give(features, size, &f, sizeof(f));
	return 1;
}
