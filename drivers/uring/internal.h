/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The question this file answers: what do the parts of the io_uring driver share?
 *
 *	device.c	open, close, and the driver's operations
 *	slots.c		the ring's table of fixed buffers
 *	submit.c	prepare and submit: pointers into fixed buffers
 *	reap.c		completions
 *	features.c	what this machine offers
 *	check.c		the driver as the conformance suite sees it
 *
 * Threads. The submitting thread owns what is marked [submit], the reaping thread what is
 * marked [reap] (they may be one); struct uring_slots has a lock of its own, because
 *mappings are made and released in any thread. One operation passes from the submitter to
 *the kernel to the reaper, and back to the submitter through `returned`.
 */
#ifndef URING_INTERNAL_H
#define URING_INTERNAL_H

#include <hmm/driver.h>
#include <hmm/uring.h>
#include <pthread.h>
#include <stdatomic.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Newer than the liburing of Debian 12; what each does is looked up at run time. */
#define OP_READV_FIXED  60u /* 6.15 */
#define OP_WRITEV_FIXED 61u /* 6.15 */

#define SETUP_SINGLE_ISSUER (1u << 12)
#define SETUP_KNOWN         ((1u << 18) - 1) /* up to HYBRID_IOPOLL; then mixed sizes */

#define SLOTS_MAX  16384u       /* IORING_MAX_REG_BUFFERS of the kernel */
#define BUFFER_MAX (1ull << 30) /* the kernel's limit for one buffer */
#define OPS_MAX    (1u << 18)   /* in flight at a time; more are plain operations */
#define DIRECT_MAX (1ull << 30) /* plain operations need nothing: much at once */

/* An operation on a fixed buffer, from submit to its last completion. One cache line. */
struct uring_op {
	uint64_t user_data; /* the application's */
	union {
		struct hmm_translation translation; /* busy */
		struct uring_op *next;              /* free */
	};
	_Atomic(bool) busy; /* for hmm_uring_prep_cancel, which looks in any op */
	uint8_t opcode;     /* what the sqe held before, to undo it */
	uint16_t ioprio;
	int32_t fd;
	int32_t error; /* not 0: complete with this; there is no translation */
	uint8_t flags;
};
_Static_assert(sizeof(struct uring_op) == 64, "one cache line an operation");

struct uring_slots {
	_Atomic(uint32_t) waiting; /* how many are in deferred; written under lock */
	uint32_t nr;
	int fd;               /* the ring, by a descriptor of ours */
	pthread_mutex_t lock; /* a leaf: nothing else is taken under it */
	uint32_t nr_free;     /* lock */
	uint16_t *free;       /* lock; a stack */
	uint16_t *deferred;   /* lock; cleared by the ring's own thread */
};

/* Laid out by who writes it: an operation touches three cache lines of it. */
struct hmm_uring {
	_Atomic(bool) alive; /* wiped in the child of a fork */
	bool sqpoll;
	bool vectored; /* the kernel has READV_FIXED */
	bool zerocopy; /* the kernel has SEND_ZC on fixed buffers */
	uint8_t sqe_shift;
	struct io_uring *ring;
	struct hmm_device *device;
	struct uring_op *ops;
	size_t mapped; /* bytes of this object and all it points to */
	struct uring_slots slots;

	struct uring_op *free __attribute__((aligned(64))); /* [submit] */
	uint32_t nr_used;        /* [submit] of ops, how many were ever used */
	unsigned int translated; /* [submit] sqes before this one were looked at */
	uint64_t fixed, plain, refused, retranslated; /* [submit] for hmm_uring_stats */

	/* A list; filled by [reap] when empty, emptied by [submit]. */
	_Atomic(struct uring_op *) returned __attribute__((aligned(64)));
	struct uring_op *done; /* [reap] finished, not yet returned */
	unsigned int restored; /* [reap] completions before this one were restored */
};

int uring_slots_init(struct uring_slots *slots, int ring_fd, uint32_t nr);
void uring_slots_fini(struct uring_slots *slots);
int uring_slots_map(struct uring_slots *slots, void *start, size_t len, uint32_t *slot);
void uring_slots_release(struct uring_slots *slots, uint32_t slot);
void uring_slots_clear_deferred(struct uring_slots *slots);
/* Do pages stay pinned for a while after a slot was cleared? */
bool uring_slots_late(void);
uint32_t uring_slots_used(struct uring_slots *slots);

/* Undo what was translated and is still in the application's hands. */
void uring_submit_undo(struct hmm_uring *u);
/* How many operations the kernel or the application has yet to finish. */
unsigned int uring_in_flight(const struct hmm_uring *u);

/* The operation in flight that has this user_data, or NULL: it is not ours. */
static inline struct uring_op *uring_op_of(const struct hmm_uring *u, uint64_t user_data)
{
	struct uring_op *op = (struct uring_op *)(uintptr_t)user_data;
	uint64_t at = user_data - (uintptr_t)u->ops;

	if (at >= OPS_MAX * sizeof(*op) || at % sizeof(*op))
		return NULL;
	return atomic_load_explicit(&op->busy, memory_order_relaxed) ? op : NULL;
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
