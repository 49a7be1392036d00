/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does a change that this process makes itself come without an event? (interpose.h)
 *
 * Every device is taken off the range, the range is disarmed, the call is made. Nobody
 * gets a translation of the range in between.
 */
#include <sched.h>
#include <time.h>

#include "linux/interpose.h"

#define YIELDS   64
#define TRIES    2000
#define PAUSE_NS 20000

static bool watched(uint64_t start, uint64_t end)
{
	uint64_t ino;
	bool any;

	as_lock(&as_self.lock);
	any = watch_piece_locked(&as_self.watch, &start, &end, &ino);
	as_unlock(&as_self.lock);
	return any;
}

/*
 * From here to interpose_end() no handler runs: one that left with siglongjmp() would leave
 * its change under way for ever. The calls that are interposed are those that a signal does
 * not interrupt without us, either: the kernel makes the handler wait for their end.
 *
 * The handler of a fault of the library's own would find a lock held: its call is passed
 * on.
 */
void interpose_begin_slow(struct op *op, uint64_t start, uint64_t end, enum how how)
{
	struct hmm *hmm = as_hold();

	if (!hmm)
		return;
	if (how <= DISCARDS && !watched(start, end)) {
		as_drop();
		return;
	}
	change_begin(hmm, &op->change, start, end);
	op->rearm = how != ALTERS && as_disarm(&as_self, start, end, how == UNMAPS) &&
		    how == DISCARDS;
	core_count(hmm, COUNT_INTERPOSED);
	op->hmm = hmm;
}

/*
 * The call is over, and nobody was told. Whoever looks at the mapping from now on finds it
 * as it is; who looked before has made the range watched first. Pairs with the fence in
 * as_arm(): the range watched, then the mapping read | the mapping changed, then this read.
 */
static void look_again(struct op *op)
{
	uint64_t start = op->change.start, end = op->change.end;

	op->hmm = NULL;
	atomic_thread_fence(memory_order_seq_cst);
	if (!interpose_mirrored(start, end, op->how))
		return;
	interpose_begin_slow(op, start, end, op->how);
	if (op->hmm)
		interpose_end_slow(op);
}

void interpose_end_slow(struct op *op)
{
	if (op->hmm == OP_LOOK_AGAIN) {
		look_again(op);
		return;
	}
	change_end(op->hmm, &op->change);
	/* What was one mapping is one again: a process may only have so many. */
	if (op->rearm)
		as_arm(&as_self, op->change.start, op->change.end);
	as_drop();
}

/* ---- what occupies memory (see docs/contract.md for the list) -------------------------
 */

void interpose_placed(uint64_t start, uint64_t end)
{
	struct op op;

	interpose_begin(&op, start, page_up(end), DISCARDS);
	op.rearm = false; /* new memory, which no device has used */
	interpose_end(&op);
}

static bool events_unread(void)
{
	bool unread;

	as_lock(&as_self.lock);
	unread = uffd_unread(&as_self.uffd);
	as_unlock(&as_self.lock);
	return unread;
}

/* An event is read at once. Who changes memory may be slow to notice, and is not waited for
 * without end. */
static bool events_settled(void)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	for (int i = 0; i < TRIES; i++) {
		if (!events_unread())
			return true;
		if (i < YIELDS)
			sched_yield();
		else
			clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return false;
}

void interpose_settle(uint64_t start, uint64_t end)
{
	struct op op;
	bool settled;

	if (!interpose_mirrored(start, end, DISCARDS) || !as_hold())
		return;
	settled = events_settled();
	as_drop();
	if (settled)
		return;
	interpose_begin(&op, start & ~(page_size() - 1), page_up(end), ALTERS);
	interpose_end(&op);
}
