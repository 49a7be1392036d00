/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The seam between the core and what it mirrors.
 *
 * The question this file answers: what does the core ask of the address-space side
 * (struct source_ops), and what does the address-space side tell the core (change_...)?
 *
 * The core makes no system call: what it needs of the kernel it asks through the table.
 * src/linux fills it for the real process, tests/unit for a fake one.
 *
 * Locks. The mirror lock (struct hmm.lock) is the only one that crosses this seam. Calls
 * marked [locked] come with it held: they may not allocate, free, map, unmap, touch
 * application memory, nor call back into the core. The address-space side may hold leaf
 * locks of its own inside any of its functions, never across a call into the core.
 */
#ifndef CORE_SOURCE_H
#define CORE_SOURCE_H

#include <hmm/hmm.h>
#include <pthread.h>

/* One mapping, as far as the core must know it. */
struct source_mapping {
	uint64_t start, end;
	unsigned int access; /* what the CPU may do: HMM_READ, HMM_WRITE */
	bool pinnable;       /* pins stay the same memory: nobody can take its pages away
			      * without a change that is seen (private anonymous memory) */
	bool special;    /* I/O or kernel memory: [vvar], device mappings: no snapshot */
	bool unseen;     /* somebody may change it who is not heard of: no range */
	const char *why; /* when not pinnable: the reason, a constant string */
	char name[64];   /* as in /proc/self/maps, cut; for messages */
};

struct source_ops {
	size_t size;

	/* The mapping that contains addr. -ENOENT: a hole, and out->end says where it
	 * ends, or is 0 where that cannot be told. */
	int (*find)(void *source, uint64_t addr, struct source_mapping *out);

	/*
	 * See to it that every change of the mappings that cover [start, end) is noticed
	 * from now on; whole mappings are registered. Idempotent and cheap when armed.
	 * -EFAULT a hole; -EBUSY another userfaultfd owns one; -EOPNOTSUPP this kernel
	 * cannot watch this kind of mapping; -ENOMEM, -ENOSPC (too many mappings);
	 * -EAGAIN it keeps changing: ask again.
	 */
	int (*arm)(void *source, uint64_t start, uint64_t end);

	/* Fault in. -EFAULT, -EACCES, -ENOMEM, -EHWPOISON. */
	int (*populate)(void *source, uint64_t start, uint64_t end, bool write);

	/* Page states as HMM_PFN_..., one entry a page; holes are HMM_PFN_ERROR. */
	int (*scan)(void *source, uint64_t start, uint64_t end, uint64_t *pfns);

	/*
	 * Copy between application memory and the library's, with the CPU mapping's
	 * permissions; never a signal. -EFAULT if any byte cannot be copied.
	 */
	int (*copy_in)(void *source, void *to, uint64_t from, size_t len);
	int (*copy_out)(void *source, uint64_t to, const void *from, size_t len);

	/*
	 * [locked] Is the page there, in a mapping that is watched? 1, 0, or -errno when
	 * that cannot be told: an unwatched mapping may have taken the place of another
	 * just now, and a hole too.
	 */
	int (*present)(void *source, uint64_t addr);

	/*
	 * [locked] Tell changes that raise no event (mapping records) by change_seen().
	 * Called by a miss when a poll word moved, or always where there are none, with a
	 * patience of 0: it waits as long as it takes. And by change_records(), with its
	 * @patience_ms: false says that a lock was not to be had in that time, and that it
	 * has to be called again.
	 */
	bool (*drain)(void *source, uint32_t patience_ms);

	/*
	 * Are all system calls that were removing pages when @since was taken over?
	 * True only with proof. Called unlocked, rarely. source_ops.now gives @since.
	 */
	bool (*changers_done)(void *source, uint64_t since);
	uint64_t (*now)(void *source); /* [locked] or not; nanoseconds, monotonic */

	/*
	 * After it returns, every thread of the process has passed a full memory barrier.
	 * NULL: not to be had; then the hit path uses fences of its own. It may turn out
	 * later that it is not to be had any more: then @fences is set, and it returns
	 * when every thread has seen that or has passed a barrier since.
	 */
	void (*barrier)(void *source, _Atomic bool *fences);
};

/* What happened to a range. */
enum change_kind {
	CHANGE_GONE,    /* unmapped, moved, replaced, or its permissions changed: over */
	CHANGE_REMOVING /* its pages are going, perhaps only after this (MADV_DONTNEED) */
};

/*
 * Events, told by the one thread that reads them (hard rule 3):
 *
 *	change_mark(hmm);		before the read: nobody gets a translation
 *	read the events;		the changing threads run on from here
 *	change_event(hmm, ...);		for each
 *	change_unmark(hmm);
 *
 * mark takes no lock, so that an event can always be read. event and unmark take the
 * mirror lock; nothing here allocates, or calls a driver other than its revoke.
 *
 * Whoever holds that lock may have been interrupted by a signal handler that changes
 * memory, and wait there until its event has been read: false says that the lock was not
 * to be had within @patience_ms, and nothing was done.
 */
void change_mark(struct hmm *hmm);
bool change_event(struct hmm *hmm, enum change_kind kind, uint64_t start, uint64_t end,
		  uint32_t patience_ms);
bool change_unmark(struct hmm *hmm, uint32_t patience_ms);

/*
 * Where there are more words than a translation can look at for nothing, it looks at none
 * (core_poll_word() was not called), and the thread that reads the events is woken by each
 * record: between mark and unmark it has them told. false as above.
 */
bool change_records(struct hmm *hmm, uint32_t patience_ms);

/*
 * Around the start of watching mappings in [start, end), unlocked: until the event of an
 * unmapping has been read, watched memory there may be the next mapping's already.
 */
void change_arm_begin(struct hmm *hmm, uint64_t start, uint64_t end);
void change_arm_end(struct hmm *hmm);

/* A change that needs no device off the range: who looked at it is told. Unlocked. */
void change_told(struct hmm *hmm, uint64_t start, uint64_t end);

/* [locked, from source_ops.drain] A change that is over was found in a record. */
void change_seen(struct hmm *hmm, uint64_t start, uint64_t end);

/*
 * Changes that the calling thread is about to make (interposed calls, hmm_invalidate):
 * between begin and end nobody gets a translation of the range. On return from begin
 * every device is off it. begin cannot fail. *change lives on the caller's stack.
 * One thread may have several at a time (mremap has two). From begin to end the caller is
 * not disturbed (util/lock.h): a handler that left would leave the change for ever.
 */
struct change {
	uint64_t start, end;
	struct change *next, **link; /* mirror lock: the list of changes under way */
};
void change_begin(struct hmm *hmm, struct change *change, uint64_t start, uint64_t end);
void change_end(struct hmm *hmm, struct change *change);

/* Does the calling thread hold the mirror lock? Signal-safe. */
bool core_busy(void);

/*
 * Words that move when a change without event may have happened (the heads of perf
 * rings): every translation compares them. At most CORE_POLL_WORDS: all of them lie at the
 * same place of a page each, so that more would not fit into the first-level cache at once,
 * which has 8 to 12 lines for one such place (bench: processors).
 */
#define CORE_POLL_WORDS 8
int core_poll_word(struct hmm *hmm, const volatile uint64_t *word);

/* The life of a struct hmm; src/linux/process.c calls these. */
struct core_attr {
	uint32_t max_translations; /* not 0 */
	uint32_t wait_ms;          /* not 0 */
	const struct source_ops *ops;
	void *source;
};
int core_create(const struct core_attr *attr, struct hmm **out);
/* The body of the worker thread: returns after core_stop(). */
void core_worker(struct hmm *hmm);
/* No mirror is left; ends the worker's loop. */
void core_stop(struct hmm *hmm);
/* Worker and event thread have been joined. */
void core_destroy(struct hmm *hmm);
/* References; put returns true for the last one. */
void core_get(struct hmm *hmm);
bool core_put(struct hmm *hmm);

/*
 * fork (hard rule 9): in the child the object is dead: every call answers -ECHILD, nothing
 * is locked. (A clone that ran no handlers finds the sequence word wiped, with the same
 * result.) So no lock has to be held across the fork; and none may be: fork waits for
 * malloc's locks, whose holder may wait for an event to be read, and the thread that reads
 * events for ours.
 */
void core_fork_child(struct hmm *hmm);
bool core_dead(const struct hmm *hmm);

/* Counters that the address-space side feeds into hmm_stats_read(). Relaxed. */
enum core_count { COUNT_EVENTS, COUNT_INTERPOSED, COUNT_PERF, COUNT_NR };
void core_count(struct hmm *hmm, enum core_count which);

/* Is it ours within so many milliseconds? */
bool mutex_lock_within(pthread_mutex_t *mutex, uint32_t ms);

/* Structures that grow: what drivers have as hmm_struct_take() and hmm_struct_give(). */
int core_struct_take(void *to, size_t size, const void *from, const char *name);
void core_struct_give(void *to, size_t room, const void *from, size_t size);

/* What hmm_error() says in this thread; returns err. May be called anywhere unlocked. */
int core_error(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
