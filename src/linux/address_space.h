/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The address-space side: where changes are seen, and what is mapped.
 *
 * The question this file answers: what do the files of src/linux have in common?
 *
 * There is one struct as a process, in static memory (process.c). Locks: as.lock guards the
 * set of watched intervals together with what the kernel has registered, so that the two
 * are changed as one; maps.lock guards a buffer. Both are leaves: nothing else is locked,
 * and the core is not called, while one is held. Whoever holds one is not disturbed by
 * signals (util/lock.h).
 *
 * What the event thread does while it has events to tell, and what is done under a lock,
 * may not malloc, free, map, unmap or use stdio (hard rules 1 and 2).
 */
#ifndef AS_AS_H
#define AS_AS_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/source.h"
#include "util/lock.h"
#include "util/own.h"

#define HIDDEN      __attribute__((visibility("hidden")))
#define INTERPOSED  __attribute__((visibility("default")))
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* How deep the thread is in sections that the handler of a fault must not enter. */
extern HIDDEN __thread int as_busy __attribute__((tls_model("initial-exec")));

/* A plain mutex whose holder is not disturbed (util/lock.h), and is marked as busy. */
static inline void as_lock(pthread_mutex_t *lock)
{
	undisturbed_begin();
	as_busy++;
	pthread_mutex_lock(lock);
}

/* For the thread that reads the events, which has to go on reading: see events.c. */
bool as_lock_within(pthread_mutex_t *lock, uint32_t ms);

static inline void as_unlock(pthread_mutex_t *lock)
{
	pthread_mutex_unlock(lock);
	as_busy--;
	undisturbed_end();
}

/* ---- maps.c: what is mapped? ----------------------------------------------------- */

struct maps {
	struct own_file file;
	bool query; /* the kernel answers PROCMAP_QUERY */
	pthread_mutex_t lock;
	char *buffer; /* lock: text of /proc/self/maps */
};

struct as_mapping {
	uint64_t start, end;
	uint64_t ino;
	uint64_t page; /* bytes; 0 where it cannot be told */
	bool read, write, shared;
	char name[64]; /* as in /proc/self/maps, cut */
};

int maps_init(struct maps *maps);
void maps_fini(struct maps *maps);
/* The mapping that contains addr: -ENOENT a hole. */
int maps_find(struct maps *maps, uint64_t addr, struct as_mapping *out);
/* The same; -EAGAIN: a look at the mappings that somebody else takes is in the way. */
int maps_try_find(struct maps *maps, uint64_t addr, struct as_mapping *out);
/* The mapping that contains addr, else the next one: -ENOENT there is none. */
int maps_next(struct maps *maps, uint64_t addr, struct as_mapping *out);
/* Where the hole at @addr ends; 0: that cannot be told. */
uint64_t maps_hole_end(struct maps *maps, uint64_t addr);
/* Every mapping, by address, until @visit returns true; it may be called under a lock. */
void maps_each(struct maps *maps,
	       bool (*visit)(void *arg, const struct as_mapping *mapping), void *arg);
/* I/O or kernel memory. */
bool mapping_special(const struct as_mapping *mapping);
/* What kind it is, as far as pinning goes: NULL for private anonymous memory, whose pages
 * nobody can take away unseen; else the reason against. */
const char *mapping_unpinnable(const struct as_mapping *mapping);

/* ---- pages.c: which pages are there? ------------------------------------------------ */

struct pages {
	struct own_file file;
	bool scan;    /* the kernel answers PAGEMAP_SCAN */
	uint64_t pmd; /* the size of a huge page */
};

int pages_init(struct pages *pages);
void pages_fini(struct pages *pages);
int pages_scan(struct pages *pages, struct maps *maps, uint64_t start, uint64_t end,
	       uint64_t *pfns);
int pages_present(struct pages *pages, uint64_t addr);
int pages_populate(struct maps *maps, uint64_t start, uint64_t end, bool write);

/* ---- watch.c: which mappings are registered? ------------------------------------------
 */

struct watched;

struct watch {
	struct watch_live *live; /* wiped by fork */
	struct watched *nodes;
	struct watched *root, *free;
	uint32_t used;  /* nodes ever handed out */
	uint32_t files; /* watched intervals of files and shared memory */
};

/* Read without a lock by every interposed call; zero in a child, and while nothing is
 * open. */
struct watch_live {
	_Atomic bool open;       /* a struct hmm is there and uses interposed calls */
	_Atomic bool files;      /* something watched can be truncated */
	_Atomic bool unwatched;  /* a device may have memory that is not watched */
	_Atomic uint64_t inodes; /* a bit for the numbers of such files, by remainder */
	_Atomic uint64_t granules[];
};
extern HIDDEN struct watch_live *watch_live; /* NULL before the first hmm_open() */

int watch_init(struct watch *watch);
void watch_fini(struct watch *watch);

/* All _locked: as.lock */
bool watch_covers_locked(struct watch *watch, uint64_t start, uint64_t end);
int watch_add_locked(struct watch *watch, uint64_t start, uint64_t end, uint64_t ino);
void watch_del_locked(struct watch *watch, uint64_t start, uint64_t end);
/* The first watched piece of [*start, *end), which it is cut down to; false: none. */
bool watch_piece_locked(struct watch *watch, uint64_t *start, uint64_t *end, uint64_t *ino);
/* Does [start, end) end within an interval, so that a part of it would be left? */
bool watch_cuts_locked(struct watch *watch, uint64_t start, uint64_t end);
/* The smallest range with everything of that file in it; false: none. */
bool watch_file_locked(struct watch *watch, uint64_t ino, uint64_t *start, uint64_t *end);

#define GRANULE_SHIFT 21
#define GRANULE_WORDS (1ull << (47 - GRANULE_SHIFT - 6)) /* above them nothing is kept */

/* May anything in the range be watched? No lock; false is certain for the caller's own
 * past, and what another thread adds meanwhile is carried by its event. */
static inline bool watch_maybe(const struct watch_live *live, uint64_t start, uint64_t end)
{
	uint64_t first = start >> GRANULE_SHIFT, last = (end - 1) >> GRANULE_SHIFT;

	if (start >= end || last >= GRANULE_WORDS * 64)
		return start < end;
	for (uint64_t i = first >> 6; i <= last >> 6; i++) {
		uint64_t word =
			atomic_load_explicit(&live->granules[i], memory_order_relaxed);

		if (likely(!word))
			continue;
		if (i == first >> 6)
			word &= ~0ull << (first & 63);
		if (i == last >> 6)
			word &= ~0ull >> (63 - (last & 63));
		if (word)
			return true;
	}
	return false;
}

/* May anything of that file be watched? No lock. */
static inline bool watch_maybe_file(const struct watch_live *live, uint64_t ino)
{
	return atomic_load_explicit(&live->inodes, memory_order_relaxed) >> ino % 64 & 1;
}

/* ---- uffd.c: events ------------------------------------------------------------------ */

struct uffd {
	int own;     /* a handle of util/own.h */
	bool closed; /* as.lock: the event thread is at its end */
	uint64_t features;
	bool any;  /* any kind of mapping can be watched */
	bool none; /* no mapping can be watched, on this processor */
};

int uffd_open(struct uffd *uffd, const char **why);
void uffd_close(struct uffd *uffd);
/* Its number, for one use: -EBADF when the program closed it. */
int uffd_fd(const struct uffd *uffd);
/* Every mapping, by that number: nothing raises an event any more. */
void uffd_disarm_all(int fd, struct maps *maps);
int uffd_register(struct uffd *uffd, uint64_t start, uint64_t end);
bool uffd_unread(struct uffd *uffd);
int uffd_registered(struct uffd *uffd, uint64_t start, uint64_t end);
int uffd_unregister(struct uffd *uffd, uint64_t start, uint64_t end);
/* Whoever waits there in a page fault looks again. */
void uffd_wake(struct uffd *uffd, uint64_t start, uint64_t end);
void uffd_unregister_going(struct uffd *uffd, uint64_t start, uint64_t end);

/* ---- tasks.c: which threads are there? -------------------------------------------------
 */

struct tasks {
	struct own_file file; /* /proc/self/task */
	pthread_mutex_t lock; /* its position */
};

/* An entry of a directory, as the kernel gives it. */
struct tasks_entry {
	uint64_t ino;
	int64_t off;
	unsigned short len;
	unsigned char type;
	char name[];
};

int tasks_init(struct tasks *tasks);
void tasks_fini(struct tasks *tasks);
/* Call fn for each until it returns other than 0. How many; -EAGAIN if some may be missing.
 */
int tasks_each(struct tasks *tasks, int (*fn)(void *arg, const char *tid), void *arg);
/* The text of /proc/self/task/TID/NAME: its length, 0 if the thread is gone, or -errno. */
long tasks_read(struct tasks *tasks, const char *tid, const char *name, char *text,
		size_t size);

/* ---- perf.c: mprotect by raw system calls
 * ------------------------------------------------ */

#define PERF_RINGS 1024 /* processors */

struct perf_ring {
	struct perf_event_mmap_page *page;
	int fd; /* of the event that owns the ring, in the event thread's table */
	int cpu;
	uint64_t tail; /* mirror lock: read up to here */
};

struct as;
struct perf {
	const char *why; /* not to be had: the reason */
	bool off;        /* nobody wanted it */
	bool wakes;      /* each record wakes the event thread; else hits look */
	struct perf_ring rings[PERF_RINGS];
	unsigned int nr_rings;
	size_t size; /* bytes of data in each ring */
};

/*
 * The calling thread is the events' owner, and has a table of descriptors for itself: they
 * last as long as it does, or until it closes them: on failure too.
 */
int perf_open(struct perf *perf, struct tasks *tasks);
/* Could it be had? Asked with one thread's events, which are closed again. */
int perf_try(struct perf *perf);
/* The rings; their events go with their owner. */
void perf_close(struct perf *perf);
void perf_fork_child(const struct perf *perf);
/* With more rings than this the records wake the event thread. Only tests change it. */
extern HIDDEN unsigned int perf_polled_most;
/* How a record is noticed, and why so. */
const char *perf_way(bool wakes);
/* From now on the core is told, by the words that it polls; or nothing, if they wake. */
int perf_poll(struct perf *perf, struct hmm *hmm);
/* From now on this epoll descriptor of the event thread is woken. */
int perf_wake(struct perf *perf, int epoll);
/* [mirror lock] False: the watch lock was not to be had in that time (0: it waits). */
bool perf_drain(struct perf *perf, struct as *as, uint32_t patience_ms);

/* ---- sharers.c: other processes that share the address space ------------------------- */

#define SHARERS 16

struct sharers {
	_Atomic unsigned int nr; /* as.lock; read without */
	_Atomic bool unsure;     /* one went that may have made others: look */
	int pids[SHARERS];       /* as.lock */
};

/*
 * [mirror lock] A process was made by the thread @starter. True: it shares the address
 * space, or may have until it went, and what was known before is known no more.
 */
bool sharers_begun(struct as *as, int pid, int starter);
/* Who was there before anybody looked. */
void sharers_look(struct as *as);
/* Is there one now? Unlocked. */
bool sharers_any(struct as *as);
/* Around fork() of libc, in the thread that calls it; and in the child. */
void sharers_fork_begin(void);
void sharers_fork_end(void);
void sharers_fork_child(void);

/* ---- quiesce.c, usermode.c, copy.c
 * ----------------------------------------------------------------
 */

/* @perf: it may be used, for threads that never sleep. */
bool quiesce_changers_done(struct tasks *tasks, bool perf);
#define USERMODE_THREADS 32 /* for more, nothing is proved */
bool usermode_seen(const int *tids, int nr);
int copy_in(void *source, void *to, uint64_t from, size_t len);
int copy_out(void *source, uint64_t to, const void *from, size_t len);
/* Is process_vm_readv refused? Then copies go through a pipe. */
bool copy_refused(void);

/* ---- process.c: the one there is ------------------------------------------------------
 */

#define REFUSED 8

struct as {
	pthread_mutex_t lock;
	/* lock: mappings that userfaultfd never takes, as far as was tried */
	struct as_refused {
		uint64_t start, end, ino;
	} refused[REFUSED];
	unsigned int next_refused;
	struct uffd uffd;
	struct maps maps;
	struct pages pages;
	struct watch watch;
	struct perf perf;
	struct tasks tasks;
	struct sharers sharers;
	_Atomic int process; /* whose address space it is: others may run in it */
	void *wake;        /* a page that is watched: unmapping it wakes the event thread */
	_Atomic bool stop; /* the event thread ends */
	sem_t ready;       /* posted by the event thread when it has begun */
	bool want_perf;
	pthread_t event_thread, worker;
	struct hmm *_Atomic hmm;
	_Atomic uint32_t users; /* of hmm and all that is here, by as_hold() */
};

extern HIDDEN struct as as_self;

/*
 * process.c: everything here stays until as_drop(), and the thread is not disturbed. NULL:
 * nothing is open, or the thread holds a lock (the handler of a fault of ours).
 */
struct hmm *as_hold(void);
void as_drop(void);

/* stats_env.c: HMM_STATS. The last reference is going. */
void stats_env_closing(struct hmm *hmm);

/* source.c: the table that the core calls. */
extern HIDDEN const struct source_ops as_source_ops, as_source_ops_no_barrier;
int as_arm(struct as *as, uint64_t start, uint64_t end);
/* Watch [start, end) no more: what was registered raises no event from now on. @going: it
 * is about to be unmapped. True: a mapping is watched beside the range, which was one with
 * it.
 */
bool as_disarm(struct as *as, uint64_t start, uint64_t end, bool going);

/* events.c */
void *event_thread(void *as);

/* features.c: in force: the library's functions are those that the program calls. */
bool interpose_in_force(void);

#endif
