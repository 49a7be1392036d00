/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The core's own structures.
 *
 * The question this file answers: what does the library remember, and which lock guards it?
 *
 * One lock, struct hmm.lock ("the mirror lock"), guards everything here that is not marked
 * otherwise. While it is held nobody may malloc, free, map, unmap, madvise, or touch
 * application memory (hard rule 2). It is a leaf but for the drivers' own locks, which
 * their commit and revoke may take.
 *
 * The hit path (hit.c) takes no lock. It reads what is marked [hit], with the orders
 * written there, and writes one word of its own thread's: the number of the slot that it
 * holds. The slow side makes up for the missing fences with a barrier that all threads pass
 * (source_ops.barrier), and reads the words of all threads.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <hmm/driver.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/source.h"
#include "util/lock.h"

#define HIDDEN      __attribute__((visibility("hidden")))
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Plain fields that the hit path reads while they may be rewritten: no torn values. */
#define LOAD(x)     __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define STORE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* A full fence; the thread sanitizer knows of none but those in atomic operations. */
#ifdef __has_feature
#define CORE_TSAN __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define CORE_TSAN 1
#else
#define CORE_TSAN 0
#endif
extern HIDDEN _Atomic uint32_t core_fence_word;
static inline void core_fence(void)
{
#if CORE_TSAN
	atomic_fetch_add(&core_fence_word, 0);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* ---- slots: one translation each ---------------------------------------------- */

/*
 * The state word of a slot: flags, and a generation that moves each time the slot is
 * filled. A holder names (slot, generation).
 */
#define SLOT_VALID   (1u << 0) /* published and not revoked */
#define SLOT_READ    (1u << 1)
#define SLOT_WRITE   (1u << 2)
#define SLOT_INDEXED (1u << 3) /* found by the hit path */
#define SLOT_ONCE    (1u << 4) /* ends with its only holder: never indexed */
#define SLOT_STAGE   (1u << 5) /* once, with a bounce buffer */
#define SLOT_QUEUED  (1u << 6) /* revoked, on hmm.queue: to be looked at */
#define SLOT_HELD    (1u << 7) /* revoked, on hmm.held: a holder is left */
#define SLOT_AGAIN   (1u << 8) /* a put came while a releaser was looking at it */
#define SLOT_MODE    9         /* 2 bits: enum hmm_mode */
#define SLOT_GEN     11        /* 21 bits */

/*
 * What the hit path reads of a translation: half a cache line, so that more of them stay
 * in the cache (bench: translate). The rest is in struct cold, at the same number.
 */
struct slot {
	uint64_t start;  /* [hit] */
	uint64_t addr;   /* [hit] */
	uint32_t pages;  /* [hit] */
	uint32_t key;    /* [hit] */
	uint32_t state;  /* [hit] its release store publishes the rest */
	uint16_t used;   /* [hit] the clock's time of the last hit; written when it moved */
	uint16_t mirror; /* [hit] struct hmm_mirror.id */
};
_Static_assert(sizeof(struct slot) == 32, "two translations a cache line");

struct cold {
	void *priv;            /* the driver's */
	uint64_t max;          /* tree: the largest end below this node */
	_Atomic uint64_t held; /* the last look (hmm.looks) that found it held; no lock */
	uint32_t left, right;  /* tree; free list, queue and held list: previous and next */
};

#define PAGES_MAX 0x40000000u /* in one translation */

/* ---- the index: how the hit path finds a slot ---------------------------------- */

#define BUCKET_ENTRIES 12

/* One cache line. Tags are a byte each, 0 is empty; the last byte counts passers-by. */
struct bucket {
	uint64_t tags[2];
	uint32_t slots[BUCKET_ENTRIES];
};
_Static_assert(sizeof(struct bucket) == 64, "one cache line a bucket");

struct index_table {
	struct bucket *buckets;
	uint64_t mask;
};

struct index {
	_Atomic(struct index_table *) table; /* [hit] one of the two below */
	struct index_table tables[2];
	uint64_t entries;
	uint64_t max_buckets; /* reserved in each table */
};

/* ---- closed ranges --------------------------------------------------------------- */

#define CLOSED_MAX 256

struct closed {
	uint64_t start, end;
	uint64_t probe; /* a page that was there when the removal began; 0: none known */
	uint64_t since; /* source_ops.now() at the event */
};

/* ---- the process ------------------------------------------------------------------ */

#define MIRRORS   1024 /* at a time */
#define CHANGES   4096 /* remembered */
#define CLASS_MAX 48
#define NO_SLOT   0u

struct logged {
	_Atomic uint64_t start, end;
};

/*
 * What a thread holds: the numbers of slots, each in a place of its own, in lines that stay
 * in this thread's cache. Who fills a place is its thread alone, and only an empty one; who
 * empties it is whoever gives that reference back, in any thread. A thread that ends leaves
 * the list, with what is still held in it, to the next one.
 */
#define HOLDS 56

struct holds {
	struct holds *next; /* constant */
	struct holds *idle; /* holds_lock (hold.c): the next one without a thread */
	uint64_t
		empty; /* this thread's: the places that it knows to be empty, a bit each */
	_Atomic uint32_t used; /* [hit] no place from here on was ever filled */
	uint32_t unused;
	_Atomic uint32_t slot[HOLDS]; /* [hit] 0: empty */
};
_Static_assert(sizeof(struct holds) == 256, "four cache lines, the first is enough mostly");

/* In memory that the child of a fork finds zeroed. */
struct wiped {
	_Atomic uint64_t seq; /* [hit] even: settled; odd: events are being read; 0: dead */
};

struct list {
	uint32_t head, tail;
};

struct hmm {
	/* Constant after core_create(). [hit] */
	uint64_t id; /* of this struct hmm among all that the process ever had; not 0 */
	struct wiped *wiped;
	struct slot *slots;
	struct cold *cold;
	uint32_t page_shift;
	_Atomic bool fences; /* no barrier is to be had: the hit path uses fences */
	uint32_t max_slots;
	uint32_t wait_ms;
	const struct source_ops *ops;
	void *source;

	/* [hit] */
	struct index index;
	_Atomic uint32_t nr_poll;
	struct {
		const volatile uint64_t *word;
		_Atomic uint64_t seen;
	} poll[CORE_POLL_WORDS];
	_Atomic uint32_t clock; /* moves with evictions, and now and then with misses */

	pthread_mutex_t lock __attribute__((aligned(64)));
	struct event_count settled; /* seq became even, a change ended */
	struct event_count work;    /* the worker's */
	bool worker_idle, stop;
	struct event_count idle; /* a slot was freed */

	struct change *changes;    /* under way */
	_Atomic uint64_t log_head; /* changes logged; [hit] relaxed outside the lock */
	struct logged log[CHANGES];

	uint32_t root;       /* tree of valid slots */
	uint32_t free;       /* list through right */
	uint32_t slots_high; /* slots ever used; 0 is none */
	uint32_t hand;       /* of the eviction clock */
	struct list queue;   /* revoked, to be looked at */
	struct list held;    /* revoked, held by somebody */
	uint32_t queued;     /* length of queue */
	uint32_t posted;     /* revoked, and some thread waits until their device is off */
	uint32_t releasing;  /* taken from the queue by somebody just now */

	struct closed closed[CLOSED_MAX];
	uint32_t nr_closed;
	uint32_t arming;      /* threads between change_arm_begin() and end */
	uint64_t closed_next; /* when changers_done() may be asked again */
	uint64_t closed_wait;

	struct hmm_mirror *mirrors[MIRRORS];
	struct hmm_stats past; /* of the mirrors that were destroyed */
	_Atomic uint32_t refs;

	/* References; [hit] through struct self, or by who has no empty place left. */
	_Atomic(struct holds *) holds; /* all lists, newest first */
	_Atomic uint32_t *more;        /* a count a slot, of what no list had room for */
	_Atomic bool any_more;         /* one of these counts was used */
	_Atomic uint64_t looks;        /* at all lists, so far */
	/* holds_lock (hold.c) */
	struct holds *left;  /* lists whose thread has ended */
	struct holds *fresh; /* of the newest page: what was not handed out yet */
	uint32_t nr_fresh, nr_holds;

	_Atomic uint64_t counters[COUNT_NR];
};

struct hmm_device {
	struct hmm *hmm;
	const struct hmm_driver *driver;
	struct hmm_driver_ops ops; /* with the missing entries filled in */
	void *priv;
	_Atomic(struct hmm_mirror *) mirror;
	uint32_t entries; /* mappings that it has, where max_entries counts them */
};

struct bounce;

struct hmm_mirror {
	/* Constant after creation. [hit] */
	struct hmm *hmm;
	struct hmm_device *device;
	uint32_t id;
	_Atomic uint64_t classes; /* [hit] bit k: translations of 2^k to 2^(k+1) bytes */
	uint64_t start, end, granule, max_pinned;
	uint32_t max_translations, modes;

	uint32_t class_count[CLASS_MAX];
	uint32_t live;   /* slots that name this mirror, in any state */
	uint32_t posted; /* revoked, and the device perhaps not off it */
	uint32_t users;  /* threads that make a translation of it, or wait for its device */
	bool closing;
	bool by_default;        /* it came with the device */
	struct bounce *bounces; /* those not in use */
	struct hmm_stats stats;
};

/* ---- this thread -------------------------------------------------------------------- */

struct self {
	uint64_t hmm_id;     /* the struct hmm that holds belongs to; 0: none */
	struct holds *holds; /* [hit] this thread's references */
	uint32_t busy;       /* the mirror lock is held, or about to be */
	bool locked;         /* and it really is: not in the child of a fork */
	char *error;         /* what hmm_error() says; malloc'd */
};
extern HIDDEN __thread struct self self __attribute__((tls_model("initial-exec")));

/* hold.c */
int holds_init(struct hmm *hmm);
void holds_fini(struct hmm *hmm);
int thread_attach(struct hmm *hmm); /* unlocked; makes self.holds usable */
void holds_thread_exit(void);
void holds_fork_child(void);
/* Whoever asks whether slots are held looks at all lists once, for any number of them. */
uint64_t holds_look_begin(struct hmm *hmm);
void holds_look(struct hmm *hmm, uint64_t look, uint32_t state);
bool hold_found(struct hmm *hmm, uint32_t slot, uint64_t look);
uint64_t hold_more(struct hmm *hmm, uint32_t slot);

/* thread.c */
struct timespec;
bool thread_watch_exit(void);
void core_lock(struct hmm *hmm);
bool core_lock_within(struct hmm *hmm, uint32_t ms);
void core_unlock(struct hmm *hmm);
/* Until the deadline, or until somebody wakes the waiters; drops the lock meanwhile. */
bool core_wait_locked(struct hmm *hmm, struct event_count *events,
		      const struct timespec *deadline);
void core_assert_locked(const struct hmm *hmm);

/* slot.c: the life of a slot. All _locked. */
int slots_init(struct hmm *hmm, uint32_t max);
void slots_fini(struct hmm *hmm);
uint32_t slot_alloc_locked(struct hmm *hmm);
void slot_publish_locked(struct hmm_mirror *mirror, uint32_t index,
			 const struct hmm_mapping *mapping, uint32_t flags);
/*
 * Valid no more: off the index, the tree and, after revoke_finish() of what was posted, the
 * device; then it is queued for release.
 */
void slot_revoke_locked(struct hmm *hmm, uint32_t index, struct list *posted);
void slot_revoke_range_locked(struct hmm *hmm, uint64_t start, uint64_t end,
			      struct list *posted);
struct hmm_mirror *slot_mirror(struct hmm *hmm, const struct slot *slot);
void slot_mapping(struct hmm *hmm, uint32_t index, struct hmm_mapping *out);

static inline uint64_t slot_size(const struct hmm *hmm, uint32_t index)
{
	return (uint64_t)hmm->slots[index].pages << hmm->page_shift;
}

static inline uint64_t slot_end(const struct hmm *hmm, uint32_t index)
{
	return hmm->slots[index].start + slot_size(hmm, index);
}

static inline enum hmm_mode slot_mode(const struct slot *slot)
{
	return (enum hmm_mode)((LOAD(slot->state) >> SLOT_MODE) & 3);
}

/* Bytes that a translation keeps pinned. */
static inline uint64_t slot_pinned(const struct hmm *hmm, uint32_t index)
{
	return slot_mode(&hmm->slots[index]) == HMM_MODE_PIN ? slot_size(hmm, index) : 0;
}

/* revoke.c: the second half of revoking. @posted: the caller's own. */
void revoke_post_locked(struct hmm *hmm, uint32_t index, struct list *posted);
/* Every device is off all that anybody has revoked until now; this gives the lock back. The
 * caller is undisturbed from before it had the lock until this has returned. */
void revoke_unlock(struct hmm *hmm, struct list *posted);
void revoke_finish_locked(struct hmm *hmm, struct list *posted);

/* release.c: hard rules 5 and 6. */
void slot_list_push(struct hmm *hmm, struct list *list, uint32_t index);
void release_init(struct hmm *hmm);
void release_push_locked(struct hmm *hmm, uint32_t index, bool wake);
void release_run(struct hmm *hmm); /* unlocked; may sleep; calls drivers */
void release_put_locked(struct hmm *hmm, uint32_t index);

/* index.c; all but find _locked */
int index_init(struct index *index, uint64_t max_entries);
void index_fini(struct index *index);
void index_add_locked(struct hmm *hmm, uint32_t slot);
void index_del_locked(struct hmm *hmm, uint32_t slot);

/* tree.c: the valid slots by address; all _locked */
void tree_add_locked(struct hmm *hmm, uint32_t slot);
void tree_del_locked(struct hmm *hmm, uint32_t slot);
uint32_t tree_overlap_locked(struct hmm *hmm, uint64_t start, uint64_t end);
uint64_t tree_last_pinned_locked(struct hmm *hmm, uint64_t start, uint64_t end);

/* change.c */
/* So many milliseconds from now; in: by CLOCK_MONOTONIC. */
void deadline_by(clockid_t clock, struct timespec *out, uint32_t ms);
void deadline_in(struct timespec *out, uint32_t ms);
void log_change_locked(struct hmm *hmm, uint64_t start, uint64_t end);
bool log_overlaps(struct hmm *hmm, uint64_t since, uint64_t start, uint64_t end);
/* Is one of the calls that announce themselves changing the range? */
bool change_touches_locked(struct hmm *hmm, uint64_t start, uint64_t end);
/* Waits until no change of the range is under way; drops the lock while waiting. */
int change_settle_locked(struct hmm *hmm, uint64_t start, uint64_t end,
			 const struct timespec *deadline);
void change_drain_locked(struct hmm *hmm);
static inline bool change_poll_moved(const struct hmm *hmm)
{
	uint32_t n = atomic_load_explicit(&hmm->nr_poll, memory_order_acquire);

	for (uint32_t i = 0; i < n; i++)
		/* The second acquire: who finds them equal goes on to find the slots as the
		 * drain left them (change_drain_locked). */
		if (__atomic_load_n(hmm->poll[i].word, __ATOMIC_ACQUIRE) !=
		    atomic_load_explicit(&hmm->poll[i].seen, memory_order_acquire))
			return true;
	return false;
}

/* closed.c: hard rule 4 */
void closed_add_locked(struct hmm *hmm, uint64_t start, uint64_t end, uint64_t probe);
void closed_void_probes_locked(struct hmm *hmm, uint64_t start, uint64_t end);
bool closed_overlaps_locked(struct hmm *hmm, uint64_t start, uint64_t end);
/* Look for proof that removals are over; unlocked, may sleep. */
void closed_settle(struct hmm *hmm);

/* evict.c: Y8 */
#define EVICT_TRIES 64 /* times that room is made for one mapping */
bool evict_locked(struct hmm *hmm, struct hmm_mirror *mirror, uint64_t bytes,
		  uint32_t slots, struct list *posted);
void evict_settle(struct hmm *hmm);
bool evict_for_slot(struct hmm_mirror *mirror);
/* The driver's map; what is idle goes when the device has no room. Unlocked; may sleep. */
int map_with_room(struct hmm_device *device, struct hmm_mapping *mapping);
bool evict_for_device(struct hmm_device *device, uint64_t bytes);
/* A mapping that map_with_room() made is released. */
void entry_put(struct hmm_device *device);
void entry_put_locked(struct hmm_device *device);

/* fill.c: a miss */
struct request {
	struct hmm_mirror *mirror;
	uint64_t ptr, end;    /* bytes */
	uint64_t start, stop; /* pages */
	unsigned int access;
};
int fill(struct request *request, struct hmm_translation *out);
/* around.c: [start, end) with what is translated with the request, inside [low, high). */
void around(const struct request *request, enum hmm_mode mode, uint64_t low, uint64_t high,
	    uint64_t *start, uint64_t *end);
/* hit.c: under the lock as well */
bool hit(struct hmm_mirror *mirror, uint64_t start, uint64_t end, unsigned int access,
	 struct hmm_translation *out);

/* stage.c */
int stage_get(struct request *request, bool readable, struct hmm_translation *out);
int stage_put(struct hmm_translation *translation, size_t moved);
bool stage_drop_idle(struct hmm_mirror *mirror);

/* licence.c: an SPDX expression, or what kernel modules have */
bool licence_gpl_compatible(const char *expression);

/* mirror.c */
int mirror_usable(struct hmm_mirror *mirror);
int mirror_close(struct hmm_mirror *mirror);
int mirror_make_default(struct hmm_device *device);
void mirrors_fini(struct hmm *hmm);

static inline uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t longest_mapping(const struct hmm_mirror *mirror)
{
	uint64_t max = mirror->device->driver->max_map;
	uint64_t most = (uint64_t)PAGES_MAX << mirror->hmm->page_shift;

	return max && max < most ? max : most;
}

static inline uint64_t page_down(uint64_t address, uint64_t page)
{
	return address & ~(page - 1);
}

#endif
