/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does a change that this process makes itself come without an event? (interpose.h)
 *
 * Every device is taken off the range, the range is disarmed, the call is made. Nobody
 * gets a translation of the range in between.
 */
#include "linux/interpose.h"

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
	if (how != ALTERS)
		as_disarm(&as_self, start, end, how == UNMAPS);
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
	as_drop();
}
