/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhmm: a device as the conformance suite sees it.
 *
 * The question this header answers: what does `hmm check --driver FILE.so` need from a
 * driver to put it through the contract?
 *
 * FILE.so exports one object, `const struct hmm_check_device hmm_check_device`, which may
 * name more. In it the device moves bytes by an address and a key of its own (move), and
 * the suite does the rest; or it reads and writes memory at a pointer of this process,
 * through its own mirror. A driver in this tree names its table hmm_<name>_check, declares
 * it in hmm/<name>.h, and exports it under the name hmm_check_device too, so that its
 * library is such a FILE.so.
 *
 * How the suite uses it:
 *
 *	table->open(hmm, &device, &context);
 *	hmm_mirror_create(device, &attr, &mirror);	the suite chooses modes and limits
 *	hmm_device_access(device, ..., move, ...);	from many threads at once
 *	...
 *	hmm_mirror_destroy(mirror);
 *	table->close(context);
 */
#ifndef HMM_CHECK_H
#define HMM_CHECK_H

#include <hmm/hmm.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hmm_check_device {
	size_t size;       /* sizeof(struct hmm_check_device); a shorter one is read as if
			    * the functions that it lacks were NULL */
	const char *name;  /* "ref", "uring" */
	uint32_t modes;    /* bits 1 << HMM_MODE_x: what its driver offers */
	uint32_t reserved; /* 0 */
	uint64_t max_len;  /* the longest access that it takes, in bytes; 0: no limit */

	/*
	 * A device appears. The suite puts mirrors of its own in the place of the one that
	 * it comes with (one at a time, but perhaps one after the other). Several devices
	 * may be open at a time. 0 or -errno; -EOPNOTSUPP, -EPERM, -ENOSYS, -ENODEV: this
	 * machine cannot have it (the suite skips it and prints hmm_error(), see
	 * hmm_device_error in driver.h).
	 */
	int (*open)(struct hmm *hmm, struct hmm_device **device, void **context);

	/*
	 * The device goes, and a mirror that is still there with it. No access is under
	 * way, no operation started and not finished. 0, or -EBUSY: translations are
	 * held, nothing was freed.
	 */
	int (*close)(void *context);

	/*
	 * Optional (NULL) where the device moves memory by move below.
	 *
	 * The device reads [from, from + len) of the process's memory and hands what it
	 * read to @out; the device writes @data to [to, to + len). Both are complete on
	 * return; any thread, many at a time. @out and @data are the suite's and never
	 * change under the call; they need not be mirrored.
	 *
	 * 0, or -errno as hmm_translate() and hmm_translation_put() have it: hand their
	 * errors on, hide none. -ENODEV: the device has no mirror now. After an error some
	 * of the bytes may have been moved, none outside the range. An access that raced
	 * with a change of the memory is retried by the driver where it has to be; it may
	 * give up with -EBUSY after a bounded number of attempts, never with wrong data.
	 */
	int (*read)(void *context, const void *from, void *out, size_t len);
	int (*write)(void *context, void *to, const void *data, size_t len);

	/*
	 * Optional (NULL): an access in two halves, so that the suite can change the memory
	 * between them. start holds a translation and submits the operation; finish lets
	 * the device move the data, gives the translation back, and frees the operation.
	 * start_write: the device will write @data to @to; start_read: the device will read
	 * @from into @out. A device that has moved the data at submission already (before
	 * the change) is right too.
	 *
	 * When the memory changed in between, finish may reach the memory as it was before
	 * the change, or fail (-EFAULT, -EACCES, -ESTALE); with HMM_MODE_DIRECT or STAGE it
	 * may also reach what the address means by then, as a system call of another thread
	 * would. It never reaches anything else. The operation is gone whatever finish
	 * returns.
	 */
	int (*start_read)(void *context, const void *from, void *out, size_t len,
			  void **operation);
	int (*start_write)(void *context, void *to, const void *data, size_t len,
			   void **operation);
	int (*finish)(void *context, void *operation);

	/*
	 * Optional where there are read and write: one operation, as the device carries out
	 * any. With HMM_READ it reads @len bytes at its address @addr by @key into @buffer,
	 * with HMM_WRITE it writes them from there; any thread, many at a time. Returns how
	 * many bytes were moved (at least 1), or -errno; -EFAULT, -EAGAIN: the device is
	 * not allowed to.
	 *
	 * The suite also calls it with an address and a key of a mapping that was revoked
	 * or released, and with an access that the mapping does not have: then nothing may
	 * be moved. So a device whose addresses and keys nobody checks has no move.
	 */
	ssize_t (*move)(void *context, uint64_t addr, uint32_t key, unsigned int access,
			void *buffer, size_t len);

	/* One more device of the same file; NULL: this is the last. */
	const struct hmm_check_device *next;
};

/** hmm_check_device - what a loadable driver exports: the name that is looked up. */
extern HMM_API const struct hmm_check_device hmm_check_device;

#ifdef __cplusplus
}
#endif

#endif
