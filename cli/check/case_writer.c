// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: is what was written last still there when the memory was let go and the
 * kernel took what it may (Y1)?
 *
 * A page that a device wrote through a pin may look unwritten to the kernel. So each kind
 * of memory is written last by the CPU, by the device in each of its modes, or by the
 * kernel (read(2) into it); then the library lets it go, and the kernel is asked to reclaim
 * it (to swap, where there is some), to make huge pages of it, to share it with a child, to
 * move it to another node, or is short of memory. Before the write the page was an ordinary
 * one, was given up by MADV_FREE, which the write undoes, or had come back from where the
 * kernel had put it.
 */
#include "cases.h"

#include "../../kit/squeeze.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define QUIESCE_MS 5000

/* ---- who writes ---------------------------------------------------------------------- */

static int by_cpu(struct check_run *run)
{
	return guarded_write(run->r.addr, run->r.shadow, run->r.len) ? -EFAULT : 0;
}

static int by_device(struct check_run *run)
{
	return case_write(run, run->r.addr, run->r.shadow, run->r.len);
}

static int by_kernel(struct check_run *run)
{
	int fd = memfd_create("hmm-check-writer", MFD_CLOEXEC);
	ssize_t len = (ssize_t)run->r.len;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (pwrite(fd, run->r.shadow, run->r.len, 0) != len ||
	    pread(fd, run->r.addr, run->r.len, 0) != len)
		err = -EIO;
	close(fd);
	return err;
}

static const struct {
	const char *name;
	int (*write)(struct check_run *run);
} writers[] = {{"the CPU", by_cpu}, {"the device", by_device}, {"the kernel", by_kernel}};

/* ---- what the kernel does with what was let go ----------------------------------------
 */

static bool reclaim(const struct kit_region *r)
{
	madvise(r->addr, r->len, MADV_PAGEOUT);
	return true;
}

static bool collapse(const struct kit_region *r)
{
	madvise(r->addr, r->len, MADV_COLLAPSE);
	return true;
}

static bool share(const struct kit_region *r)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	reclaim(r);
	if (child > 0)
		waitpid(child, NULL, 0);
	return child > 0;
}

static bool migrate(const struct kit_region *r)
{
	return kit_migrate(r->addr, r->len);
}

static bool squeeze(const struct kit_region *r)
{
	return kit_squeeze();
}

static const struct {
	const char *name;
	bool (*take)(const struct kit_region *r); /* false: not here */
} takers[] = {{"MADV_PAGEOUT", reclaim},
	      {"MADV_COLLAPSE", collapse},
	      {"fork", share},
	      {"migration", migrate},
	      {"memory pressure", squeeze}};

#define WRITERS (sizeof(writers) / sizeof(writers[0]))
#define TAKERS  (sizeof(takers) / sizeof(takers[0]))

/* ---- what the page was before ----------------------------------------------------------
 */

enum before { ORDINARY, FREED, BACK, BEFORES };

static const char *const before_names[] = {"last", "over MADV_FREE", "when it was back"};

static int let_go(struct check_run *run)
{
	if (hmm_invalidate(run->env->hmm, run->r.addr, run->r.len) ||
	    hmm_quiesce(run->env->hmm, QUIESCE_MS))
		return check_fail(run, "letting go: %s", hmm_error());
	return 0;
}

/* 1: there is no such thing for this kind of memory. */
static int prepare(struct check_run *run, enum before before)
{
	struct kit_region *r = &run->r;

	/* What was never translated when it was freed is pinned by the device's write. */
	memset(r->shadow, 0x5a, r->len);
	if (by_cpu(run) || (before == ORDINARY && by_device(run)))
		return check_fail(run, "%s cannot be written: %s", r->kind->name,
				  hmm_error());
	if (before == FREED)
		return madvise(r->addr, r->len, MADV_FREE) ? 1 : 0;
	if (before == BACK) {
		reclaim(r);
		for (size_t i = 0; i < r->len; i += KIT_PAGE)
			guarded_read(r->shadow + i, r->addr + i, 1);
	}
	return 0;
}

/* ---- rounds ----------------------------------------------------------------------------
 */

struct tally {
	unsigned int rounds, by_taker[TAKERS], kinds, refused;
};

static int compare(struct check_run *run, size_t writer, size_t taker, enum before before)
{
	const struct kit_region *r = &run->r;
	unsigned int lost = 0, pages = (unsigned int)(r->len / KIT_PAGE);

	for (unsigned int i = 0; i < pages; i++)
		lost += memcmp(r->addr + i * KIT_PAGE, r->shadow + i * KIT_PAGE,
			       KIT_PAGE) != 0;
	if (!lost)
		return 0;
	return check_stale(run, "%s: %u of %u pages lost what %s wrote %s, after %s",
			   r->kind->name, lost, pages, writers[writer].name,
			   before_names[before], takers[taker].name);
}

static int round_of(struct check_run *run, size_t writer, size_t taker, enum before before,
		    struct tally *tally)
{
	struct kit_region *r = &run->r;
	int err = prepare(run, before);

	if (err)
		return err < 0 ? err : 0;
	kit_stamp_fill(r->shadow, 0, r->len, kit_stamp_next());
	err = writers[writer].write(run);
	if (err)
		return check_fail(run, "%s cannot write %s: %d", writers[writer].name,
				  r->kind->name, err);
	if (let_go(run))
		return -1;
	if (takers[taker].take(r)) {
		tally->rounds++;
		tally->by_taker[taker]++;
	}
	err = compare(run, writer, taker, before);
	return err ? err : let_go(run);
}

static int all_rounds(struct check_run *run, struct tally *tally)
{
	unsigned int nr = WRITERS * TAKERS * BEFORES;

	for (unsigned int i = 0; i < nr; i++) {
		enum before before = i / WRITERS / TAKERS;

		++*check_beat;
		if (before == FREED && !(run->r.kind->traits & T_ANON))
			continue;
		if (round_of(run, i % WRITERS, i / WRITERS % TAKERS, before, tally))
			return -1;
	}
	tally->kinds++;
	return 0;
}

static void all_kinds(struct check_run *run, enum hmm_mode mode, struct tally *tally)
{
	for (unsigned int k = 0; k < kit_nr_kinds && !run->failed; k++) {
		const struct kit_kind *kind = &kit_kinds[k];
		uint64_t word = 0;

		if (!(kind->traits & T_WRITE) || kind->missing ||
		    kit_region_open(&run->r, kind))
			continue;
		/* What others can take away is not pinned. */
		if (mode == HMM_MODE_PIN &&
		    case_write(run, run->r.addr, &word, sizeof(word)) == -EOPNOTSUPP)
			tally->refused++;
		else
			all_rounds(run, tally);
		kind->unmake(&run->r);
	}
}

static void in_mode(struct check_run *run, enum hmm_mode mode, struct tally *tally)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .modes = 1u << mode};
	struct check_env env, *before = run->env;
	int err = check_env_open(&env, before->dev, NULL, &attr);

	if (err) {
		check_fail(run, "open: %d, %s", err, hmm_error());
		return;
	}
	run->env = &env;
	all_kinds(run, mode, tally);
	run->env = before;
	if (check_env_close(&env) && !run->failed)
		check_fail(run, "close: %s", hmm_error());
}

static void tell(struct check_run *run, const struct tally *tally)
{
	char *out = run->result->detail;
	size_t size = sizeof(run->result->detail);
	int len = snprintf(out, size,
			   "%u kinds by mode (%u refused to be pinned), %u rounds, 0 pages "
			   "lost:",
			   tally->kinds, tally->refused, tally->rounds);

	for (size_t i = 0; i < TAKERS; i++)
		len += snprintf(out + len, size - (size_t)len, " %s %u%s", takers[i].name,
				tally->by_taker[i], i + 1 < TAKERS ? "," : "");
}

void case_last_writer(struct check_run *run)
{
	const struct kit_device *dev = run->env->dev;
	uint32_t modes = dev->modes ? dev->modes : dev->table->modes;
	struct tally tally = {0};

	kit_squeeze_begin();
	for (unsigned int mode = 0; mode < HMM_MODES && !run->failed; mode++) {
		/* Staging has a device of its own. */
		if (modes & 1u << mode && (dev->modes || mode != HMM_MODE_STAGE))
			in_mode(run, mode, &tally);
	}
	kit_squeeze_end();
	if (!run->failed)
		tell(run, &tally);
}
