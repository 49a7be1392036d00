// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: which devices are there, and how is one put to use?
 *
 * The drivers of this tree, those given with --driver, and the usual way, which is no
 * device of libhmm's and is only run when it is asked for by name.
 */
#include "suite.h"

#include <hmm/ref.h>
#include <hmm/uring.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check_device check_devices[CHECK_MAX_DEVICES];
unsigned int check_nr_devices;

static struct check_device *add(const struct hmm_check_device *table, const char *file)
{
	struct check_device *dev;

	if (check_nr_devices == CHECK_MAX_DEVICES)
		return NULL;
	dev = &check_devices[check_nr_devices++];
	*dev = (struct check_device){.table = table, .file = file};
	snprintf(dev->name, sizeof(dev->name), "%s", table->name);
	return dev;
}

/* A device that can stage is checked with nothing but staging, too. */
static bool add_all(const struct hmm_check_device *table, const char *file)
{
	const uint32_t stage = 1u << HMM_MODE_STAGE;
	struct check_device *dev = add(table, file);

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

void check_devices_init(void)
{
	struct check_device *dev;

	if (check_nr_devices)
		return;
	add_all(&hmm_ref_check, NULL);
	add_all(&hmm_uring_check, NULL);
	dev = add(&check_usual, NULL);
	dev->usual = true;
	dev->hidden = true;
}

/* A shorter table of an older driver is read as if the rest were NULL. */
static const struct hmm_check_device *completed(const struct hmm_check_device *table)
{
	static struct hmm_check_device full[CHECK_MAX_DEVICES];
	static unsigned int nr;

	if (table->size >= sizeof(*table) || nr == CHECK_MAX_DEVICES)
		return table;
	memcpy(&full[nr], table, table->size);
	return &full[nr++];
}

int check_device_load(const char *file, char *error, size_t size)
{
	const struct hmm_check_device *table = NULL;
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	if (handle)
		table = dlsym(handle, "hmm_check_device");
	if (!table) {
		snprintf(error, size, "%s is no driver that can be checked: %s", file,
			 dlerror());
		return -ENOEXEC;
	}
	table = completed(table);
	if (!table->name || !table->open || !table->close || !table->read ||
	    !table->write) {
		snprintf(error, size,
			 "%s: its hmm_check_device lacks name, open, close, read or write",
			 file);
		return -EINVAL;
	}
	if (!add_all(table, file)) {
		snprintf(error, size, "%s: at most %d devices", file, CHECK_MAX_DEVICES);
		return -ENOSPC;
	}
	return 0;
}

/* ---- in use
 * ------------------------------------------------------------------------------ */

/* Is this source of changes in use? */
static bool source_on(const char *name)
{
	struct hmm_feature features[64];
	int nr = hmm_features(features, 64);

	for (int i = 0; i < nr && i < 64; i++) {
		if (!strcmp(features[i].group, "source") && !strcmp(features[i].name, name))
			return features[i].state == HMM_FEATURE_ON;
	}
	return false;
}

static int open_usual(struct check_env *env)
{
	return env->dev->table->open(NULL, &env->device, &env->context);
}

int check_env_open(struct check_env *env, const struct check_device *dev,
		   const struct hmm_attr *attr, const struct hmm_mirror_attr *mattr)
{
	struct hmm_mirror_attr only = {.size = sizeof(only)};
	struct hmm_attr how = {.size = sizeof(how)};
	int err;

	memset(env, 0, sizeof(*env));
	env->dev = dev;
	if (mattr)
		only = *mattr;
	if (dev->modes)
		only.modes = dev->modes;
	if (dev->usual)
		return open_usual(env);
	if (attr)
		how = *attr;
	if (check_options.no_perf)
		how.flags |= HMM_NO_PERF;
	err = hmm_open(&how, &env->hmm);
	if (err)
		return err;
	env->perf = source_on("perf") && !(how.flags & HMM_NO_PERF);
	env->watched = source_on("userfaultfd");
	err = dev->table->open(env->hmm, &env->device, &env->context);
	if (err)
		goto err_close_hmm;
	err = hmm_mirror_create(env->device, &only, &env->mirror);
	if (err)
		goto err_close_device;
	return 0;

err_close_device:
	dev->table->close(env->context);
err_close_hmm:
	hmm_close(env->hmm);
	env->hmm = NULL;
	return err;
}

int check_env_close(struct check_env *env)
{
	int err = 0, err2;

	if (env->mirror)
		err = hmm_mirror_destroy(env->mirror);
	err2 = env->dev->table->close(env->context);
	hmm_close(env->hmm);
	env->hmm = NULL;
	env->mirror = NULL;
	return err ? err : err2;
}

int check_env_reset(struct check_env *env)
{
	if (!env->dev->usual)
		return 0;
	env->dev->table->close(env->context);
	return open_usual(env);
}
