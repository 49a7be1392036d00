/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How does a driver's device join and leave? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "util/arena.h"
#include "util/own.h"

static int op_map_missing(struct hmm_device *device, struct hmm_mapping *mapping)
{
	return -EOPNOTSUPP;
}

static void op_nothing(struct hmm_device *device, struct hmm_mapping *mapping)
{
}

/* Bounce buffers are the library's own memory where a driver has none. */
static int op_stage_alloc(struct hmm_device *device, uint64_t size, void **memory)
{
	int err = 0;

	*memory = arena_reserve(size, &err);
	return *memory ? 0 : err;
}

static void op_stage_free(struct hmm_device *device, void *memory, uint64_t size)
{
	arena_free(memory, size);
}

/* A shorter table comes from an older driver: what it lacks is filled in. */
static void take_ops(struct hmm_device *device)
{
	const struct hmm_driver_ops *ops = device->driver->ops;
	size_t size = ops->size < sizeof(*ops) ? ops->size : sizeof(*ops);

	memcpy(&device->ops, ops, size);
	if (!device->ops.map)
		device->ops.map = op_map_missing;
	if (!device->ops.commit)
		device->ops.commit = op_nothing;
	if (!device->ops.revoke)
		device->ops.revoke = op_nothing;
	if (!device->ops.stage_alloc || !device->ops.stage_free) {
		device->ops.stage_alloc = op_stage_alloc;
		device->ops.stage_free = op_stage_free;
	}
}

static int check_driver(const struct hmm_driver *driver)
{
	if (!driver || driver->size != sizeof(*driver) || !driver->name || !driver->ops ||
	    driver->ops->size < offsetof(struct hmm_driver_ops, commit) ||
	    !driver->nr_modes || driver->nr_modes > HMM_MODES)
		return core_error(-EINVAL,
				  "a malformed driver table: check size, name, ops, "
				  "ops->size and nr_modes");
	if (driver->max_map % page_size() || driver->max_direct % page_size())
		return core_error(
			-EINVAL,
			"driver %s: max_map %llu and max_direct %llu are in bytes, "
			"and have to be whole pages of %zu",
			driver->name, (unsigned long long)driver->max_map,
			(unsigned long long)driver->max_direct, page_size());
	if (driver->abi != HMM_DRIVER_ABI)
		return core_error(
			-EPROTO,
			"driver %s was built for driver ABI %u, this library has %u: "
			"build it again",
			driver->name, driver->abi, HMM_DRIVER_ABI);
	for (unsigned int i = 0; i < driver->nr_modes; i++)
		if ((unsigned int)driver->modes[i] >= HMM_MODES)
			return core_error(-EINVAL, "driver %s offers an unknown mode %d",
					  driver->name, (int)driver->modes[i]);
	if (!licence_gpl_compatible(driver->license))
		return core_error(
			-EPERM,
			"driver %s declares the licence \"%s\", which is not known to "
			"be GPL-compatible: the driver API is for such drivers only",
			driver->name, driver->license ? driver->license : "");
	return 0;
}

int hmm_device_register(struct hmm *hmm, const struct hmm_driver *driver, void *priv,
			struct hmm_device **out)
{
	struct hmm_device *device;
	int err;

	if (!hmm || !out)
		return core_error(-EINVAL,
				  "hmm_device_register: no struct hmm, or nowhere to "
				  "put the device");
	if (core_dead(hmm))
		return core_error(-ECHILD,
				  "hmm_device_register: the struct hmm is the parent's");
	err = check_driver(driver);
	if (err)
		return err;
	device = calloc(1, sizeof(*device));
	if (!device)
		return core_error(-ENOMEM, "hmm_device_register: out of memory");
	device->hmm = hmm_get(hmm);
	device->driver = driver;
	device->priv = priv;
	take_ops(device);
	err = mirror_make_default(device);
	if (err) {
		hmm_close(device->hmm);
		free(device);
		return err;
	}
	*out = device;
	return 0;
}

int hmm_device_unregister(struct hmm_device *device)
{
	int err;

	if (!device)
		return 0;
	if (core_dead(device->hmm))
		return core_error(-ECHILD,
				  "device %s is in use by the parent of this process",
				  device->driver->name);
	err = hmm_mirror_destroy(device->mirror);
	if (err)
		return err;
	hmm_close(device->hmm);
	free(device);
	return 0;
}

void *hmm_device_priv(const struct hmm_device *device)
{
	return device->priv;
}

struct hmm_mirror *hmm_device_mirror(const struct hmm_device *device)
{
	return atomic_load_explicit(&device->mirror, memory_order_acquire);
}

/* A driver keeps its descriptors as the library its own. */
int hmm_fd_keep(int fd)
{
	return own_take(fd);
}

int hmm_fd(int handle)
{
	return own_fd(handle);
}

void hmm_fd_drop(int handle)
{
	own_put(handle);
}
