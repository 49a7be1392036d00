/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does an interposed call do before and after the real one?
 *
 *	if (interpose_begin(&op, start, end, HOW))
 *		...
 *	ret = the system call
 *	interpose_end(&op);
 *
 * They are called before the library was opened, before any constructor has run, and in
 * children of fork: then nothing is open, and the call is only passed on. They are called
 * in signal handlers, and by the library's own drivers, too.
 *
 * What the kernel says is passed on unchanged, with errno as libc sets it.
 */
#ifndef AS_INTERPOSE_H
#define AS_INTERPOSE_H

#include <errno.h>
#include <sys/types.h>

#include "linux/address_space.h"
#include "sys/raw.h"
#include "util/arena.h"

/*
 * A sanitizer wraps the same functions, and must see the calls: then events carry the
 * changes.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INTERPOSE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INTERPOSE 0
#endif
#endif
#ifndef INTERPOSE
#define INTERPOSE 1
#endif

#define MIN_PAGE 4096 /* of all machines: on most it is the page */

enum how {
	UNMAPS,   /* events would tell: only what is watched, which is disarmed */
	DISCARDS, /* the same, and the range stays mapped, or may */
	REPLACES, /* no event would tell: also told afterwards; and disarmed */
	ALTERS    /* no event would tell: also told afterwards */
};

struct op {
	struct hmm *hmm; /* NULL: passed on only */
	struct change change;
	enum how how;
	bool rearm; /* a part of a watched mapping is disarmed: for the call only */
};

/* op.hmm: nothing was mirrored there when the call began, and no event would tell. */
#define OP_LOOK_AGAIN ((struct hmm *)1)

/*
 * What a call begins under each of its names: that of libc, or its number by syscall(2).
 * interpose_map.c, interpose_file.c, interpose_fd.c
 */
struct iovec;
typedef ssize_t next_advise_process(int pidfd, const struct iovec *iov, size_t nr,
				    int advice, unsigned int flags);
void interpose_begin_advice(struct op *op, uint64_t start, size_t len, int advice);
/* Does process_madvise() put guards into @nr ranges, which are to be told one by one? */
bool interpose_guards(int advice, size_t nr);
ssize_t interpose_guard_each(next_advise_process *next, int pidfd, const struct iovec *iov,
			     size_t nr, unsigned int flags);
/* Everything that is watched of a file. */
void interpose_begin_fd(struct op *op, int fd);
void interpose_begin_path(struct op *op, const char *path);
/* It was, by who opened it. interpose_open.c */
void interpose_emptied(int fd);
bool interpose_removes(int fallocate_mode);
void interpose_begin_detach(struct op *op, uint64_t addr);
void interpose_begin_attach(struct op *op, int id, uint64_t addr, int flags);
void interpose_attached(int id, uint64_t addr, int flags);
/* A descriptor of the library's own is left alone; the others of a range are closed. */
bool interpose_keeps(int fd);
long interpose_close_around(unsigned int first, unsigned int last, int flags);
void interpose_make_way(int fd);

/* The library's own functions, under names that nobody else has. */
int interpose_munmap(void *addr, size_t len);
void *interpose_malloc(size_t size);

void interpose_begin_slow(struct op *op, uint64_t start, uint64_t end, enum how how);
void interpose_end_slow(struct op *op);

/*
 * The two ways of a call that occupies memory which was free before. Another thread may
 * have unmapped it by a raw or inner call whose event is still unread, and a device may
 * still have it; this thread must not return before nobody has.
 */
/* All of [start, end) is new: whoever has it lets go. */
void interpose_placed(uint64_t start, uint64_t end);
/* Something of it may be new: every event of what was unmapped before is waited for. */
void interpose_settle(uint64_t start, uint64_t end);

static inline uint64_t page_up(uint64_t addr)
{
	uint64_t mask = page_size() - 1;

	return (addr + mask) & ~mask;
}

/* May a device have something of the range? No lock. */
static inline bool interpose_mirrored(uint64_t start, uint64_t end, enum how how)
{
	const struct watch_live *live = __atomic_load_n(&watch_live, __ATOMIC_ACQUIRE);

	if (!live || !atomic_load_explicit(&live->open, memory_order_relaxed))
		return false;
	return watch_maybe(live, start, end) ||
	       (how > DISCARDS &&
		atomic_load_explicit(&live->unwatched, memory_order_relaxed));
}

/*
 * Fast where nothing is open, or nothing is watched: a few loads. A device may come to have
 * something between the look and the call, with the permissions from before it. Of what an
 * event tells, it is told then; for the rest interpose_end() looks again.
 */
static inline void interpose_begin(struct op *op, uint64_t start, uint64_t end,
				   enum how how)
{
	op->hmm = NULL;
	if (start >= end || start % MIN_PAGE) /* the kernel refuses it, or does nothing */
		return;
	if (interpose_mirrored(start, end, how)) {
		interpose_begin_slow(op, start, end, how);
	} else if (how > DISCARDS) {
		op->change.start = start;
		op->change.end = end;
		op->how = how;
		op->hmm = OP_LOOK_AGAIN;
	}
}

static inline void interpose_end(struct op *op)
{
	if (unlikely(op->hmm))
		interpose_end_slow(op);
}

static inline bool interpose_open(void)
{
	const struct watch_live *live = __atomic_load_n(&watch_live, __ATOMIC_ACQUIRE);

	return live && atomic_load_explicit(&live->open, memory_order_relaxed);
}

/* Is any file or shared memory watched? */
static inline bool interpose_files(void)
{
	const struct watch_live *live = __atomic_load_n(&watch_live, __ATOMIC_ACQUIRE);

	return live && atomic_load_explicit(&live->files, memory_order_relaxed);
}

/* Is it an error number? The kernel has 4,095 of them on every machine. */
static inline bool failed(long ret)
{
	return unlikely(ret < 0 && ret > -4096);
}

/* As libc: -1 and errno, or the result. */
static inline long interpose_result(long ret)
{
	if (failed(ret)) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

#endif
