/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libhmm, the driver API: for drivers in this tree. It may change with every release.
 *
 * The question this header answers: what does a device have to do to mirror memory?
 *
 * A driver implements map, revoke and release (and commit where it has a table of its
 * own). It sees no lock, no sequence number and no address-space event:
 *
 *   op                     mirror lock  may sleep        may allocate or free  may fail
 *   map                    not held     yes              yes                   -errno
 *   commit                 held         no               no                    no
 *   revoke                 held         for the device   no                    no
 *   revoke_wait            either way   for the device   no                    no
 *   release                not held     yes              yes                   no
 *   stage_alloc            not held     yes              yes                   -errno
 *   stage_free             not held     yes              yes                   no
 *
 * "May not allocate" means no malloc, free, mmap, munmap, madvise, stdio and no touching
 * of application memory: each of these can raise an event that only the thread which
 * holds the lock would read.
 *
 * The life of one mapping: map, then (commit, revoke, revoke_wait)? then release. map alone
 * may be followed by release when the range changed meanwhile. release comes when no
 * operation holds the translation any more: only then may the driver use the key again.
 */
#ifndef HMM_DRIVER_H
#define HMM_DRIVER_H

#include <hmm/hmm.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HMM_DRIVER_ABI 2u

/* One mapping, as the core and the driver share it. */
struct hmm_mapping {
	uint64_t start, end; /* in: the addresses translated; whole pages */
	unsigned int access; /* in: HMM_READ and/or HMM_WRITE allowed to the device */
	enum hmm_mode mode;  /* in: how; one that the driver offers */
	void *memory;        /* in: where the CPU reaches it: start; HMM_MODE_STAGE: the
			      * bounce buffer, which start and end then name */
	uint64_t addr;       /* out: the device's address of start */
	uint32_t key;        /* out: the device's key */
	void *priv;          /* out: the driver's own */
};

struct hmm_driver_ops {
	size_t size; /* sizeof(struct hmm_driver_ops) */

	/*
	 * Make [start, end) reachable. -EOPNOTSUPP: not this memory in this mode, try the
	 * next mode; -ENOMEM, -ENOSPC: a limit, evict something and try again, then the
	 * next mode; anything else ends the request. Nothing is left behind on an error.
	 */
	int (*map)(struct hmm_device *device, struct hmm_mapping *mapping);

	/*
	 * Optional, HMM_MODE_DIRECT and HMM_MODE_FAULT only: publish into a table that the
	 * device walks by itself. A raw system call may return before the revoke that it
	 * causes has begun; an entry of these modes then reaches what the address means
	 * by now. A pinned mapping or a bounce buffer is reached by its key alone.
	 */
	void (*commit)(struct hmm_device *device, struct hmm_mapping *mapping);

	/*
	 * Take the device off the mapping: on return no new operation of the device uses
	 * it, or, where there is a revoke_wait, the device has been told so. Follows
	 * commit. Not called for HMM_MODE_STAGE. It may run in the thread that reads
	 * events, which has a table of descriptors for itself: no descriptor of the
	 * process's can be used in it, unless it was open when hmm_open() was called. Nor
	 * may it wait for a thread of the program's.
	 */
	void (*revoke)(struct hmm_device *device, struct hmm_mapping *mapping);

	/*
	 * Optional, the second half of revoke: on return no new operation of the device
	 * uses any mapping whose revoke had returned before this call. One call follows
	 * all the revokes of a change: post each in revoke, wait for all of them here. May
	 * come with the mirror lock held or without it, in several threads at a time.
	 */
	void (*revoke_wait)(struct hmm_device *device);

	/*
	 * Give back what map took; on the library's worker thread, in a thread of the
	 * application that waits for it (one that needs room, hmm_quiesce,
	 * hmm_mirror_destroy), or in the one whose map lost a race. NULL where map takes
	 * nothing: the mapping is then recycled without waking the worker.
	 */
	void (*release)(struct hmm_device *device, struct hmm_mapping *mapping);

	/*
	 * Optional, HMM_MODE_STAGE: @size bytes of memory for a bounce buffer, whole pages
	 * that the CPU reads and writes and nobody mirrors; memory of the device, say.
	 * map gets it next. -ENOMEM, -ENOSPC as in map. Without it the library takes
	 * memory of its own.
	 */
	int (*stage_alloc)(struct hmm_device *device, uint64_t size, void **memory);

	/* Give it back; after the release of its mapping, or after a map that failed. */
	void (*stage_free)(struct hmm_device *device, void *memory, uint64_t size);
};

struct hmm_driver {
	size_t size;         /* sizeof(struct hmm_driver) */
	uint32_t abi;        /* HMM_DRIVER_ABI */
	const char *name;    /* "ref", "uring" */
	const char *license; /* an SPDX expression or "GPL"; must be GPL-compatible */
	const struct hmm_driver_ops *ops;
	enum hmm_mode modes[HMM_MODES]; /* what it offers, the best first */
	unsigned int nr_modes;
	uint64_t max_map;     /* the longest mapping in bytes, whole pages, in any mode;
			       * 0: no limit. What is longer gets -E2BIG */
	uint64_t max_direct;  /* HMM_MODE_DIRECT: translate up to this much of a memory
			       * mapping around a miss, where that costs the device
			       * nothing; 0: no more than was asked for (and the mirror's
			       * granule) */
	uint32_t max_entries; /* mappings at a time, bounce buffers included; 0: no limit.
			       * The library keeps to it: it lets something go before it
			       * calls map once more */
	bool delayed_unpin;   /* pages stay pinned for a while after release has returned:
			       * a mirror with max_pinned does not pin, then */
};

/**
 * hmm_device_register - a device of this driver appears
 * @driver: must outlive the device
 * @priv: handed back by hmm_device_priv()
 *
 * Holds a reference on @hmm. The device comes with a mirror of the default attributes
 * (hmm_device_mirror). -EINVAL a malformed table; -EPERM a licence that is not
 * GPL-compatible; -EPROTO built for another driver ABI; -ENOSPC there are 1,024 mirrors;
 * -ENOMEM; -ECHILD.
 */
HMM_API int hmm_device_register(struct hmm *hmm, const struct hmm_driver *driver,
				void *priv, struct hmm_device **out);

/**
 * hmm_device_unregister - the device goes; its mirror is destroyed with it
 *
 * -EBUSY translations are still held after wait_ms: nothing was freed, call it again.
 * -ECHILD the device is the parent's: leave the hardware alone, it is in use there.
 */
HMM_API int hmm_device_unregister(struct hmm_device *device);

/*
 * Moves bytes of one piece: the device accesses [t->addr + offset, + len) by t->key, within
 * the translation that is held meanwhile. Returns how many bytes were moved (fewer than
 * @len: it is called again for the rest), or -errno. -EFAULT, -EAGAIN: the device was
 * refused there; if the memory has changed meanwhile the access begins again.
 */
typedef ssize_t (*hmm_move_fn)(struct hmm_device *device, const struct hmm_translation *t,
			       size_t offset, size_t len, void *arg);

/**
 * hmm_device_access - let the device access memory at a pointer, however often it takes
 * @ptr, @len: any memory of the process; cut into pieces that max_map takes
 * @access: HMM_READ the device reads it, HMM_WRITE writes it, or both
 * @move: does the work, a piece at a time, in the order of addresses
 *
 * For each piece: translate, move, put with what was moved; begin again when the memory
 * changed under it. Holds no lock. -EBUSY it changed too often; -ENODEV the device has no
 * mirror; -EFAULT the mapping is there, its memory is not; any other of hmm_translate(),
 * hmm_translation_put() or @move. After an error some of the bytes may have been moved.
 */
HMM_API int hmm_device_access(struct hmm_device *device, const void *ptr, size_t len,
			      unsigned int access, hmm_move_fn move, void *arg);

/** hmm_device_priv - what was given to hmm_device_register. Any thread, under any lock. */
HMM_API void *hmm_device_priv(const struct hmm_device *device);

/**
 * hmm_translate_present - a translation that is there already, and no other
 *
 * As hmm_translate(), for a driver whose device can do without: nothing is made, waited for
 * or asked of the kernel, and hmm_error() stays. -ENOENT there is none, or it cannot be
 * told without waiting.
 */
HMM_API int hmm_translate_present(struct hmm_mirror *mirror, const void *ptr, size_t len,
				  unsigned int access, struct hmm_translation *out);

/**
 * hmm_fd_keep - hand the library a descriptor that the driver needs for long
 * @fd: closed, or moved up out of the way, whatever comes of it
 *
 * A process may close any number at any time and give it to a file of its own. What is kept
 * here is left alone by libc's calls that close, is found to be gone after others, and is
 * closed in the child of a fork.
 *
 * Returns a handle, for hmm_fd(); -EMFILE; -EBADF. Any thread.
 */
HMM_API int hmm_fd_keep(int fd);

/**
 * hmm_fd - the number of a descriptor that is kept, for one use
 *
 * -EBADF it was closed, or the number is another file's: no use may be made of it. Any
 * thread, but not from revoke.
 */
HMM_API int hmm_fd(int handle);

/** hmm_fd_drop - close a descriptor that is kept; a negative handle is allowed. */
HMM_API void hmm_fd_drop(int handle);

/**
 * hmm_struct_take - read a caller's structure, which may be older or newer than ours
 * @to: ours, @size bytes of it
 * @from: the caller's; its first member is a size_t with its size
 * @name: the structure's, for hmm_error()
 *
 * What the caller's lacks is 0 in ours, and what it has beyond ours must be 0; the size in
 * @to is @size. -EINVAL no size was set; -E2BIG it asks for what we do not know.
 */
HMM_API int hmm_struct_take(void *to, size_t size, const void *from, const char *name);

/** hmm_struct_give - fill in a caller's structure of @room bytes from ours of @size. */
HMM_API void hmm_struct_give(void *to, size_t room, const void *from, size_t size);

/** hmm_device_error - set what hmm_error() says in this thread, and return @err. */
HMM_API int hmm_device_error(int err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
