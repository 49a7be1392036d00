// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: does the device see what the CPU sees, after this change of this memory?
 *
 * One cell is run in several variants: the change hits all of the region or some pages of
 * it; the device looks between the change and the memory's return, or only after both;
 * it reads first or writes first; and it begins at another offset each time. In each the
 * device has used the memory before, so that there is something to go stale.
 */
#include "suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define V_MIDDLE   1u /* some pages, else all */
#define V_STRAIGHT 2u /* no look between apply and restore */
#define V_WRITE    4u /* the first use after the change is a write */
#define VARIANTS   8u

#define MAX_LEN KIT_MAX_LEN
#define PROBES  9

struct probe {
	size_t offset, len;
};

/* All that a change of [lo, hi) may get wrong has an access that would show it. */
static unsigned int make_probes(const struct check_run *run, struct probe *probes)
{
	size_t lo = run->act.lo, hi = run->act.hi, len = run->r.len;
	bool large = len > 64 * KIT_PAGE;
	unsigned int nr = 0;

	probes[nr++] = (struct probe){lo + 1, 3};
	if (!large)
		probes[nr++] = (struct probe){lo, hi - lo};
	probes[nr++] = (struct probe){lo + KIT_PAGE - 7, 14};
	if (hi + 5 <= len)
		probes[nr++] = (struct probe){hi - 5, 10};
	if (lo >= 7)
		probes[nr++] = (struct probe){lo - 7, 14};
	if (lo + 513 + 2 * KIT_PAGE + 1 <= len)
		probes[nr++] = (struct probe){lo + 513, 2 * KIT_PAGE + 1};
	probes[nr++] = (struct probe){hi - 1, 1};
	probes[nr++] = (struct probe){hi - KIT_PAGE, KIT_PAGE};
	if (!large)
		probes[nr++] = (struct probe){0, len};
	return nr;
}

/* Use the device in both directions, everywhere. */
static int look(struct check_run *run, unsigned int variant)
{
	struct probe probes[PROBES];
	unsigned int nr = make_probes(run, probes);
	unsigned int first = variant % nr;
	bool write = variant & V_WRITE;

	for (unsigned int i = 0; i < nr; i++) {
		const struct probe *p = &probes[(first + i) % nr];

		for (int both = 0; both < 2; both++, write = !write) {
			int err = write ? device_write(run, p->offset, p->len)
					: device_read(run, p->offset, p->len);

			if (err)
				return err;
		}
	}
	return cpu_verify(run, 0, run->r.len);
}

/* Memory like in a running program: written by the CPU, and known to the device. */
static int establish(struct check_run *run, unsigned int variant)
{
	struct kit_region *r = &run->r;
	bool write = r->kind->traits & T_WRITE;

	run->step = "before the change";
	kit_state_set(&run->r, 0, r->len, write ? PAGE_RW : PAGE_RO);
	if (write && model_paint(run, 0, r->len))
		return -1;
	/* Whoever registers memory at its first use registers all of it here. */
	if (device_read(run, 0, r->len) || (write && device_write(run, 0, r->len)))
		return -1;
	return look(run, variant);
}

static void choose_range(struct check_run *run, const struct kit_change *change,
			 unsigned int variant)
{
	size_t len = run->r.len, page = run->r.page;
	size_t half = len / 2 / page * page;

	run->act.lo = 0;
	run->act.hi = len;
	if (change->flags & C_TAIL) {
		run->act.lo = (variant & V_MIDDLE) || (change->flags & C_WHOLE) ? half : 0;
	} else if ((variant & V_MIDDLE) && !(change->flags & C_WHOLE)) {
		run->act.lo = page < half ? 4 * page : half;
		run->act.hi = page < half ? 11 * page : len;
		if (run->act.hi > len) {
			run->act.lo = half;
			run->act.hi = len;
		}
	}
}

/* What the kit could not do is a skip; what others see wrong is a failure like ours. */
static int verdict_of(struct check_run *run, int err)
{
	if (err == -EOPNOTSUPP)
		return check_skip(run, "%s", run->act.reason);
	if (err == -EILSEQ)
		return check_stale(run, "%s", run->act.reason);
	return check_fail(run, "%s", run->act.reason);
}

/* The CPU writes what no one can know otherwise. */
static int paint(struct check_run *run)
{
	struct kit_act *act = &run->act;

	if (!kit_effect_paints(&run->r, &act->effect))
		return 0;
	return model_paint(run, act->lo, act->hi);
}

static int apply(struct check_run *run, const struct kit_change *change)
{
	struct hmm_range range;
	uint64_t records;
	int err;

	if ((change->flags & C_TOLD) && told_before(run, &range))
		return -1;
	records = check_records(run->env);
	err = kit_apply(&run->act, change);
	if (err)
		return verdict_of(run, err);
	if (change->limit >= 2) /* what only a record tells of, where it is raw */
		check_wait_for_record(run->env, records);
	if ((change->flags & C_TOLD) && told_after(run, &range))
		return -1;
	return paint(run);
}

/* The memory that a change moved is used by the device where it is now. */
static int look_where_moved(struct check_run *run)
{
	uint8_t *at = run->act.moved, *end;
	bool write = run->r.kind->traits & T_WRITE;
	bool shared = run->r.kind->traits & T_SHARED;
	uint64_t word = 0, seen = 0;
	int rc;

	/* Shared memory at both addresses: there is no more to be told apart. */
	if (!at || (shared && run->act.effect.access == KIT_SAME))
		return 0;
	end = at + run->act.moved_len;
	kit_stamp_fill((uint8_t *)&word, 0, 8, kit_stamp_next());
	if (write && guarded_write(end - 8, &word, 8))
		return check_fail(run, "the CPU cannot write where the memory moved to");
	if (!write)
		memcpy(&word, end - 8, 8);
	rc = kit_read(&run->env->use, end - 8, &seen, 8);
	if (rc || seen != word)
		return check_stale(run,
				   "device read of the moved memory: %d, %llx, not %llx",
				   rc, (unsigned long long)seen, (unsigned long long)word);
	if (!write)
		return 0;
	kit_stamp_fill((uint8_t *)&word, 0, 8, kit_stamp_next());
	rc = kit_write(&run->env->use, at + 1, &word, 8);
	if (rc || memcmp(at + 1, &word, 8))
		return check_stale(run, "device write to the moved memory: %d, not seen",
				   rc);
	return 0;
}

static int restore(struct check_run *run, const struct kit_change *change)
{
	int err;

	if (look_where_moved(run))
		return -1;
	err = kit_restore(&run->act, change);
	return err ? verdict_of(run, err) : paint(run);
}

static int change_and_look(struct check_run *run, const struct kit_change *change,
			   unsigned int variant)
{
	bool straight = (variant & V_STRAIGHT) || (change->flags & C_STRAIGHT);

	run->step = "after the change";
	if (apply(run, change))
		return -1;
	if (!(straight && change->restore) && look(run, variant))
		return -1;
	if (!change->restore)
		return 0;
	run->step = straight ? "after the change and back" : "when the memory was back";
	if (restore(run, change))
		return -1;
	return look(run, variant);
}

/*
 * The contract says that this change may go unseen. Then the device still reaches the old
 * pages, and hmm_invalidate() is all it takes to put it right: no more than that.
 */
static void accept_limit(struct check_run *run, unsigned int limit)
{
	struct kit_region *r = &run->r;
	struct check_result first = *run->result;
	int err = hmm_invalidate(run->env->hmm, r->addr, r->len);

	run->failed = false;
	run->stale = false;
	run->step = "after hmm_invalidate";
	for (size_t i = 0; i < r->len / KIT_PAGE; i++) {
		if (r->state[i] != PAGE_SEGV && r->state[i] != PAGE_BUS)
			guarded_read(r->shadow + i * KIT_PAGE, r->addr + i * KIT_PAGE,
				     KIT_PAGE);
	}
	if (err) {
		check_fail(run, "%s", hmm_error());
	} else if (!look(run, 0)) {
		*run->result = first;
		check_limit(run, (unsigned int)limit);
	}
}

static void run_variant(struct check_run *run, const struct check_cell *cell,
			unsigned int variant)
{
	const struct kit_change *change = &kit_changes[cell->change];
	static uint8_t buf[MAX_LEN];
	unsigned int limit;

	run->buf = buf;
	run->act = (struct kit_act){.r = &run->r,
				    .way = cell->way,
				    .calls = kit_calls(cell->way, variant),
				    .pipe = {-1, -1}};
	if (check_env_reset(run->env)) {
		check_fail(run, "the device does not open again");
		return;
	}
	if (kit_region_open(&run->r, &kit_kinds[cell->kind])) {
		check_skip(run, "%s", run->r.reason);
		return;
	}
	choose_range(run, change, variant);
	if (!establish(run, variant))
		change_and_look(run, change, variant);
	limit = limit_of(run->env, change, cell->way);
	if (run->failed && run->stale && limit)
		accept_limit(run, limit);
	if (change->cleanup)
		change->cleanup(&run->act);
	run->r.kind->unmake(&run->r);
}

static bool repeats(const struct kit_change *change, unsigned int variant)
{
	/* Variants that would do the same again. */
	if ((variant & V_MIDDLE) && (change->flags & C_WHOLE))
		return true;
	return (variant & V_STRAIGHT) && (!change->restore || (change->flags & C_STRAIGHT));
}

/* Of the variants that there are, the first and the one that differs most from it. */
static bool skip_for_brevity(const struct kit_change *change, unsigned int variant)
{
	unsigned int last = VARIANTS - 1;

	while (repeats(change, last))
		last--;
	return check_options.brief && variant && variant != last;
}

void check_cell_run(struct check_env *env, const struct check_cell *cell)
{
	const struct kit_change *change = &kit_changes[cell->change];
	struct check_result *result = cell->result, skipped = {0}, limited = {0};
	unsigned int passed = 0;

	for (unsigned int variant = 0; variant < VARIANTS; variant++) {
		struct check_run run = {0};

		if (repeats(change, variant) || skip_for_brevity(change, variant))
			continue;
		for (int attempt = 0; attempt < 3; attempt++) {
			run = (struct check_run){.env = env, .result = result};
			run_variant(&run, cell, variant);
			if (!run.unreadable_ok)
				break;
		}
		if (!run.failed)
			passed++;
		else if (result->status == CHECK_FAIL)
			return;
		else if (result->status == CHECK_LIMIT)
			limited = *result;
		else
			skipped = *result;
		memset(result, 0, sizeof(*result));
	}
	*result = limited.status ? limited : skipped;
	if (passed && !limited.status)
		result->status = CHECK_PASS;
}
