/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The question this file answers: what is a device to the torture?
 *
 * Something that reads and writes this process's memory at a pointer, some operations at
 * a time. The true ones go through libhmm; "cpu" is the kernel's own copy, always right;
 * "stale" registers its buffers once and goes on, as programs do today: the torture must
 * find it wrong.
 */
#ifndef TORTURE_DEVICE_H
#define TORTURE_DEVICE_H

#include "model.h"

#define DEVICE_DEPTH  8
#define DEVICE_BUFFER (128u * 1024)

struct device {
	const char *name;
	/* Once a process. 0 or -errno; -ENOSYS: not here (skip). */
	int (*open)(bool raw);
	void (*close)(void);
	/* A thread's own way to the device; one buffer of DEVICE_BUFFER for each in depth.
	 */
	void *(*attach)(void);
	void (*detach)(void *ctx);
	char *(*buffer)(void *ctx, unsigned int slot);
	/* For each: op_begin, the operation, op_end. Any order, together or not. */
	void (*run)(void *ctx, struct op *ops, unsigned int nr);
	/* Optional: nobody will see that this range has changed. */
	void (*tell)(void *at, size_t len);
	/* Optional: in the child of a fork; 0 if the device is dead there as promised. */
	int (*in_child)(void);
	/* Optional: read without the model's knowledge, whatever is there. */
	void (*peek)(void *ctx, const void *at, size_t len);
};

/* The devices of this build; ends with NULL. */
extern const struct device *const devices[];
extern const struct device device_cpu, device_stale;

#endif
