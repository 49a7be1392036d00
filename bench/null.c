/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What does the library cost by itself, with a device that does nothing? */
#include <stdlib.h>

#include "bench.h"

struct null_device {
	struct hmm_driver driver;
	struct hmm_device *device;
	struct hmm_mirror *mirror;
};

static int null_map(struct hmm_device *device, struct hmm_mapping *mapping)
{
	mapping->addr = mapping->start;
	mapping->key = 1;
	return 0;
}

static const struct hmm_driver_ops null_ops = {
	.size = sizeof(null_ops),
	.map = null_map,
};

struct null_device *null_open(struct hmm *hmm, enum hmm_mode mode)
{
	struct null_device *null = calloc(1, sizeof(*null));

	if (!null)
		die("out of memory");
	null->driver = (struct hmm_driver){
		.size = sizeof(null->driver),
		.abi = HMM_DRIVER_ABI,
		.name = "null",
		.license = "GPL-2.0-or-later",
		.ops = &null_ops,
		.modes = {mode},
		.nr_modes = 1,
	};
	check_hmm(hmm_device_register(hmm, &null->driver, null, &null->device),
		  "null device");
	check_hmm(hmm_mirror_create(null->device, NULL, &null->mirror), "mirror");
	return null;
}

struct hmm_mirror *null_mirror(struct null_device *null)
{
	return null->mirror;
}

void null_close(struct null_device *null)
{
	check_hmm(hmm_device_unregister(null->device), "closing the null device");
	free(null);
}
