// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what does a device reach by an address and a key that are no longer, or
 * never were, good for it (Y4, Y5)?
 *
 * A program that keeps them, or makes them up, is broken; the device has to stand it. This
 * is where a revoke or a release that does nothing shows, and a map that gives too much.
 */
#include "cases.h"

#include <errno.h>
#include <string.h>

#define LEN (4 * KIT_PAGE)
#define OLD 0x77
#define NEW 0x88

static int get(struct check_run *run, uint8_t *at, unsigned int access,
	       struct hmm_translation *t)
{
	int err = hmm_translate(run->env->mirror, at, LEN, access, t);

	return err ? check_fail(run, "translate: %d, %s", err, hmm_error()) : 0;
}

static int move_by(struct check_run *run, const struct hmm_translation *t,
		   unsigned int access, uint8_t *buffer)
{
	++*check_beat;
	return kit_move(&run->env->use, t->addr, t->key, access, buffer, LEN);
}

/* Nothing is read, and nothing is written, in memory that holds NEW. */
static int reaches_nothing(struct check_run *run, const struct hmm_translation *t,
			   const uint8_t *at, const char *when)
{
	uint8_t buffer[4 * KIT_PAGE_MAX];

	memset(buffer, OLD, LEN);
	if (!move_by(run, t, HMM_WRITE, buffer))
		return check_stale(run, "%s the device writes by its old address", when);
	for (size_t i = 0; i < LEN; i++)
		if (at[i] != NEW)
			return check_stale(
				run, "%s a write by an old address reached memory", when);
	if (!move_by(run, t, HMM_READ, buffer))
		return check_stale(run, "%s the device reads by its old address", when);
	return 0;
}

/*
 * It is held, so that its key is nobody else's, and only revoke keeps the device away. A
 * bounce buffer stays the device's until its mirror ends. After a raw call the revoke may
 * be on its way: who asks whether a translation is valid waits for it.
 */
static int after_a_change(struct check_run *run, uint8_t *at, bool raw)
{
	const struct kit_calls *calls = kit_calls(raw ? WAY_RAW : WAY_LIBC, 0);
	struct hmm_translation t;
	int err = 0;

	memset(at, OLD, LEN);
	if (get(run, at, HMM_READ | HMM_WRITE, &t))
		return -1;
	calls->munmap(at, LEN);
	if (calls->mmap(at, LEN, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
		err = check_fail(run, "mmap: %s", strerror(errno));
	else if (hmm_translation_valid(&t))
		err = check_stale(run, "a translation is valid after its munmap");
	else if (t.mode != HMM_MODE_STAGE) {
		memset(at, NEW, LEN);
		err = reaches_nothing(run, &t, at, "after munmap");
	}
	hmm_translation_put_moved(&t, 0);
	return err;
}

static int without_permission(struct check_run *run, uint8_t *at)
{
	uint8_t buffer[4 * KIT_PAGE_MAX];
	struct hmm_translation t;
	int err = -EACCES;

	memset(at, OLD, LEN);
	memset(buffer, NEW, LEN);
	mprotect(at, LEN, PROT_READ);
	if (get(run, at, HMM_READ, &t))
		return -1;
	if (t.mode != HMM_MODE_STAGE)
		err = move_by(run, &t, HMM_WRITE, buffer);
	hmm_translation_put(&t);
	if (!err || at[0] != OLD || at[LEN - 1] != OLD)
		return check_stale(run, "the device writes memory that is read-only");
	mprotect(at, LEN, PROT_READ | PROT_WRITE);
	return 0;
}

static int after_the_end(struct check_run *run, uint8_t *at)
{
	struct hmm_translation t;
	int err;

	memset(at, NEW, LEN);
	if (get(run, at, HMM_READ | HMM_WRITE, &t))
		return -1;
	hmm_translation_put_moved(&t, 0);
	err = hmm_mirror_destroy(run->env->mirror);
	run->env->mirror = NULL;
	if (err)
		return check_fail(run, "the mirror's end: %d, %s", err, hmm_error());
	return reaches_nothing(run, &t, at, "after its mirror has ended");
}

void case_old_address(struct check_run *run)
{
	int err = check_env_open(run->env, run->env->dev, NULL, NULL);
	uint8_t *at = case_map(LEN);

	if (err || !at) {
		check_fail(run, "open: %d, %s", err, hmm_error());
		return;
	}
	if (!kit_has_move(&run->env->use)) {
		check_skip(run, "this device has no access by address and key (move)");
	} else {
		for (int round = 0; round < 20 && !run->failed; round++)
			after_a_change(run, at, round & 1);
		if (!run->failed && !without_permission(run, at))
			after_the_end(run, at);
	}
	munmap(at, LEN);
	if (check_env_close(run->env))
		check_fail(run, "close: %s", hmm_error());
}
