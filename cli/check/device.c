// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: how is a device of the kit's put to use, with a mirror of its own?
 */
#include "suite.h"

#include <string.h>
#include <time.h>

#define LATE_MS 1000 /* docs/contract.md: by then the record has been read */

/* Is this source of changes in use? */
static bool source_on(const char *name)
{
	struct hmm_feature features[64];
	int nr = hmm_features(features, 64, sizeof(*features));

	for (int i = 0; i < nr && i < 64; i++) {
		if (!strcmp(features[i].group, "source") && !strcmp(features[i].name, name))
			return features[i].state == HMM_FEATURE_ON;
	}
	return false;
}

uint64_t check_records(const struct check_env *env)
{
	struct hmm_stats stats = {0};

	if (env->late)
		hmm_stats_read(env->hmm, NULL, &stats, sizeof(stats));
	return stats.perf_records;
}

/* A call that changed nothing has no record: whatever the device does then is judged. */
void check_wait_for_record(const struct check_env *env, uint64_t before)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (int i = 0; env->late && i < LATE_MS && check_records(env) == before; i++)
		nanosleep(&pause, NULL);
}

static int open_usual(struct check_env *env)
{
	return kit_device_open(env->dev, NULL, &env->use);
}

int check_env_open(struct check_env *env, const struct kit_device *dev,
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
	env->late = env->perf && !source_on("perf-at-once");
	env->watched = source_on("userfaultfd");
	env->any = env->watched && source_on("userfaultfd-any");
	err = kit_device_open(dev, env->hmm, &env->use);
	if (err)
		goto err_close_hmm;
	err = hmm_mirror_create(env->use.device, &only, &env->mirror);
	if (err)
		goto err_close_device;
	return 0;

err_close_device:
	kit_device_close(&env->use);
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
	err2 = kit_device_close(&env->use);
	hmm_close(env->hmm);
	env->hmm = NULL;
	env->mirror = NULL;
	return err ? err : err2;
}

int check_env_reset(struct check_env *env)
{
	if (!env->dev->usual)
		return 0;
	kit_device_close(&env->use);
	return open_usual(env);
}
