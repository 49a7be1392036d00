// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: is a translation that was invalidated never used again (Y4)?
 *
 * Translations are held over a change while many others are made; operations are started
 * before a change and finished after it, while their memory is somebody else's.
 */
#include "cases.h"

#include <errno.h>
#include <string.h>

#define LEN    (4 * KIT_PAGE)
#define OTHERS 200
#define HELD   4u

/* What an operation names: a key, or an address where the device has no use for keys. */
static bool has_keys(const struct hmm_translation *held, unsigned int nr)
{
	for (unsigned int i = 1; i < nr; i++)
		if (held[i].key != held[0].key)
			return true;
	return false;
}

static bool same_resource(const struct hmm_translation *a, const struct hmm_translation *b,
			  bool keys)
{
	if (a->mode != b->mode || (a->mode != HMM_MODE_PIN && a->mode != HMM_MODE_STAGE))
		return false;
	return keys ? a->key == b->key : a->addr == b->addr;
}

/* Many others come and go; none may get what the held ones still name. */
static int others_avoid(struct check_run *run, uint8_t *others,
			const struct hmm_translation *held, unsigned int nr)
{
	struct hmm_translation other;
	unsigned int j;

	for (unsigned int i = 0; i < OTHERS; i++) {
		uint8_t *at = others + i * KIT_PAGE;
		int err = hmm_translate(run->env->mirror, at, KIT_PAGE,
					HMM_READ | HMM_WRITE, &other);

		if (err)
			return check_fail(run, "translate: %d, %s", err, hmm_error());
		for (j = 0; j < nr; j++) {
			if (same_resource(&held[j], &other, has_keys(held, nr)))
				break;
		}
		hmm_translation_put(&other);
		if (j < nr)
			return check_stale(run,
					   "key %u, address %#llx was given away while it "
					   "was held",
					   other.key, (unsigned long long)other.addr);
		++*check_beat;
	}
	return 0;
}

static int hold(struct check_run *run, uint8_t *at, struct hmm_translation *held,
		unsigned int *nr)
{
	for (*nr = 0; *nr < HELD; ++*nr) {
		struct hmm_translation *t = &held[*nr];
		int err = hmm_translate(run->env->mirror, at + *nr * KIT_PAGE, KIT_PAGE,
					HMM_READ | HMM_WRITE, t);

		if (err)
			return check_fail(run, "translate: %d, %s", err, hmm_error());
		if (!hmm_translation_valid(t) && t->mode == HMM_MODE_PIN) {
			++*nr;
			return check_fail(run, "a fresh translation is not valid");
		}
	}
	return 0;
}

static int change_under(struct check_run *run, uint8_t *at, uint8_t *others,
			const struct hmm_translation *held, bool raw)
{
	const struct kit_calls *calls = kit_calls(raw ? WAY_RAW : WAY_LIBC, 0);

	calls->munmap(at, LEN);
	if (calls->mmap(at, LEN, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
		return check_fail(run, "mmap: %s", strerror(errno));
	for (unsigned int i = 0; i < HELD; i++) {
		if (hmm_translation_valid(&held[i]))
			return check_stale(run, "a translation is valid after its munmap");
	}
	if (others_avoid(run, others, held, HELD))
		return -1;
	return case_both_ways(run, at, LEN, "new memory where old translations are held");
}

static int hold_over(struct check_run *run, uint8_t *at, uint8_t *others, bool raw)
{
	struct hmm_translation held[HELD];
	unsigned int nr;
	int err = hold(run, at, held, &nr);

	if (!err)
		err = change_under(run, at, others, held, raw);
	for (unsigned int i = 0; i < nr; i++)
		hmm_translation_put(&held[i]);
	return err ? err : case_both_ways(run, at, LEN, "new memory after the put");
}

void case_hold(struct check_run *run)
{
	uint8_t *at = case_map(LEN), *others = case_map(OTHERS * KIT_PAGE);

	if (!at || !others) {
		check_fail(run, "mmap: %s", strerror(errno));
		return;
	}
	memset(others, 1, OTHERS * KIT_PAGE);
	for (int round = 0; round < 20 && !run->failed; round++)
		hold_over(run, at, others, round & 1);
	munmap(at, LEN);
	munmap(others, OTHERS * KIT_PAGE);
}

/* ---- operations in flight
 * ---------------------------------------------------------------- */

static bool may_fail_so(int rc)
{
	return rc == -EFAULT || rc == -EACCES || rc == -ESTALE;
}

static bool all_of(const uint8_t *at, size_t len, uint8_t byte)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] != byte)
			return false;
	}
	return true;
}

/* A write that is on its way while its memory becomes other memory. */
static int write_over(struct check_run *run, uint8_t *at, uint8_t *others)
{
	static uint8_t data[4 * KIT_PAGE_MAX];
	void *operation;
	int err;

	memset(at, 0x11, LEN);
	memset(others, 0x22, OTHERS * KIT_PAGE);
	memset(data, 0x33, LEN);
	err = kit_start(&run->env->use, HMM_WRITE, at, data, LEN, &operation);
	if (err)
		return check_fail(run, "start of a write: %d", err);
	munmap(at, LEN);
	if (mmap(at, LEN, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
		return check_fail(run, "mmap: %s", strerror(errno));
	memset(at, 0x44, LEN);
	/* Others use the device meanwhile, as much at a time, and whatever the operation
	 * might still name. */
	for (size_t i = 0; i < OTHERS * KIT_PAGE; i += LEN) {
		static uint8_t out[4 * KIT_PAGE_MAX];

		if (case_read(run, others + i, out, LEN) || !all_of(out, LEN, 0x22))
			return check_stale(run, "another page reads %02x", out[0]);
	}
	err = kit_finish(&run->env->use, operation);
	if (err && !may_fail_so(err))
		return check_fail(run, "finish: %d", err);
	if (!all_of(others, OTHERS * KIT_PAGE, 0x22))
		return check_stale(run,
				   "the operation wrote to memory that was never its own");
	for (size_t i = 0; i < LEN; i++) {
		if (at[i] != 0x44 && at[i] != 0x33)
			return check_stale(run, "the new memory has %02x", at[i]);
	}
	return 0;
}

/* A read that is on its way: it may give the old or the new, and nothing else. */
static int read_over(struct check_run *run, uint8_t *at)
{
	static uint8_t out[4 * KIT_PAGE_MAX];
	void *operation;
	int err;

	memset(at, 0x55, LEN);
	memset(out, 0, LEN);
	err = kit_start(&run->env->use, HMM_READ, at, out, LEN, &operation);
	if (err)
		return check_fail(run, "start of a read: %d", err);
	madvise(at, LEN, MADV_DONTNEED);
	memset(at, 0x66, LEN);
	err = kit_finish(&run->env->use, operation);
	if (err && !may_fail_so(err))
		return check_fail(run, "finish: %d", err);
	for (size_t i = 0; !err && i < LEN; i++) {
		if (out[i] != 0x55 && out[i] != 0x66)
			return check_stale(run, "the operation read %02x", out[i]);
	}
	return case_both_ways(run, at, LEN, "after an operation over a change");
}

void case_in_flight(struct check_run *run)
{
	uint8_t *at, *others;

	if (!kit_has_halves(&run->env->use)) {
		check_skip(run, "this device has no operations in two halves");
		return;
	}
	at = case_map(LEN);
	others = case_map(OTHERS * KIT_PAGE);
	if (!at || !others) {
		check_fail(run, "mmap: %s", strerror(errno));
		return;
	}
	for (int round = 0; round < 50 && !run->failed; round++) {
		if (!write_over(run, at, others))
			read_over(run, at);
	}
	munmap(at, LEN);
	munmap(others, OTHERS * KIT_PAGE);
}
