// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: which devices are there?
 *
 * The drivers of this tree, those that were loaded, and the usual way, which is no device
 * of libhmm's and is used only where it is asked for by name.
 */
#include "kit.h"

#include "driver_list.h" /* the drivers of this tree: drivers/meson.build */

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Each has these two in its header. */
#define DRIVER(name)                                             \
	extern const struct hmm_check_device hmm_##name##_check; \
	int hmm_##name##_features(struct hmm_feature *, unsigned int, size_t);
HMM_DRIVERS
#undef DRIVER

const kit_features_fn kit_driver_features[] = {
#define DRIVER(name) hmm_##name##_features,
	HMM_DRIVERS
#undef DRIVER
		NULL,
};

struct kit_device kit_devices[KIT_MAX_DEVICES];
unsigned int kit_nr_devices;

static struct kit_device *add(const struct hmm_check_device *table, const char *file)
{
	struct kit_device *dev;

	if (kit_nr_devices == KIT_MAX_DEVICES)
		return NULL;
	dev = &kit_devices[kit_nr_devices++];
	*dev = (struct kit_device){.table = table, .file = file};
	snprintf(dev->name, sizeof(dev->name), "%s", table->name);
	return dev;
}

/* A device that can stage is checked with nothing but staging, too. */
static bool add_all(const struct hmm_check_device *table, const char *file)
{
	const uint32_t stage = 1u << HMM_MODE_STAGE;
	struct kit_device *dev = add(table, file);

	if (!dev)
		return false;
	if (!(table->modes & stage) || table->modes == stage)
		return true;
	dev = add(table, file);
	if (!dev)
		return false;
	dev->modes = stage;
	snprintf(dev->name, sizeof(dev->name), "%s-stage", table->name);
	return true;
}

void kit_devices_init(void)
{
	struct kit_device *dev;

	if (kit_nr_devices)
		return;
#define DRIVER(name) add_all(&hmm_##name##_check, NULL);
	HMM_DRIVERS
#undef DRIVER
	dev = add(&kit_register_once, NULL);
	dev->usual = true;
	dev->hidden = true;
}

/* A shorter table of an older driver is read as if the rest were NULL. */
static const struct hmm_check_device *completed(const struct hmm_check_device *table)
{
	static struct hmm_check_device full[KIT_MAX_DEVICES];
	static unsigned int nr;

	if (table->size >= sizeof(*table) || nr == KIT_MAX_DEVICES)
		return table;
	memcpy(&full[nr], table, table->size);
	return &full[nr++];
}

static int load_one(const char *file, const struct hmm_check_device *table, char *error,
		    size_t size)
{
	if (!table->name || !table->open || !table->close ||
	    (!table->move && (!table->read || !table->write))) {
		snprintf(error, size,
			 "%s: its hmm_check_device lacks name, open, close, or both move "
			 "and read with write",
			 file);
		return -EINVAL;
	}
	if (!add_all(table, file)) {
		snprintf(error, size, "%s: at most %d devices", file, KIT_MAX_DEVICES);
		return -ENOSPC;
	}
	return 0;
}

int kit_device_load(const char *file, char *error, size_t size)
{
	const struct hmm_check_device *table = NULL;
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	int err = 0;

	if (handle)
		table = dlsym(handle, "hmm_check_device");
	if (!table) {
		snprintf(error, size, "%s is no driver that can be checked: %s", file,
			 dlerror());
		return -ENOEXEC;
	}
	for (; table && !err; table = table->next) {
		table = completed(table);
		err = load_one(file, table, error, size);
	}
	return err;
}
