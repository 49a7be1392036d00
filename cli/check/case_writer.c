// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: is what was written last still there when the memory was let go and the
 * kernel took what it may (Y1)?
 *
 * A page that a device wrote through a pin may look unwritten to the kernel. So each kind
 * of memory is written last by the CPU, by the device, or by the kernel (read(2) into it);
 * then the library lets it go, and the kernel is asked to reclaim it, to make huge pages of
 * it, or to share it with a child. In half of the rounds MADV_FREE came before the write,
 * which the write undoes.
 */
#include "cases.h"

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

static void reclaim(const struct kit_region *r)
{
	madvise(r->addr, r->len, MADV_PAGEOUT);
}

static void collapse(const struct kit_region *r)
{
	madvise(r->addr, r->len, MADV_COLLAPSE);
}

static void share(const struct kit_region *r)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	reclaim(r);
	if (child > 0)
		waitpid(child, NULL, 0);
}

static const struct {
	const char *name;
	void (*take)(const struct kit_region *r);
} takers[] = {{"MADV_PAGEOUT", reclaim}, {"MADV_COLLAPSE", collapse}, {"fork", share}};

/* ---- rounds ----------------------------------------------------------------------------
 */

#define WRITERS (sizeof(writers) / sizeof(writers[0]))
#define TAKERS  (sizeof(takers) / sizeof(takers[0]))

static int compare(struct check_run *run, size_t writer, size_t taker, bool freed)
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
			   freed ? "over MADV_FREE" : "last", takers[taker].name);
}

static int round_of(struct check_run *run, size_t writer, size_t taker, bool freed)
{
	struct kit_region *r = &run->r;
	int err;

	/* What was never translated when it was freed is pinned by the device's write. */
	memset(r->shadow, 0x5a, r->len);
	if (by_cpu(run) || (!freed && by_device(run)))
		return check_fail(run, "%s cannot be written: %s", r->kind->name,
				  hmm_error());
	if (freed && madvise(r->addr, r->len, MADV_FREE))
		return 0;
	kit_stamp_fill(r->shadow, 0, r->len, kit_stamp_next());
	err = writers[writer].write(run);
	if (err)
		return check_fail(run, "%s cannot write %s: %d", writers[writer].name,
				  r->kind->name, err);
	if (hmm_invalidate(run->env->hmm, r->addr, r->len) ||
	    hmm_quiesce(run->env->hmm, QUIESCE_MS))
		return check_fail(run, "letting go: %s", hmm_error());
	takers[taker].take(r);
	return compare(run, writer, taker, freed);
}

static int all_rounds(struct check_run *run)
{
	bool anonymous = run->r.kind->traits & T_ANON;
	unsigned int nr = WRITERS * TAKERS * (anonymous ? 2 : 1);

	for (unsigned int i = 0; i < nr; i++) {
		++*check_beat;
		if (round_of(run, i % WRITERS, i / WRITERS % TAKERS, i >= WRITERS * TAKERS))
			return -1;
	}
	return (int)nr;
}

void case_last_writer(struct check_run *run)
{
	unsigned int kinds = 0, rounds = 0;

	for (unsigned int k = 0; k < kit_nr_kinds && !run->failed; k++) {
		const struct kit_kind *kind = &kit_kinds[k];
		int done;

		if (!(kind->traits & T_WRITE) || kind->missing ||
		    kit_region_open(&run->r, kind))
			continue;
		done = all_rounds(run);
		kind->unmake(&run->r);
		if (done > 0) {
			kinds++;
			rounds += (unsigned int)done;
		}
	}
	if (!run->failed)
		snprintf(run->result->detail, sizeof(run->result->detail),
			 "%u kinds, %u rounds, 0 pages lost", kinds, rounds);
}
