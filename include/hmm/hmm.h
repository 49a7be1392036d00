/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhmm: a device uses a process's own pointers.
 *
 * The question this header answers: what may an application ask for?
 *
 * A mirror keeps a device's translations of this process's addresses the same as the
 * process's own, whatever the program does to its memory. The promises (Y1 to Y13)
 * are written down in docs/contract.md.
 *
 * Conventions
 *   - Addresses and lengths are bytes; ranges are [start, end).
 *   - "access" is what the DEVICE does: HMM_READ reads memory, HMM_WRITE writes it.
 *   - Functions return 0 (or a count) or -errno; errno itself is never set. Outputs
 *     are written on success only. hmm_error() has the sentence for a person.
 *   - Any thread may call any function, at the same time as any other, but for the few
 *     pairs in docs/contract.md, "Which calls may run at the same time". "May sleep" means
 *     that it may make system calls, call the driver, or wait (with an end, see wait_ms).
 *   - Nothing here may be called from a signal handler, nor be left by siglongjmp(). The
 *     libc calls that the library interposes may.
 *   - No function is a cancellation point.
 *   - Structures grow. One that the caller fills in begins with its size: set it to
 *     sizeof. A shorter one (built with older headers) is read as if the rest were 0; of a
 *     longer one the rest has to be 0 (-E2BIG). What the library fills in comes with its
 *     size as an argument: a shorter one gets what it has room for, the rest of a longer
 *     one is set to 0. struct hmm_translation never changes its size.
 *   - In the child of a fork every call on an object of the parent's returns -ECHILD
 *     (or does nothing); the child may hmm_open() a mirror of its own.
 */
#ifndef HMM_HMM_H
#define HMM_HMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HMM_API __attribute__((visibility("default")))

/* The version of these headers; hmm_version() is that of the library. */
#define HMM_VERSION_MAJOR 0
#define HMM_VERSION_MINOR 1
#define HMM_VERSION_PATCH 0
#define HMM_VERSION_NUMBER \
	(HMM_VERSION_MAJOR * 1000000 + HMM_VERSION_MINOR * 1000 + HMM_VERSION_PATCH)

struct hmm;        /* this process's address space; reference counted */
struct hmm_device; /* a device, made by a driver's own open call */
struct hmm_mirror; /* one device's mirror of an interval of the address space */

/* What a device does to memory. */
#define HMM_READ  1u /* the device reads memory */
#define HMM_WRITE 2u /* the device writes memory */

/* How a range was made reachable (docs/driver.md, "Modes"). */
enum hmm_mode {
	HMM_MODE_DIRECT = 0, /* the device follows the CPU's own mapping */
	HMM_MODE_FAULT = 1,  /* the device faults by itself, the kernel mirrors for it */
	HMM_MODE_PIN = 2,    /* the pages are pinned and registered */
	HMM_MODE_STAGE = 3,  /* a bounce buffer, copied at translate and at put */
};
#define HMM_MODES 4

/** hmm_mode_name - "direct", "fault", "pin" or "stage"; "?" for anything else. */
HMM_API const char *hmm_mode_name(enum hmm_mode mode);

/* ---- the address space ------------------------------------------------------ */

#define HMM_NO_INTERPOSE 1u /* do not use the interposed libc calls: events alone */
#define HMM_NO_PERF      2u /* do not watch for mprotect by raw system calls */
#define HMM_NEED_WATCH   4u /* fail where no memory can be watched for changes */

struct hmm_attr {
	size_t size;               /* sizeof(struct hmm_attr) */
	uint32_t flags;            /* HMM_NO_..., HMM_NEED_WATCH */
	uint32_t max_translations; /* all mirrors together; 0: 1,048,576, or fewer where
				    * address space is scarce; at most 16,777,216 */
	uint32_t wait_ms; /* the longest that a call waits for a change; 0: 10,000 */
};

/**
 * hmm_open - a reference to this process's address space
 * @attr: NULL for the defaults
 * @out: the reference; hmm_close() gives it back
 *
 * There is one struct hmm a process. The first open decides the attributes; a later one
 * with other, non-NULL attributes gets -EBUSY. May sleep; starts two threads.
 * With HMM_STATS=stderr or HMM_STATS=FILE in its environment, a process tells in one line
 * what the library did, when it ends by exit().
 *
 * Where no source of changes can be had (in a container whose filter refuses userfaultfd)
 * memory is reached in the ways that need no watching: direct or staged, each time anew;
 * hmm_features() says so. With HMM_NEED_WATCH that is -EPERM or -ENOSYS (hmm_error() says
 * what is missing and what to do).
 *
 * -EINVAL bad attributes; -ENOMEM; -EMFILE; -EAGAIN.
 */
HMM_API int hmm_open(const struct hmm_attr *attr, struct hmm **out);

/** hmm_get - one more reference; never fails, never sleeps. */
HMM_API struct hmm *hmm_get(struct hmm *hmm);

/**
 * hmm_close - give a reference back; NULL is allowed
 *
 * The last one ends the threads and disarms everything (Y10). Devices hold references
 * of their own, so the order of closing does not matter. May sleep.
 */
HMM_API void hmm_close(struct hmm *hmm);

/**
 * hmm_error - what went wrong in this thread's last failed call, for a person
 *
 * Names the thing, the reason and what to do. "" when nothing failed yet. Valid until
 * the thread's next libhmm call. Never sleeps.
 */
HMM_API const char *hmm_error(void);

/** hmm_version - "0.1.0" */
HMM_API const char *hmm_version(void);

/* ---- what this machine offers ------------------------------------------------ */

enum hmm_feature_state {
	HMM_FEATURE_MISSING = 0, /* reason and remedy say why, and how to get it */
	HMM_FEATURE_OFF = 1,     /* there, but not in use; reason says why */
	HMM_FEATURE_ON = 2,      /* there, and in use (or would be) */
};

struct hmm_feature {
	const char *group; /* "source", "state", "driver" or "mode" */
	const char *name;  /* "userfaultfd", "interposition", ... */
	enum hmm_feature_state state;
	char detail[160]; /* what it gives, or what it found */
	char reason[160]; /* "" when on */
	char remedy[160]; /* "" when on */
};

/**
 * hmm_features - what this kernel and process offer to the library
 * @features: filled in, at most @max
 * @size: sizeof(struct hmm_feature)
 *
 * Needs no open struct hmm. Returns how many there are (which may be more than @max).
 * May sleep. Drivers have such a call each (hmm_ref_features, hmm_uring_features).
 */
HMM_API int hmm_features(struct hmm_feature *features, unsigned int max, size_t size);

/* ---- mirrors ------------------------------------------------------------------ */

struct hmm_mirror_attr {
	size_t size;         /* sizeof(struct hmm_mirror_attr) */
	uint64_t start, end; /* the interval to mirror; both 0: all of it */
	uint64_t max_pinned; /* bytes of the application's memory pinned at a time; 0: no
			      * limit of the library's; bounce buffers do not count */
	uint32_t max_translations; /* of this mirror; 0: what hmm_attr allows */
	uint32_t modes;            /* bits 1 << HMM_MODE_x that may be used; 0: all */
	uint64_t granule; /* map this much around a miss, cut at the mapping's ends;
			   * a power of two; 0: one page */
};

/**
 * hmm_mirror_create - mirror (an interval of) the address space onto a device
 *
 * A device has one mirror at a time. It comes with a mirror that has the default
 * attributes; this call puts one of other attributes in its place, as long as the default
 * one is there, and none of its translations is held. May sleep.
 *
 * -EINVAL bad attributes; -E2BIG attributes that this library does not know; -EBUSY the
 * device has a mirror already that was made by this call (destroy it first), or
 * translations of the default one are still held after wait_ms; -ENOSPC there are 1,024
 * mirrors; -ENOMEM; -ECHILD.
 */
HMM_API int hmm_mirror_create(struct hmm_device *device, const struct hmm_mirror_attr *attr,
			      struct hmm_mirror **out);

/**
 * hmm_device_mirror - the device's mirror; NULL after hmm_mirror_destroy()
 *
 * Any thread, under any lock. Never sleeps.
 */
HMM_API struct hmm_mirror *hmm_device_mirror(const struct hmm_device *device);

/**
 * hmm_mirror_destroy - end a mirror; NULL is allowed
 *
 * Every translation is revoked; those still held must be put first: the call waits for
 * them, for calls that are making one, and for a release of the driver's, at most wait_ms,
 * then returns -EBUSY with the mirror closed to new translations but not freed (call it
 * again; hmm_error() says what it waited for). On 0 nothing is pinned or registered any
 * more. A hmm_translate() that was under way gets -ESHUTDOWN. May sleep.
 */
HMM_API int hmm_mirror_destroy(struct hmm_mirror *mirror);

/* ---- translations ------------------------------------------------------------- */

/*
 * A translation held by the caller: plain data, may be copied, put exactly once.
 * addr and key are the driver's: what they mean is in the driver's header.
 */
struct hmm_translation {
	uint64_t addr;             /* the device's address of ptr */
	uint32_t key;              /* the driver's key or slot */
	enum hmm_mode mode;        /* how it was made reachable */
	struct hmm_mirror *mirror; /* whose it is; NULL once it was put */
	uint64_t opaque[2];        /* the library's */
};

/**
 * hmm_translate - the device's address of [ptr, ptr + len)
 * @access: HMM_READ, HMM_WRITE or both
 *
 * The translation is held from before the operation that uses it is submitted until
 * that operation is complete, then given back with hmm_translation_put(). While it is
 * held its key is not used for anything else (Y4). If the memory changes meanwhile it
 * turns invalid (hmm_translation_valid()): operations submitted before see the memory
 * as it was before the change.
 *
 * A hit takes no lock and makes no system call. A miss may sleep, and calls the driver.
 *
 * -EINVAL len 0, an address that overflows, bad access; -ERANGE outside the mirror's
 * interval; -EFAULT a hole, or no memory behind the address; -EACCES the mapping does
 * not allow the access; -EOPNOTSUPP no mode reaches this kind of memory (the error
 * names the mapping and the reason: another userfaultfd watches it, ...); -E2BIG longer
 * than the device takes; -ENOMEM or -ENOSPC a limit, with everything that could be evicted
 * evicted; -ETIMEDOUT a change did not end within wait_ms; -ESHUTDOWN the mirror is being
 * destroyed; -ECHILD; any other that the driver's map gives.
 */
HMM_API int hmm_translate(struct hmm_mirror *mirror, const void *ptr, size_t len,
			  unsigned int access, struct hmm_translation *out);

/**
 * hmm_translation_put - give a translation back
 *
 * Any thread may put what another got. With HMM_MODE_STAGE and HMM_WRITE this copies the
 * data to where the CPU sees it: -EFAULT or -EACCES if it is no longer there, or may not
 * be written any more (the data is lost, as a write to unmapped memory is); the
 * translation is given back all the same. -EINVAL it is not held; -ENOMEM the thread's
 * first call found no memory: it is still held. May take the library's lock, and call the
 * driver's revoke, where the translation was revoked or is for one use.
 */
HMM_API int hmm_translation_put(struct hmm_translation *translation);

/**
 * hmm_translation_put_moved - give it back, and say how much the device wrote
 * @moved: the device wrote the first so many bytes; 0: none, the operation failed
 *
 * As hmm_translation_put(), but with HMM_MODE_STAGE no more than @moved bytes are copied:
 * what the device did not write stays as the CPU has it by now.
 */
HMM_API int hmm_translation_put_moved(struct hmm_translation *translation, size_t moved);

/**
 * hmm_translation_valid - has nothing changed under it so far?
 *
 * False is final. For drivers that prepare first and submit later. May wait (at most
 * wait_ms) for a change that is just being told: not with a lock held that a driver's
 * revoke takes.
 */
HMM_API bool hmm_translation_valid(const struct hmm_translation *translation);

/**
 * hmm_invalidate - the caller has changed [start, start + len) in a way that the library
 * cannot see
 *
 * Every translation of the range is revoked before it returns. For the changes that the
 * contract lists as not seen (raw MADV_GUARD_INSTALL, ...): call it after the change,
 * before the next use. May sleep (bounded). -EINVAL; -ECHILD.
 */
HMM_API int hmm_invalidate(struct hmm *hmm, const void *start, size_t len);

/* ---- ranges: snapshot, fault, DMA map ------------------------------------------ */

/*
 * One entry a page. What a snapshot finds (as Linux's include/linux/hmm.h has it, but
 * with no page frame number: user space has none).
 */
#define HMM_PFN_VALID     (1ull << 0) /* present: the device may read it */
#define HMM_PFN_WRITE     (1ull << 1) /* present and writable without a fault */
#define HMM_PFN_ERROR     (1ull << 2) /* no mapping, no permission to read, or I/O memory */
#define HMM_PFN_PMD       (1ull << 3) /* mapped by a huge page (2 MiB on x86-64) */
#define HMM_PFN_PUD       (1ull << 4) /* mapped by a gigantic page (1 GiB on x86-64) */
#define HMM_PFN_ZERO      (1ull << 5) /* the zero page */
#define HMM_PFN_FILE      (1ull << 6) /* a page of a file or of shared memory */
#define HMM_PFN_REQ_FAULT (1ull << 8) /* input of fault: make it present */
#define HMM_PFN_REQ_WRITE (1ull << 9) /* input of fault: and writable */

/* A request over a range; the caller owns it and the arrays. One thread at a time. */
struct hmm_range {
	size_t size; /* sizeof(struct hmm_range) */
	struct hmm_mirror *mirror;
	uint64_t start, end;         /* multiples of the page size */
	uint64_t default_flags;      /* HMM_PFN_REQ_... asked of every page */
	uint64_t pfn_flags_mask;     /* which bits of pfns[i] on input count */
	uint64_t *pfns;              /* (end - start) / page size entries */
	struct hmm_translation *dma; /* hmm_range_dma_map: filled in, in address order */
	uint32_t dma_max;            /* how many dma has room for */
	uint32_t dma_count;          /* how many it holds */
	uint64_t *dma_len; /* hmm_range_dma_map: bytes of each; NULL: never mind */
	uint64_t seq;      /* set by hmm_range_begin */
};

/**
 * hmm_range_begin - start looking at a range
 *
 * Waits until no change of the range is under way (at most wait_ms: -ETIMEDOUT), then
 * notes the sequence number. -EINVAL, -ERANGE, -ECHILD as in hmm_translate; -EOPNOTSUPP a
 * mapping in it that this kernel cannot watch: nobody could tell of a change; -EBUSY one
 * that another userfaultfd watches.
 */
HMM_API int hmm_range_begin(struct hmm_range *range);

/**
 * hmm_range_retry - has the range changed since hmm_range_begin()?
 *
 * True: what was read is not erased, but it is of the past; begin again. A change
 * elsewhere does not count, unless more than 4,096 changes came since. While the event of a
 * change, of any range, is being handled it waits until that has been told: as long as a
 * driver's revoke takes, wait_ms at most.
 */
HMM_API bool hmm_range_retry(const struct hmm_range *range);

/** hmm_range_wait - wait until no change of the range is under way. 0 or -ETIMEDOUT. */
HMM_API int hmm_range_wait(const struct hmm_range *range, uint32_t timeout_ms);

/**
 * hmm_range_snapshot - what is there, page by page, without changing it
 *
 * Fills pfns[]; holes are HMM_PFN_ERROR entries, not failures. Between begin and retry.
 * -EBUSY the range changed meanwhile. May sleep.
 */
HMM_API int hmm_range_snapshot(struct hmm_range *range);

/**
 * hmm_range_fault - make the pages present with the permission asked for, or say why not
 *
 * What is asked of page i: (pfns[i] & pfn_flags_mask) | default_flags. On success pfns[]
 * is as after a snapshot. -EFAULT hole or beyond the end of the file; -EACCES no
 * permission; -ENOMEM; -EHWPOISON; -EBUSY the range changed: begin again. May sleep.
 */
HMM_API int hmm_range_fault(struct hmm_range *range);

/**
 * hmm_range_dma_map - translate the range for the device, in as few pieces as it takes
 *
 * Between begin and retry. @access as hmm_translate. Fills dma[], dma_len[] and dma_count:
 * a piece a mapping, or more where the device takes no more at a time. The first is that
 * of range->start, and each begins where the one before it ends.
 * -ENOSPC dma_max is too small; -EBUSY the range changed; else as hmm_translate; on any
 * error nothing is held. May sleep.
 */
HMM_API int hmm_range_dma_map(struct hmm_range *range, unsigned int access);

/** hmm_range_dma_unmap - put every piece; the first error of hmm_translation_put. */
HMM_API int hmm_range_dma_unmap(struct hmm_range *range);

/* ---- statistics --------------------------------------------------------------- */

struct hmm_stats {
	uint64_t translations;       /* valid now */
	uint64_t revoking;           /* revoked, waiting for holders or for the worker */
	uint64_t pinned;             /* bytes pinned now, those of revoking included */
	uint64_t misses;             /* translations made */
	uint64_t collisions;         /* fills begun again because the range changed */
	uint64_t revoked;            /* translations ended by changes */
	uint64_t evicted;            /* translations ended by limits */
	uint64_t released;           /* translations whose resources were given back */
	uint64_t closed_fills;       /* made without a pin because a removal was not over */
	uint64_t by_mode[HMM_MODES]; /* translations made, by mode */
	uint64_t events;             /* changes seen by events (whole process) */
	uint64_t interposed;         /* changes seen by interposed calls (whole process) */
	uint64_t perf_records;       /* mapping records read (whole process) */
	uint64_t arena;              /* bytes of the library's own memory (whole process) */
	uint64_t staged;             /* bytes of bounce buffers now, in use and idle */
};

/**
 * hmm_stats_read - what a mirror did
 * @mirror: NULL: the sum over all mirrors, past ones too
 * @size: sizeof(struct hmm_stats)
 *
 * Drivers have such a call each, of the same shape (hmm_ref_stats, hmm_uring_stats).
 * -EINVAL; -ECHILD. May sleep.
 */
HMM_API int hmm_stats_read(struct hmm *hmm, struct hmm_mirror *mirror,
			   struct hmm_stats *out, size_t size);

/**
 * hmm_quiesce - wait until everything revoked and no longer held has been released
 *
 * At most @timeout_ms: -ETIMEDOUT. For tests, and before measuring pinned memory.
 */
HMM_API int hmm_quiesce(struct hmm *hmm, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
