/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who sees an mprotect by a raw system call?
 *
 * perf does: with a software event that counts nothing, the kernel writes a record of every
 * mmap and mprotect before the call returns. There is an event for each thread and CPU,
 * threads that start later inherit theirs, and all events of a CPU write to one ring. There
 * are two ways to notice a record, by the number of rings:
 *
 *   polled   Up to CORE_POLL_WORDS: their heads are the core's poll words. A translation
 *            that finds one moved has the records read first: nothing is ever stale.
 *   woken    With more, a look at each would make a hit cost what the machine has of
 *            processors. The record wakes the event thread before the call returns; that
 *            marks, reads, revokes, and unmarks. A translation is right as soon as that
 *            thread has run (docs/contract.md, Y5).
 *
 * The same events record each process that is made (sharers.c).
 *
 * The rings are mapped read-only: so the kernel never waits for us to read, a head always
 * moves, and what was overwritten before it was read counts as a change of everything.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "linux/address_space.h"
#include "sys/sys.h"
#include "util/arena.h"

#define RING_MOST  65536u
#define RING_LEAST 8192u
#define MARGIN     4608u /* more than the longest record: one may be half written */
#define PASSES     16
#define THREADS    4096u /* with events of their own; the others inherit theirs */

HIDDEN unsigned int perf_polled_most = CORE_POLL_WORDS;

/* PERF_RECORD_MMAP2 without its header and the file's name */
struct mmap2 {
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t major, minor;
	uint64_t ino;
};

/* ---- reading ----------------------------------------------------------------------------
 */

static uint64_t head_of(const struct perf_ring *ring)
{
	return __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
}

/* Records are multiples of 8 bytes; they wrap around at the end of the ring. */
static void copy_words(const struct perf *perf, const struct perf_ring *ring, uint64_t at,
		       void *to, size_t size)
{
	const uint64_t *data = (const void *)((const char *)ring->page + page_size());
	uint64_t *words = to;

	for (size_t i = 0; i < size / 8; i++)
		words[i] = __atomic_load_n(&data[(at / 8 + i) % (perf->size / 8)],
					   __ATOMIC_ACQUIRE);
}

/* The words were read with acquire: the head is read after them. */
static bool overtaken(const struct perf *perf, const struct perf_ring *ring, uint64_t at)
{
	return head_of(ring) - at > perf->size - MARGIN;
}

/*
 * What is mapped now is not what was registered, if a file is involved (see
 * other_file in source.c). Anonymous memory does not go without an event.
 */
static bool forget(struct as *as, const struct mmap2 *record, uint32_t patience_ms)
{
	uint64_t start = record->addr, end = record->addr + record->len, ino;

	if (!patience_ms)
		as_lock(&as->lock);
	else if (!as_lock_within(&as->lock, patience_ms))
		return false;
	if (watch_piece_locked(&as->watch, &start, &end, &ino) && (ino || record->ino))
		watch_del_locked(&as->watch, record->addr, record->addr + record->len);
	as_unlock(&as->lock);
	return true;
}

/* PERF_RECORD_FORK without its header: what was made, and by whom. */
struct begun {
	uint32_t pid, ppid, tid, ptid;
};

/* false: the watch lock was not to be had in time, and nothing was done. */
static bool take(struct as *as, uint32_t type, const struct mmap2 *mmap,
		 uint32_t patience_ms)
{
	const struct begun *begun = (const void *)mmap;

	if (type == PERF_RECORD_FORK &&
	    sharers_begun(as, (int)begun->pid, (int)begun->ptid))
		change_seen(as->hmm, 0, UINT64_MAX);
	if (type != PERF_RECORD_MMAP2)
		return true;
	if (!forget(as, mmap, patience_ms))
		return false;
	change_seen(as->hmm, mmap->addr, mmap->addr + mmap->len);
	core_count(as->hmm, COUNT_PERF);
	return true;
}

static bool drain_ring(const struct perf *perf, struct perf_ring *ring, struct as *as,
		       uint32_t patience_ms)
{
	uint64_t head = head_of(ring);

	while (ring->tail != head) {
		struct {
			struct perf_event_header header;
			struct mmap2 mmap;
		} record;

		copy_words(perf, ring, ring->tail, &record, sizeof(record));
		if (overtaken(perf, ring, ring->tail) || record.header.size < 8) {
			change_seen(as->hmm, 0, UINT64_MAX);
			ring->tail = head_of(ring);
			return true;
		}
		if (!take(as, record.header.type, &record.mmap, patience_ms))
			return false;
		ring->tail += record.header.size;
	}
	return true;
}

/*
 * Of what a thread has just mapped the record lies in the ring of the processor that it
 * runs on, mostly. Read before the thread looks at the mapping it is nothing new; read
 * later by the event thread it would revoke what was translated meanwhile.
 */
static void drain_here(const struct perf *perf, struct perf_ring *rings, struct as *as)
{
	int cpu = sched_getcpu();

	if (cpu >= 0 && (unsigned int)cpu < perf->nr_rings && rings[cpu].cpu == cpu)
		drain_ring(perf, &rings[cpu], as, 0);
}

bool perf_drain(struct perf *perf, struct as *as, uint32_t patience_ms)
{
	bool all = true;

	if (perf->wakes && !patience_ms) {
		drain_here(perf, perf->rings, as);
		return true;
	}
	for (unsigned int i = 0; i < perf->nr_rings && all; i++)
		all = drain_ring(perf, &perf->rings[i], as, patience_ms);
	return all;
}

/* ---- opening
 * ------------------------------------------------------------------------------ */

struct opening {
	struct perf *perf;
	int cpus[PERF_RINGS];
	unsigned int nr_cpus;
	int tids[THREADS];
	unsigned int nr_tids;
	bool again;
};

static int off(struct perf *perf, int err, const char *why)
{
	perf->why = why;
	return err;
}

static int open_event(const struct perf *perf, int tid, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.mmap = 1,
		.mmap_data = 1,
		.mmap2 = 1,
		.inherit = 1,
		.inherit_thread = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		/* Bytes, so: each record wakes whoever waits for the ring. */
		.watermark = perf->wakes,
		.wakeup_watermark = perf->wakes,
	};

	return sys_perf_event_open(&attr, tid, cpu);
}

static const char *why_not(int err)
{
	switch (err) {
	case -EACCES:
	case -EPERM:
		return "kernel.perf_event_paranoid (or a seccomp filter) forbids it";
	case -ENOSYS:
		return "the kernel has no perf events, or a seccomp filter hides them";
	case -EMFILE:
	case -ENFILE:
		return "RLIMIT_NOFILE allows too few events for the threads that run "
		       "already";
	case -EINVAL:
		return "the kernel cannot let threads alone inherit perf events (5.13 can)";
	default:
		return "perf_event_open failed";
	}
}

static int first_of_cpu(struct perf *perf, int fd, int cpu)
{
	void *page;
	int err = sys_mmap(&page, page_size() + perf->size, PROT_READ, MAP_SHARED, fd);

	if (err)
		return off(perf, err,
			   "kernel.perf_event_mlock_kb does not allow its rings");
	perf->rings[perf->nr_rings++] =
		(struct perf_ring){.page = page, .fd = fd, .cpu = cpu};
	return 0;
}

/* -ESRCH: the thread is gone. */
static int open_thread(struct perf *perf, const struct opening *opening, int tid)
{
	for (unsigned int i = 0; i < opening->nr_cpus; i++) {
		int fd = open_event(perf, tid, opening->cpus[i]), err;

		if (fd < 0)
			return fd == -ESRCH ? fd : off(perf, fd, why_not(fd));
		if (i == perf->nr_rings) {
			err = first_of_cpu(perf, fd, opening->cpus[i]);
			if (err)
				return err;
			continue;
		}
		err = sys_ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT,
				(void *)(intptr_t)perf->rings[i].fd);
		if (err)
			return off(perf, err, "its events cannot share a ring");
	}
	return 0;
}

static int open_if_new(void *arg, const char *text)
{
	struct opening *opening = arg;
	int tid = atoi(text), err;

	for (unsigned int i = 0; i < opening->nr_tids; i++)
		if (opening->tids[i] == tid)
			return 0;
	if (opening->nr_tids == THREADS)
		return off(opening->perf, -EMFILE,
			   "too many threads are running already: open earlier");
	opening->again = true;
	opening->tids[opening->nr_tids++] = tid;
	err = open_thread(opening->perf, opening, tid);
	return err == -ESRCH ? 0 : err;
}

/*
 * A thread that was started while we looked may have a starter without events: so look
 * until there is nobody new. (One whose starter had them gets them twice, which is no
 * harm.)
 */
static int open_threads(struct opening *opening, struct tasks *tasks)
{
	for (int pass = 0; pass < PASSES; pass++) {
		int nr;

		opening->again = false;
		nr = tasks_each(tasks, open_if_new, opening);
		if (nr < 0 && nr != -EAGAIN)
			return nr;
		if (nr >= 0 && !opening->again)
			return 0;
	}
	return off(opening->perf, -EAGAIN, "threads start and end too fast to keep up");
}

/* "0-3,8": the CPUs that are there. */
static int read_cpus(struct opening *opening)
{
	char text[1024], *at = text;
	int fd = sys_open(AT_FDCWD, "/sys/devices/system/cpu/online", O_RDONLY);
	long got;

	if (fd < 0)
		return off(opening->perf, fd, "/sys does not tell which CPUs are there");
	got = sys_read(fd, text, sizeof(text) - 1);
	sys_close(fd);
	text[got > 0 ? got : 0] = 0;
	while (*at >= '0' && *at <= '9') {
		long first = strtol(at, &at, 10), last = first;

		if (*at == '-')
			last = strtol(at + 1, &at, 10);
		for (; first <= last; first++) {
			if (opening->nr_cpus == PERF_RINGS)
				return off(opening->perf, -E2BIG,
					   "more than 1,024 processors have no room in "
					   "its table of rings");
			opening->cpus[opening->nr_cpus++] = (int)first;
		}
		at += *at == ',';
	}
	if (!opening->nr_cpus)
		return off(opening->perf, -EIO, "/sys does not tell which CPUs are there");
	return 0;
}

/*
 * The rings count as locked memory of the user, which io_uring's rings are charged to as
 * well: all of them together take at most a quarter of what the process may lock, or half
 * of it where there are so many that a quarter has no room for the smallest.
 */
static int choose_size(struct perf *perf, unsigned int nr)
{
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
	uint64_t room, least = page_size() > RING_LEAST ? page_size() : RING_LEAST;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	room = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX / 2 : limit.rlim_cur / 4 / nr;
	for (perf->size = RING_MOST; perf->size > least; perf->size /= 2)
		if (page_size() + perf->size <= room)
			return 0;
	if (page_size() + perf->size <= room * 2)
		return 0;
	return off(perf, -ENOMEM, "its rings would take more than half of RLIMIT_MEMLOCK");
}

/* @tasks NULL: the calling thread alone. */
static int open_rings(struct perf *perf, struct tasks *tasks)
{
	struct opening opening = {.perf = perf};
	int err = read_cpus(&opening);

	perf->wakes = opening.nr_cpus > perf_polled_most;
	if (!err)
		err = choose_size(perf, opening.nr_cpus);
	if (!err)
		err = tasks ? open_threads(&opening, tasks)
			    : open_thread(perf, &opening, sys_gettid());
	if (!err && perf->nr_rings < opening.nr_cpus)
		err = -EIO;
	return err;
}

static void close_rings(struct perf *perf)
{
	for (unsigned int i = 0; i < perf->nr_rings; i++)
		sys_close(perf->rings[i].fd);
}

int perf_open(struct perf *perf, struct tasks *tasks)
{
	int err;

	*perf = (struct perf){.why = "perf_event_open failed"};
	err = open_rings(perf, tasks);
	if (err)
		perf_close(perf);
	else
		perf->why = NULL;
	return err;
}

int perf_try(struct perf *perf)
{
	int err;

	*perf = (struct perf){.why = "perf_event_open failed"};
	err = open_rings(perf, NULL);
	close_rings(perf);
	perf_close(perf);
	return err;
}

const char *perf_way(bool wakes)
{
	return wakes ? "mprotect by a raw system call is seen a moment later: the "
		       "record wakes a thread, since there are more than 8 processors "
		       "to look at"
		     : "mprotect by a raw system call is seen at once: each translation "
		       "looks at the heads of all records";
}

int perf_wake(struct perf *perf, int epoll)
{
	int err = 0;

	/* Told once for each record: a ring whose thread has ended would be told of for
	 * ever. */
	for (unsigned int i = 0; i < perf->nr_rings && !err; i++)
		err = sys_epoll_add(epoll, perf->rings[i].fd, EPOLLIN | EPOLLET);
	return err;
}

int perf_poll(struct perf *perf, struct hmm *hmm)
{
	int err = 0;

	if (perf->wakes)
		return 0;
	for (unsigned int i = 0; i < perf->nr_rings && !err; i++) {
		struct perf_ring *ring = &perf->rings[i];

		ring->tail = head_of(ring);
		err = core_poll_word(hmm,
				     (const volatile uint64_t *)&ring->page->data_head);
	}
	return err;
}

/*
 * The child of a fork has no rings. A handler that forked may have interrupted a thread
 * that was about to look at a head, and goes back to it: so where the heads were there is a
 * page, and it stays.
 */
void perf_fork_child(const struct perf *perf)
{
	for (unsigned int i = 0; i < perf->nr_rings; i++)
		sys_mmap_there(perf->rings[i].page, page_size(), PROT_READ);
}

void perf_close(struct perf *perf)
{
	for (unsigned int i = 0; i < perf->nr_rings; i++)
		sys_munmap(perf->rings[i].page, page_size() + perf->size);
	perf->nr_rings = 0;
}
