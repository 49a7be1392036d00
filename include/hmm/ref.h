/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhmm-ref: the reference device.
 *
 * The question this header answers: what can the device in software do?
 *
 * It is as strict as hardware: it has a page table of its own, reaches application memory
 * only through entries of that table, faults when it has none, honours read-only. Programs
 * run on it with the CPU's own pointers. It shows what a driver has to do, and is what the
 * contract is tested with where no hardware is.
 *
 * Its addresses (hmm_translation.addr) are the CPU's own with HMM_MODE_DIRECT, and those of
 * the bounce buffer with HMM_MODE_STAGE. Its keys mean nothing: they count mappings.
 */
#ifndef HMM_REF_H
#define HMM_REF_H

#include <hmm/check.h>
#include <hmm/hmm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hmm_ref;

struct hmm_ref_attr {
	size_t size;             /* sizeof(struct hmm_ref_attr) */
	uint32_t modes;          /* bits 1 << HMM_MODE_DIRECT, HMM_MODE_STAGE; 0: both */
	uint32_t max_entries;    /* mappings that fit into its table; 0: no limit */
	uint64_t delay_ns;       /* how long every access takes at least; at most 1 s */
	uint32_t fail_map_every; /* every Nth mapping fails; 0: none */
	int32_t fail_map_error;  /* with this -errno; 0: -ENOSPC */
};

/**
 * hmm_ref_open - a reference device appears
 * @attr: NULL for the defaults
 *
 * Holds a reference on @hmm. The device comes with a mirror of the default attributes; for
 * others call hmm_mirror_create(hmm_ref_device(ref), ...). May sleep.
 *
 * -EINVAL bad attributes; -EMFILE a seccomp filter refuses process_vm_readv(2), and no
 * pipe can be had in its place; -ENOMEM; -ECHILD.
 */
HMM_API int hmm_ref_open(struct hmm *hmm, const struct hmm_ref_attr *attr,
			 struct hmm_ref **out);

/**
 * hmm_ref_close - the device goes, and its mirror with it; NULL is allowed
 *
 * No program may be running on it. -EBUSY: translations are still held, nothing was
 * freed, call it again; -ECHILD. May sleep.
 */
HMM_API int hmm_ref_close(struct hmm_ref *ref);

/** hmm_ref_device - the device, as hmm_mirror_create() takes it. Never fails or sleeps. */
HMM_API struct hmm_device *hmm_ref_device(struct hmm_ref *ref);

/*
 * Programs. Each runs to its end before the call returns; any thread, many at a time.
 *
 * Errors: those of hmm_translate() and hmm_translation_put(), for memory that cannot be
 * reached as it would have to be; -ENODEV the device has no mirror; -EBUSY the memory
 * changed so often that the device gave up; -ENOMEM. After an error some bytes may have
 * been moved. May sleep.
 */

/** hmm_ref_copy - copy len bytes; the two must not overlap. */
HMM_API int hmm_ref_copy(struct hmm_ref *ref, void *dst, const void *src, size_t len);

/** hmm_ref_fill - as memset. */
HMM_API int hmm_ref_fill(struct hmm_ref *ref, void *dst, uint8_t byte, size_t len);

/** hmm_ref_checksum - 64-bit FNV-1a over len bytes. */
HMM_API int hmm_ref_checksum(struct hmm_ref *ref, const void *src, size_t len,
			     uint64_t *sum);

/**
 * hmm_ref_add32 - *where += value, atomic against the CPU and other devices
 *
 * Limits: no old value comes back, for the kernel's atomic operation on user memory (see
 * FUTEX_OP_ADD in futex(2)) gives none. Values from -2,048 to 2,047 and powers of two are
 * added in one step; any other in several, so that sums in between can be seen, while no
 * addition is ever lost. Staged memory has no atomic operations: -EOPNOTSUPP. -EINVAL when
 * where is not a multiple of 4. After an error part of the value may have been added.
 */
HMM_API int hmm_ref_add32(struct hmm_ref *ref, uint32_t *where, int32_t value);

/**
 * hmm_ref_walk - follow a linked structure by the CPU's own pointers
 * @head: the first node; NULL: none
 * @next_offset: where in a node the pointer to the next is; NULL ends the walk
 * @value_offset: where in a node its uint64_t value is
 *
 * Gives the number of nodes and the sum of their values. -ELOOP the structure is a ring.
 */
HMM_API int hmm_ref_walk(struct hmm_ref *ref, const void *head, size_t next_offset,
			 size_t value_offset, uint64_t *count, uint64_t *sum);

/**
 * hmm_ref_read, hmm_ref_write - the device moves memory to and from a buffer of its own
 * @out, @data: memory of the device, so to say: any memory of the caller's that stays as
 * it is during the call; it need not be mirrored
 */
HMM_API int hmm_ref_read(struct hmm_ref *ref, const void *from, void *out, size_t len);
HMM_API int hmm_ref_write(struct hmm_ref *ref, void *to, const void *data, size_t len);

struct hmm_ref_stats {
	uint64_t entries;   /* mappings that it has now */
	uint64_t accesses;  /* pieces of memory read or written */
	uint64_t faults;    /* accesses that found no entry, and asked for one */
	uint64_t maps;      /* mappings made */
	uint64_t map_fails; /* mappings refused: told to, or no memory for the table */
	uint64_t revokes;   /* mappings taken back */
	uint64_t waits;     /* times that a revoke waited for accesses in flight */
};

/**
 * hmm_ref_stats - counters, each read by itself. Never sleeps.
 * @size: sizeof(struct hmm_ref_stats)
 *
 * Returns 0.
 */
HMM_API int hmm_ref_stats(const struct hmm_ref *ref, struct hmm_ref_stats *out,
			  size_t size);

/** hmm_ref_features - as hmm_features(), for this driver. Needs no open device. */
HMM_API int hmm_ref_features(struct hmm_feature *features, unsigned int max, size_t size);

/** hmm_ref_check - for hmm/check.h; also exported as hmm_check_device. */
extern HMM_API const struct hmm_check_device hmm_ref_check;

#ifdef __cplusplus
}
#endif

#endif
