// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how does the reference device read and write?
 *
 * "ref" follows the CPU's mapping, "stage" is the same device restricted to bounce
 * buffers, "slow" takes its time, runs out of entries and fails. One of each a process.
 */
#include "space.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <hmm/ref.h>

enum { REF_PLAIN, REF_STAGE, REF_SLOW, REF_NR };
static struct hmm_ref *refs[REF_NR];
static const struct hmm_ref_attr ref_attrs[REF_NR] = {
	[REF_PLAIN] = {.size = sizeof(struct hmm_ref_attr)},
	[REF_STAGE] = {.size = sizeof(struct hmm_ref_attr), .modes = 1u << HMM_MODE_STAGE},
	[REF_SLOW] = {.size = sizeof(struct hmm_ref_attr),
		      .max_entries = 64,
		      .delay_ns = 20000,
		      .fail_map_every = 13},
};

struct ref_ctx {
	struct hmm_ref *ref;
	char *buffers;
};

static int ref_open(unsigned int which, bool raw)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr)};
	struct hmm_mirror *mirror;
	int err = space_open(raw);

	if (err)
		return err;
	err = hmm_ref_open(space, &ref_attrs[which], &refs[which]);
	if (err) {
		space_say("hmm_ref_open", err);
		space_close();
		return err;
	}
	if (which == REF_STAGE)
		attr.max_translations = 200;
	space_must("hmm_mirror_create",
		   hmm_mirror_create(hmm_ref_device(refs[which]), &attr, &mirror));
	return 0;
}

static void ref_close(unsigned int which)
{
	space_must("hmm_ref_close", hmm_ref_close(refs[which]));
	refs[which] = NULL;
	space_close();
}

static void *ref_attach(unsigned int which)
{
	struct ref_ctx *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ref = refs[which];
	c->buffers = space_buffers(-1);
	return c->buffers ? c : NULL;
}

static void ref_detach(void *ctx)
{
	struct ref_ctx *c = ctx;

	munmap(c->buffers, DEVICE_DEPTH * DEVICE_BUFFER);
	free(c);
}

static char *ref_buffer(void *ctx, unsigned int slot)
{
	return ((struct ref_ctx *)ctx)->buffers + (size_t)slot * DEVICE_BUFFER;
}

static void ref_run(void *ctx, struct op *ops, unsigned int nr)
{
	struct ref_ctx *c = ctx;

	for (unsigned int i = 0; i < nr; i++) {
		struct op *op = &ops[i];
		int err;

		op_begin(op);
		if (op->write)
			err = hmm_ref_write(c->ref, op->ptr, op->data, op->len);
		else
			err = hmm_ref_read(c->ref, op->ptr, op->data, op->len);
		op_end(op, err ? err : (long)op->len);
	}
}

static void ref_peek(void *ctx, const void *at, size_t len)
{
	struct ref_ctx *c = ctx;

	(void)hmm_ref_read(c->ref, at, c->buffers, len);
}

#define REF_DEVICE(id, text, which)          \
	static int id##_open(bool raw)       \
	{                                    \
		return ref_open(which, raw); \
	}                                    \
	static void id##_close(void)         \
	{                                    \
		ref_close(which);            \
	}                                    \
	static void *id##_attach(void)       \
	{                                    \
		return ref_attach(which);    \
	}                                    \
	const struct device device_##id = {  \
		.name = text,                \
		.open = id##_open,           \
		.close = id##_close,         \
		.attach = id##_attach,       \
		.detach = ref_detach,        \
		.buffer = ref_buffer,        \
		.run = ref_run,              \
		.tell = space_tell,          \
		.in_child = space_in_child,  \
		.peek = ref_peek,            \
	}

REF_DEVICE(plain, "ref", REF_PLAIN);
REF_DEVICE(stage, "stage", REF_STAGE);
REF_DEVICE(slow, "slow", REF_SLOW);
