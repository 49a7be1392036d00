/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The question this file answers: what do the parts of the io_uring driver share?
 *
 *	device.c	open, close, and the driver's operations
 *	slots.c		the ring's table of fixed buffers
 *	files.c		which files gain by a fixed buffer, and take one as they take memory
 *	admit.c		is a buffer worth pinning now?
 *	ops.c		the operations in flight, and the names that the kernel knows them
 *by sqe.c		what an sqe asks for, and how it is rewritten and put back submit.c
 *prepare and submit: pointers into fixed buffers reap.c		completions
 *	features.c	what this machine offers
 *	check.c		the driver as the conformance suite sees it
 *
 * Threads. The submitting thread owns what is marked [submit], the reaping thread what is
 * marked [reap] (they may be one); struct uring_slots has a lock of its own, because
 * mappings are made and released in any thread. One operation passes from the submitter to
 * the kernel to the reaper, and back to the submitter through `returned`.
 */
#ifndef URING_INTERNAL_H
#define URING_INTERNAL_H

#include <hmm/driver.h>
#include <hmm/uring.h>
#include <pthread.h>
#include <stdatomic.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Newer than the liburing of Debian 12. */
#define SETUP_SINGLE_ISSUER      (1u << 12)
#define SETUP_REGISTERED_FD_ONLY (1u << 15)
#define SETUP_KNOWN              ((1u << 18) - 1) /* up to HYBRID_IOPOLL; then mixed sizes */

#define SLOTS_MAX  16384u       /* IORING_MAX_REG_BUFFERS of the kernel */
#define BUFFER_MAX (1ull << 30) /* the kernel's limit for one buffer */
#define OPS_MAX    (1u << 18)   /* in flight at a time; more are plain operations */
#define DIRECT_MAX (1ull << 30) /* plain operations need nothing: much at once */
#define SQES_MAX   32768u       /* IORING_MAX_ENTRIES of the kernel */

/*
 * An operation on a fixed buffer, from submit to its last completion. One cache line.
 *
 * The kernel knows it by `id`, which is its number in the low bits and a serial number
 * above, both hidden behind a random number: no id comes twice, so that a cancel that is
 * carried out late cancels nobody else, and no user_data of the application's is one.
 */
struct uring_op {
	_Atomic(uint64_t) id; /* 0: free */
	uint64_t user_data;   /* the application's */
	union {
		struct hmm_translation translation; /* in use */
		struct uring_op *next;              /* free */
	};
	int16_t error; /* not 0: complete with this; there is no translation */
	bool zerocopy; /* there may be a second completion that the first did not announce
			*/
};
_Static_assert(sizeof(struct uring_op) == 64, "one cache line an operation");

/* Operations with the same hash of their user_data; numbers from 1 on, 0 is none. */
struct uring_link {
	uint32_t next, previous;
};
#define BY_DATA 4096u

/*
 * A name that may come back once more: of a zero-copy send that failed, the kernel tells
 * the end of the use of its memory, too, which was none.
 */
struct uring_late {
	uint64_t id, user_data;
};
#define LATE 4096u

/* What a sqe held before it was rewritten, by the number of the sqe in the ring's life. */
struct uring_kept {
	uint64_t user_data, addr;
	uint64_t id; /* KEPT_OP: its name */
	uint32_t len;
	int32_t fd;
	uint16_t buf_index, ioprio;
	uint8_t opcode, flags;
	uint8_t state;
};
enum { KEPT_NOTHING, KEPT_ASKED, KEPT_OP, KEPT_CANCEL }; /* ASKED: prepared by our calls */

/* What is known of a descriptor. */
struct uring_file {
	int fd;
	uint32_t submit; /* hmm_uring.submits when it was looked at */
	uint16_t left;   /* uses until it is looked at again, where it is plain */
	uint8_t kind;
};
enum uring_file_kind {
	FILE_UNKNOWN,
	FILE_PLAIN,   /* a fixed buffer gains nothing, or is refused */
	FILE_ALIGNED, /* O_DIRECT: for what is aligned */
	FILE_ANY,     /* for everything */
};
#define FILES 64u

/* How many misses of a part of the address space are plain before a pin is tried again. */
struct uring_part {
	uint16_t left, wait;
};
#define PARTS 256u
#define SEEN  4096u /* pages that were used without a fixed buffer, and are remembered */

struct uring_slots {
	_Atomic(uint32_t) waiting; /* how many are in deferred; written under lock */
	uint32_t nr;
	struct io_uring *ring;
	uint64_t dev, ino;    /* the ring's file: how its descriptor is known */
	_Atomic(int) fd;      /* the ring, by a descriptor of ours: hmm_fd_keep() */
	pthread_mutex_t lock; /* a leaf: nothing else is taken under it */
	uint32_t nr_free;     /* lock */
	uint16_t *free;       /* lock; a stack */
	uint16_t *deferred;   /* lock; cleared by the ring's own thread */
};

/* Laid out by who writes it. */
struct hmm_uring {
	_Atomic(bool) alive; /* wiped in the child of a fork */
	bool sqpoll;
	bool pin_all;  /* HMM_URING_PIN_ALL */
	bool zerocopy; /* the kernel has SEND_ZC on fixed buffers */
	uint8_t sqe_shift;
	struct io_uring *ring;
	struct hmm_device *device;
	struct uring_op *ops;
	struct uring_link *links;
	struct uring_kept *kept;
	uint64_t secret;
	size_t mapped; /* bytes of this object and all it points to */
	struct uring_slots slots;

	struct uring_op *free __attribute__((aligned(64))); /* [submit] */
	_Atomic(uint32_t) nr_used; /* [submit] of ops, how many were ever used */
	unsigned int translated;   /* [submit] sqes before this one were looked at */
	unsigned int rewritten;    /* [submit] sqes that are, and are still the kernel's */
	unsigned int put_back;     /* [submit] sqes before this one are as they were */
	bool linked, behind_skip;  /* [submit] of the next sqe: see uring_chain_next() */
	uint32_t submits;          /* [submit] */
	uint32_t crowded;          /* [submit] pins until it is not; see admit.c */
	uint32_t crowd_left;       /* [submit] misses until the next pin */
	uint64_t serial;           /* [submit] of operations */
	uint64_t fixed, plain, refused, retranslated; /* [submit] for hmm_uring_stats */
	struct uring_file files[FILES];               /* [submit] */
	struct uring_part parts[PARTS];               /* [submit] */
	uint16_t seen[SEEN];                          /* [submit] see admit.c */
	uint32_t by_data[BY_DATA];                    /* [submit] */

	/* A list; filled by [reap] when empty, emptied by [submit]. */
	_Atomic(struct uring_op *) returned __attribute__((aligned(64)));
	struct uring_op *done;   /* [reap] finished, not yet returned */
	unsigned int restored;   /* [reap] completions before this one were restored */
	bool late_used;          /* [reap] */
	struct uring_late *late; /* [reap] by the number of the operation */
};

/* slots.c */
int uring_slots_init(struct uring_slots *slots, struct io_uring *ring, uint32_t nr);
void uring_slots_fini(struct uring_slots *slots);
int uring_slots_map(struct uring_slots *slots, void *start, size_t len, uint32_t *slot);
void uring_slots_release(struct uring_slots *slots, uint32_t slot);
void uring_slots_clear_deferred(struct uring_slots *slots);
/* Do pages stay pinned for a while after a slot was cleared? */
bool uring_slots_late(void);
uint32_t uring_slots_used(struct uring_slots *slots);
/* Moves when this thread finds no room for a mapping, or lets one go. */
extern __thread uint32_t uring_slots_pressure __attribute__((visibility("hidden")));

/* What memory an sqe reaches. */
struct uring_span {
	uint64_t start;
	size_t len;
	unsigned int access;
};

/* sqe.c */
/* The user_data that an sqe has from its last use is the application's again. */
void uring_sqe_leftover(const struct hmm_uring *u, unsigned int index);
/* False: the operation stays plain. */
bool uring_sqe_span(struct hmm_uring *u, const struct io_uring_sqe *sqe,
		    struct uring_span *span);
void uring_sqe_keep(struct uring_kept *kept, const struct io_uring_sqe *sqe);
void uring_sqe_fix(struct io_uring_sqe *sqe, const struct uring_span *span, uint32_t slot);
void uring_sqe_fail(struct io_uring_sqe *sqe);
void uring_sqe_put_back(struct io_uring_sqe *sqe, const struct uring_kept *kept);

/* files.c */
enum uring_file_kind uring_file_kind(struct hmm_uring *u, const struct io_uring_sqe *sqe);
/* As far as the file tells, will a read move all of it? */
bool uring_file_has(const struct io_uring_sqe *sqe, const struct uring_span *span);

/* admit.c: 0, -EAGAIN: it stays plain; else as hmm_translate(). */
int uring_admit(struct hmm_uring *u, struct hmm_mirror *mirror,
		const struct io_uring_sqe *sqe, const struct uring_span *span,
		struct hmm_translation *out);

/* ops.c */
struct uring_op *uring_op_get(struct hmm_uring *u);
void uring_op_put(struct hmm_uring *u, struct uring_op *op); /* never submitted */
/* It has a name from now on. */
void uring_op_name(struct hmm_uring *u, struct uring_op *op, uint64_t user_data);
/* One in flight that the application set this user_data in; NULL: none of ours. */
struct uring_op *uring_op_find(const struct hmm_uring *u, uint64_t user_data);
/* How many operations the kernel or the application has yet to finish. */
unsigned int uring_in_flight(const struct hmm_uring *u);

/* Undo what was translated and is still in the application's hands. */
void uring_submit_undo(struct hmm_uring *u);

/* The operation in flight that the kernel knows by this name, or NULL: it is not ours. */
static inline struct uring_op *uring_op_of(const struct hmm_uring *u, uint64_t id)
{
	uint64_t number = (id ^ u->secret) % OPS_MAX;
	struct uring_op *op = &u->ops[number];

	if (number >= atomic_load_explicit(&u->nr_used, memory_order_relaxed))
		return NULL;
	return atomic_load_explicit(&op->id, memory_order_relaxed) == id ? op : NULL;
}

static inline struct io_uring_sqe *uring_sqe_at(const struct hmm_uring *u,
						unsigned int index)
{
	struct io_uring_sq *sq = &u->ring->sq;

	return &sq->sqes[(size_t)(index & sq->ring_mask) << u->sqe_shift];
}

static inline struct uring_kept *uring_kept_at(const struct hmm_uring *u,
					       unsigned int index)
{
	return &u->kept[index % SQES_MAX];
}

/* A fixed buffer gains nothing, or is refused, as far as is known of the file. */
static inline bool uring_file_is_plain(struct hmm_uring *u, int fd)
{
	struct uring_file *file = &u->files[(unsigned int)fd % FILES];

	return file->fd == fd && file->kind == FILE_PLAIN && file->left && file->left--;
}

static inline uint64_t uring_op_id(const struct uring_op *op)
{
	return atomic_load_explicit(&op->id, memory_order_relaxed);
}

static inline bool uring_alive(const struct hmm_uring *u)
{
	return atomic_load_explicit(&u->alive, memory_order_relaxed);
}

/* Only the ring's own thread can; elsewhere it does nothing. */
static inline void uring_catch_up(struct hmm_uring *u)
{
	if (atomic_load_explicit(&u->slots.waiting, memory_order_relaxed))
		uring_slots_clear_deferred(&u->slots);
}

#endif
