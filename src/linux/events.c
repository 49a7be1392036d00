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
#include <linux/close_range.h>
#include <linux/userfaultfd.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>

#include "linux/address_space.h"
#include "sys/sys.h"
#include "util/arena.h"
#include "util/debug.h"

#define BATCH       16u
#define QUEUE       256u /* a power of 2 */
#define PATIENCE_MS 2
#define ASK_MS      100 /* whether to stop, or whether the descriptor is still there */
#define NUMBERS     1048576

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
	int fd;        /* the userfaultfd: its number in the table below */
	int epoll;     /* of it and of perf's rings, where these wake; else -1 */
	bool apart;    /* the thread has a table of descriptors for itself */
	bool records;  /* perf's rings have some that were not read */
	bool over;     /* it is to end: the last event that it must read was read */
	uint64_t wake; /* where the page is that is unmapped to say so; 0: none */
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
	struct uffdio_range range;

	addr &= ~((uint64_t)page_size() - 1);
	/* A page is less than a huge one's mapping takes: then it is touched again. */
	if (maps_try_find(&r->as->maps, addr, &mapping))
		mapping = (struct as_mapping){.start = addr, .end = addr + page_size()};
	range = (struct uffdio_range){.start = mapping.start,
				      .len = mapping.end - mapping.start};
	while (sys_ioctl(r->fd, UFFDIO_UNREGISTER, &range) == -ENOMEM)
		;
	/* Unregistering wakes who waits, but not one that came a moment too late for that
	 * and found the range still registered; nor does the unmapping. */
	range = (struct uffdio_range){.start = addr, .len = page_size()};
	sys_ioctl(r->fd, UFFDIO_WAKE, &range);
	put(r, GONE | FORGET, mapping.start, mapping.end);
}

static void take(struct reader *r, const struct uffd_msg *msg)
{
	uint64_t from = msg->arg.remap.from, to = msg->arg.remap.to,
		 len = msg->arg.remap.len;

	switch (msg->event) {
	case UFFD_EVENT_UNMAP:
		r->over |= r->wake && msg->arg.remove.start == r->wake;
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
	struct uffd_msg batch[BATCH] = {0};
	int fd = r->apart ? r->fd : uffd_fd(&r->as->uffd);
	long got = fd < 0 ? fd : sys_read(fd, batch, sizeof(batch));

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

static void tell_records(struct reader *r)
{
	if (!r->records)
		return;
	r->records = false;
	while (!change_records(r->as->hmm, PATIENCE_MS))
		read_some(r);
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
	tell_records(r);
	for (tell_all(r); !change_unmark(hmm, PATIENCE_MS); tell_all(r))
		read_some(r);
}

/* ---- the thread ------------------------------------------------------------------ */

static void close_others(int fd)
{
	sys_close_range((unsigned int)fd + 1, ~0u, 0);
	if (sys_close_range(0, (unsigned int)fd - 1, 0))
		for (int i = 0; i < NUMBERS; i++)
			if (i != fd)
				sys_close(i);
}

/*
 * From here on the thread has a table of descriptors for itself, with the userfaultfd in
 * it: what the program closes, or opens in the place of ours, does not reach it.
 */
static bool set_apart(int fd)
{
	if (sys_close_range((unsigned int)fd + 1, ~0u, CLOSE_RANGE_UNSHARE) &&
	    sys_unshare_files())
		return false;
	close_others(fd);
	own_thread_apart();
	return true;
}

/* One descriptor to wait for, of everything that wakes this thread. */
static int wait_for_rings(struct reader *r)
{
	int err, fd = sys_epoll_create();

	if (fd < 0)
		return fd;
	err = sys_epoll_add(fd, r->fd, EPOLLIN);
	if (!err)
		err = perf_wake(&r->as->perf, fd);
	if (!err)
		r->epoll = fd;
	return err;
}

static void open_perf(struct reader *r)
{
	struct as *as = r->as;
	int err;

	own_file_open_apart(&as->tasks.file);
	err = perf_open(&as->perf, &as->tasks);
	if (!err && as->perf.wakes && wait_for_rings(r)) {
		perf_close(&as->perf);
		as->perf.why = "epoll, which waits for its rings, failed";
		err = -EIO;
	}
	if (err)
		close_others(r->fd);
}

static void begin(struct reader *r)
{
	struct as *as = r->as;

	for (int i = 0; i < 2 && r->fd < 0; i++)
		r->fd = uffd_fd(&as->uffd);
	r->apart = r->fd >= 0 && set_apart(r->fd);
	/* The owner of perf events is who may switch them off (prctl), and who closes them.
	 */
	as->perf = (struct perf){.off = !as->want_perf};
	if (as->want_perf && !r->apart)
		as->perf.why = "a seccomp filter forbids close_range and unshare, without "
			       "which the program may close its descriptors";
	else if (as->want_perf)
		open_perf(r);
	if (r->apart) {
		own_file_open_apart(&as->maps.file);
		own_file_open_apart(&as->pages.file);
	}
	sem_post(&as->ready);
}

/*
 * The program closed the userfaultfd, which only a thread without a table of its own can
 * come to know: nothing is watched any more, whoever waited for us runs on.
 */
static void lose(struct reader *r)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	change_mark(r->as->hmm);
	put(r, GONE | FORGET, 0, UINT64_MAX);
	for (tell_all(r); !change_unmark(r->as->hmm, PATIENCE_MS);)
		;
	while (!r->as->stop)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	r->over = true;
}

/* Is there something to read? As sys_poll() says it. */
static int wait_for_some(struct reader *r)
{
	int timeout_ms = r->apart && r->wake ? -1 : ASK_MS;
	struct pollfd poll = {.fd = r->fd, .events = POLLIN};
	struct epoll_event events[BATCH];
	int got;

	if (r->epoll < 0) {
		if (!r->apart)
			poll.fd = uffd_fd(&r->as->uffd);
		return poll.fd < 0 ? poll.fd : sys_poll(&poll, 1, timeout_ms);
	}
	got = sys_epoll_wait(r->epoll, events, BATCH, timeout_ms);
	for (int i = 0; i < got; i++)
		r->records |= events[i].data.fd != r->fd;
	return got;
}

/* False: the descriptor is lost. */
static bool wait_for_events(struct reader *r)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int err = wait_for_some(r);

	if (!r->apart && uffd_fd(&r->as->uffd) < 0)
		return false;
	if (err < 0 && err != -EINTR) {
		/* A filter forbids to wait for it: then it is looked at now and then. */
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		r->records = r->epoll >= 0;
		err = 1;
	}
	if (err > 0)
		read_and_tell(r);
	r->over |= !r->wake && r->as->stop;
	return true;
}

/*
 * The last thing it does is to disarm everything: the end of a thread discards its stack,
 * which may well be watched, and nobody would read that event.
 */
static void end(struct reader *r)
{
	struct as *as = r->as;
	int fd;

	while (!as_lock_within(&as->lock, PATIENCE_MS))
		read_and_tell(r);
	as->uffd.closed = true;
	as_unlock(&as->lock);
	fd = r->apart ? r->fd : own_fd(as->uffd.own);
	if (fd >= 0)
		uffd_disarm_all(fd, &as->maps);
	if (r->apart)
		sys_close_range(0, ~0u, 0);
}

void *event_thread(void *as)
{
	struct reader r = {.as = as, .fd = -1, .epoll = -1};

	r.wake = (uintptr_t)r.as->wake;
	begin(&r);
	while (!r.over)
		if (!wait_for_events(&r))
			lose(&r);
	end(&r);
	return NULL;
}
