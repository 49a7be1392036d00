/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does the thread do that reads the events? (hard rules 1 and 3)
 *
 * Mark, read, tell, unmark. The changing threads run on as soon as their event was read,
 * so whoever asks for a translation must be told to wait before that. Nothing here
 * allocates, frees, unmaps, or calls foreign code: each of these could raise an event that
 * only this thread would read.
 *
 * To tell takes locks. Whoever holds one may have been interrupted there by a signal
 * handler that changes memory, and go on only when that event was read: so no lock is
 * waited for without reading on. What was read is told later, in its order, before the
 * unmark.
 */
#include <errno.h>
#include <linux/userfaultfd.h>

#include "linux/address_space.h"
#include "sys/sys.h"
#include "util/arena.h"
#include "util/debug.h"

#define BATCH       16u
#define QUEUE       256u /* a power of 2 */
#define PATIENCE_MS 2

/* What there is to do about a range. Together and with a wider range they say too much,
 * which costs time and is never wrong. */
#define GONE     1u
#define REMOVING 2u
#define FORGET   4u /* it is not watched, as far as we know */

struct told {
	unsigned int what;
	uint64_t start, end;
};

struct reader {
	struct as *as;
	unsigned int first, next; /* of queue; they only grow */
	struct told queue[QUEUE];
};

bool as_lock_within(pthread_mutex_t *lock, uint32_t ms)
{
	undisturbed_begin();
	if (mutex_lock_within(lock, ms)) {
		as_busy++;
		return true;
	}
	undisturbed_end();
	return false;
}

/* ---- read ------------------------------------------------------------------------ */

static void put(struct reader *r, unsigned int what, uint64_t start, uint64_t end)
{
	struct told *newest = &r->queue[(r->next - 1) % QUEUE];

	if (r->next - r->first < QUEUE) {
		r->queue[r->next++ % QUEUE] = (struct told){what, start, end};
		return;
	}
	newest->what |= what;
	newest->start = start < newest->start ? start : newest->start;
	newest->end = end > newest->end ? end : newest->end;
}

/*
 * A missing page was touched by another thread, in a range that is about to be unmapped
 * (see uffd_unregister_going). It is let go before any lock is asked for. Meanwhile nobody
 * gets a translation: we have marked. Then everybody is told that the range is gone, since
 * it may have been mapped and armed anew.
 */
static void let_pass(struct reader *r, uint64_t addr)
{
	struct as_mapping mapping;
	struct uffd *uffd = &r->as->uffd;

	addr &= ~((uint64_t)page_size() - 1);
	/* A page is less than a huge one's mapping takes: then it is touched again. */
	if (maps_try_find(&r->as->maps, addr, &mapping))
		mapping = (struct as_mapping){.start = addr, .end = addr + page_size()};
	while (uffd_unregister(uffd, mapping.start, mapping.end) == -ENOMEM)
		;
	/* Unregistering wakes who waits, but not one that came a moment too late for that
	 * and found the range still registered; nor does the unmapping. */
	uffd_wake(uffd, addr, addr + page_size());
	put(r, GONE | FORGET, mapping.start, mapping.end);
}

static void take(struct reader *r, const struct uffd_msg *msg)
{
	uint64_t from = msg->arg.remap.from, to = msg->arg.remap.to,
		 len = msg->arg.remap.len;

	switch (msg->event) {
	case UFFD_EVENT_UNMAP:
		put(r, GONE | FORGET, msg->arg.remove.start, msg->arg.remove.end);
		break;
	case UFFD_EVENT_REMAP:
		/*
		 * The mapping took its registration along, but it may have been unmapped
		 * there since, and that event read first: so its new place is forgotten
		 * too. Asked for, it is armed anew.
		 */
		put(r, GONE | FORGET, from, from + len);
		put(r, FORGET, to, to + len);
		break;
	case UFFD_EVENT_REMOVE:
		put(r, REMOVING, msg->arg.remove.start, msg->arg.remove.end);
		break;
	case UFFD_EVENT_PAGEFAULT:
		let_pass(r, msg->arg.pagefault.address);
		break;
	}
}

/* Marked. */
static void read_some(struct reader *r)
{
	struct uffd_msg batch[BATCH];
	long got = sys_read(r->as->uffd.fd, batch, sizeof(batch));

	for (long i = 0; i < got / (long)sizeof(batch[0]); i++)
		take(r, &batch[i]);
}

/* ---- tell ------------------------------------------------------------------------ */

static void tell_core(struct reader *r, enum change_kind kind, const struct told *told)
{
	while (!change_event(r->as->hmm, kind, told->start, told->end, PATIENCE_MS))
		read_some(r);
}

static void tell(struct reader *r, const struct told *told)
{
	struct as *as = r->as;

	if (told->what & REMOVING)
		tell_core(r, CHANGE_REMOVING, told);
	if (told->what & GONE)
		tell_core(r, CHANGE_GONE, told);
	if (told->what & FORGET) {
		while (!as_lock_within(&as->lock, PATIENCE_MS))
			read_some(r);
		watch_del_locked(&as->watch, told->start, told->end);
		as_unlock(&as->lock);
	}
}

static void tell_all(struct reader *r)
{
	while (r->first != r->next) {
		struct told told = r->queue[r->first++ % QUEUE];

		tell(r, &told);
	}
}

static void read_and_tell(struct reader *r)
{
	struct hmm *hmm = r->as->hmm;
	bool late = debug_rule_off(3);

	if (!late)
		change_mark(hmm);
	read_some(r);
	if (late) {
		debug_window(3);
		change_mark(hmm);
	}
	for (tell_all(r); !change_unmark(hmm, PATIENCE_MS); tell_all(r))
		read_some(r);
}

/* ---- the thread ------------------------------------------------------------------ */

/*
 * The last thing it does is to disarm everything: the end of a thread discards its stack,
 * which may well be watched, and nobody would read that event.
 */
void *event_thread(void *arg)
{
	struct reader r = {.as = arg};
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
			read_and_tell(&r);
		else if (fds[1].revents)
			break;
	}
	while (!as_lock_within(&as->lock, PATIENCE_MS))
		read_and_tell(&r);
	uffd = as->uffd;
	as->uffd.fd = -1;
	as_unlock(&as->lock);
	uffd_close(&uffd, &as->maps);
	return NULL;
}
