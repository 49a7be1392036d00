/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How does a driver's device join and leave? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"

static int op_map_missing(struct hmm_device *device, struct hmm_mapping *mapping)
{
	return -EOPNOTSUPP;
}

static void op_nothing(struct hmm_device *device, struct hmm_mapping *mapping)
{
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
}

static bool gpl_compatible(const char *license)
{
	static const char *const good[] = {
		"GPL",
		"GPL-2.0",
		"GPL-2.0-only",
		"GPL-2.0-or-later",
		"GPL-3.0",
		"GPL-3.0-only",
		"GPL-3.0-or-later",
		"LGPL-2.1-only",
		"Dual MIT/GPL",
		"LGPL-2.1-or-later",
		"Dual BSD/GPL",
		"MIT OR GPL-2.0-or-later",
		"MIT",
		"BSD-2-Clause",
		"BSD-3-Clause",
		"GPL v2",
	};

	for (size_t i = 0; license && i < sizeof(good) / sizeof(good[0]); i++)
		if (!strcmp(license, good[i]))
			return true;
	return false;
}

static int check_driver(const struct hmm_driver *driver)
{
	if (!driver || driver->size != sizeof(*driver) || !driver->name || !driver->ops ||
	    driver->ops->size < offsetof(struct hmm_driver_ops, commit) ||
	    !driver->nr_modes || driver->nr_modes > HMM_MODES)
		return core_error(-EINVAL,
				  "a malformed driver table: check size, name, ops, "
				  "ops->size and nr_modes");
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
	if (!gpl_compatible(driver->license))
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

	if (!device || core_dead(device->hmm))
		return 0;
	err = hmm_mirror_destroy(device->mirror);
	if (err)
		return err;
	hmm_close(device->hmm);
	free(device);
	return 0;
}

/* ---- structures that grow --------------------------------------------------------- */

#define STRUCT_MAX 4096 /* bytes; a larger size was never set */

static bool all_zero(const unsigned char *at, const unsigned char *end)
{
	while (at < end && !*at)
		at++;
	return at >= end;
}

int core_struct_take(void *to, size_t size, const void *from, const char *name)
{
	size_t given;

	memcpy(&given, from, sizeof(given));
	if (given < sizeof(given) || given > STRUCT_MAX)
		return core_error(-EINVAL,
				  "%s: its size is %zu: zero it and set size to "
				  "sizeof(%s)",
				  name, given, name);
	if (given > size && !all_zero((const unsigned char *)from + size,
				      (const unsigned char *)from + given))
		return core_error(-E2BIG,
				  "%s of %zu bytes asks for what this library (%s) "
				  "does not know: use a newer one",
				  name, given, hmm_version());
	memset(to, 0, size);
	memcpy(to, from, given < size ? given : size);
	memcpy(to, &size, sizeof(size));
	return 0;
}

void core_struct_give(void *to, size_t room, const void *from, size_t size)
{
	memcpy(to, from, room < size ? room : size);
	if (room > size)
		memset((char *)to + size, 0, room - size);
}

int hmm_struct_take(void *to, size_t size, const void *from, const char *name)
{
	return core_struct_take(to, size, from, name);
}

void hmm_struct_give(void *to, size_t room, const void *from, size_t size)
{
	core_struct_give(to, room, from, size);
}

void *hmm_device_priv(const struct hmm_device *device)
{
	return device->priv;
}

struct hmm_mirror *hmm_device_mirror(const struct hmm_device *device)
{
	return atomic_load_explicit(&device->mirror, memory_order_acquire);
}
