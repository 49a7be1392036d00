// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The reference device for the conformance suite (hmm/check.h).
 *
 * The question this file answers: how does `hmm check` drive it?
 */
#include "ref.h"

#include <errno.h>
#include <stdlib.h>

/* An access begun: it holds its translation, and uses that one only. */
struct operation {
	struct hmm_translation held;
	enum ref_do what;
	void *buffer;
	size_t len;
};

static int check_open(struct hmm *hmm, struct hmm_device **device, void **context)
{
	struct hmm_ref *ref;
	int err = hmm_ref_open(hmm, NULL, &ref);

	if (err)
		return err;
	*device = hmm_ref_device(ref);
	*context = ref;
	return 0;
}

static int check_close(void *context)
{
	return hmm_ref_close(context);
}

static int check_read(void *context, const void *from, void *out, size_t len)
{
	return hmm_ref_read(context, from, out, len);
}

static int check_write(void *context, void *to, const void *data, size_t len)
{
	return hmm_ref_write(context, to, data, len);
}

static int start(struct hmm_ref *ref, enum ref_do what, const void *ptr, void *buffer,
		 size_t len, void **out)
{
	struct hmm_mirror *mirror = hmm_device_mirror(ref->device);
	struct operation *op;
	int err;

	if (!mirror)
		return hmm_device_error(-ENODEV, "the reference device has no mirror");
	op = malloc(sizeof(*op));
	if (!op)
		return hmm_device_error(-ENOMEM, "no memory for an operation");
	*op = (struct operation){.what = what, .buffer = buffer, .len = len};
	err = hmm_translate(mirror, ptr, len, what == REF_READ ? HMM_READ : HMM_WRITE,
			    &op->held);
	if (err)
		free(op);
	else
		*out = op;
	return err;
}

static int start_read(void *context, const void *from, void *out, size_t len,
		      void **operation)
{
	return start(context, REF_READ, from, out, len, operation);
}

static int start_write(void *context, void *to, const void *data, size_t len,
		       void **operation)
{
	return start(context, REF_WRITE, to, (void *)(uintptr_t)data, len, operation);
}

/* A staged window outlives a change of what it was copied from; an entry does not. */
static int run(struct hmm_ref *ref, struct operation *op)
{
	struct ref_access access = {
		.what = op->what,
		.buffer = op->buffer,
		.held = op->held.mode == HMM_MODE_STAGE ? NULL : &op->held,
	};

	for (size_t at = 0; at < op->len;) {
		ssize_t n = ref_access_try(ref, op->held.addr + at, op->len - at, &access);

		if (n < 0)
			return n == -EAGAIN ? -ESTALE : (int)n;
		at += (size_t)n;
		access.buffer = (char *)op->buffer + at;
	}
	return 0;
}

static int finish(void *context, void *operation)
{
	struct hmm_ref *ref = context;
	struct operation *op = operation;
	int err = run(ref, op);
	int put = hmm_translation_put(&op->held);

	free(op);
	return err ? err : put;
}

/* By the page table; keys mean nothing here. */
static ssize_t check_move(void *context, uint64_t addr, uint32_t key, unsigned int access,
			  void *buffer, size_t len)
{
	struct ref_access how = {.what = access == HMM_READ ? REF_READ : REF_WRITE,
				 .buffer = buffer};

	(void)key;
	return ref_access_try(context, addr, len, &how);
}

const struct hmm_check_device hmm_ref_check = {
	.size = sizeof(hmm_ref_check),
	.name = "ref",
	.modes = 1u << HMM_MODE_DIRECT | 1u << HMM_MODE_STAGE,
	.open = check_open,
	.close = check_close,
	.read = check_read,
	.write = check_write,
	.start_read = start_read,
	.start_write = start_write,
	.finish = finish,
	.move = check_move,
};

#ifndef HMM_DEBUG /* one a process where drivers are linked statically */
extern const struct hmm_check_device hmm_check_device
	__attribute__((alias("hmm_ref_check")));
#endif
