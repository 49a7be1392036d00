/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does the thread do that reads the events? (hard rules 1 and 3)
 *
 * Mark, read, tell, unmark. The changing threads run on as soon as their event was read,
 * so whoever asks for a translation must be told to wait before that. Nothing here
 * allocates, frees, unmaps, or calls foreign code: each of these could raise an event that
 * only this thread would read.
 */
#include <errno.h>
#include <linux/userfaultfd.h>

#include "as/as.h"
#include "sys/sys.h"
#include "util/arena.h"
#include "util/debug.h"

#define BATCH 16

static void unmapped(struct as *as, uint64_t start, uint64_t end)
{
	as_lock(&as->lock);
	watch_del_locked(&as->watch, start, end);
	as_unlock(&as->lock);
}

/*
 * The mapping took its registration along, but it may have been unmapped there since, and
 * that event read first: so its new place is forgotten too. Asked for, it is armed anew.
 */
static void moved(struct as *as, uint64_t from, uint64_t to, uint64_t len)
{
	as_lock(&as->lock);
	watch_del_locked(&as->watch, from, from + len);
	watch_del_locked(&as->watch, to, to + len);
	as_unlock(&as->lock);
}

/*
 * A missing page was touched by another thread, in a range that is about to be unmapped
 * (see uffd_unregister_going). It is let go before any lock is asked for. Meanwhile nobody
 * gets a translation: we have marked. Then everybody is told that the range is gone, since
 * it may have been mapped and armed anew.
 */
static void let_pass(struct as *as, uint64_t addr)
{
	struct as_mapping mapping;

	addr &= ~((uint64_t)page_size() - 1);
	if (maps_find(&as->maps, addr, &mapping))
		mapping = (struct as_mapping){.start = addr, .end = addr + page_size()};
	while (uffd_unregister(&as->uffd, mapping.start, mapping.end) == -ENOMEM)
		;
	/* Unregistering wakes who waits, but not one that came a moment too late for that
	 * and found the range still registered; nor does the unmapping. */
	uffd_wake(&as->uffd, addr, addr + page_size());
	change_event(as->hmm, CHANGE_GONE, mapping.start, mapping.end);
	unmapped(as, mapping.start, mapping.end);
}

static void tell(struct as *as, const struct uffd_msg *msg)
{
	struct hmm *hmm = as->hmm;

	switch (msg->event) {
	case UFFD_EVENT_UNMAP:
		change_event(hmm, CHANGE_GONE, msg->arg.remove.start, msg->arg.remove.end);
		unmapped(as, msg->arg.remove.start, msg->arg.remove.end);
		break;
	case UFFD_EVENT_REMAP:
		change_event(hmm, CHANGE_GONE, msg->arg.remap.from,
			     msg->arg.remap.from + msg->arg.remap.len);
		moved(as, msg->arg.remap.from, msg->arg.remap.to, msg->arg.remap.len);
		break;
	case UFFD_EVENT_REMOVE:
		change_event(hmm, CHANGE_REMOVING, msg->arg.remove.start,
			     msg->arg.remove.end);
		break;
	case UFFD_EVENT_PAGEFAULT:
		let_pass(as, msg->arg.pagefault.address);
		break;
	}
}

static void read_batch(struct as *as)
{
	struct uffd_msg batch[BATCH];
	bool late = debug_rule_off(3);
	long got;

	if (!late)
		change_mark(as->hmm);
	got = sys_read(as->uffd.fd, batch, sizeof(batch));
	if (late) {
		debug_window(3);
		change_mark(as->hmm);
	}
	for (long i = 0; i < got / (long)sizeof(batch[0]); i++)
		tell(as, &batch[i]);
	change_unmark(as->hmm);
}

/*
 * The last thing it does is to disarm everything: the end of a thread discards its stack,
 * which may well be watched, and nobody would read that event.
 */
void *event_thread(void *arg)
{
	struct as *as = arg;
	struct uffd uffd;
	struct pollfd fds[] = {
		{.fd = as->uffd.fd, .events = POLLIN},
		{.fd = as->stop, .events = POLLIN},
	};

	for (;;) {
		int err = sys_poll(fds, 2, -1);

		if (err < 0)
			continue;
		if (fds[0].revents)
			read_batch(as);
		else if (fds[1].revents)
			break;
	}
	as_lock(&as->lock);
	uffd = as->uffd;
	as->uffd.fd = -1;
	as_unlock(&as->lock);
	uffd_close(&uffd, &as->maps);
	return NULL;
}
