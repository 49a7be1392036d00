// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What runs on the device.
 *
 * The question this file answers: what can a device do with nothing but the process's
 * pointers? Everything goes through ref_access(): no program touches memory itself.
 */
#include "ref.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(void)
{
	return hmm_device_error(-ENOMEM, "no memory for the reference device's buffer");
}

static int move(struct hmm_ref *ref, enum ref_do what, uint64_t addr, void *buffer,
		size_t len)
{
	return ref_access(ref, addr, len,
			  &(struct ref_access){.what = what, .buffer = buffer});
}

int hmm_ref_read(struct hmm_ref *ref, const void *from, void *out, size_t len)
{
	return move(ref, REF_READ, (uintptr_t)from, out, len);
}

int hmm_ref_write(struct hmm_ref *ref, void *to, const void *data, size_t len)
{
	return move(ref, REF_WRITE, (uintptr_t)to, (void *)(uintptr_t)data, len);
}

static size_t chunk_of(size_t left)
{
	return left < REF_CHUNK ? left : REF_CHUNK;
}

int hmm_ref_copy(struct hmm_ref *ref, void *dst, const void *src, size_t len)
{
	char *buffer = malloc(chunk_of(len));
	int err = buffer || !len ? 0 : no_memory();

	for (size_t at = 0, n; !err && at < len; at += n) {
		n = chunk_of(len - at);
		err = hmm_ref_read(ref, (const char *)src + at, buffer, n);
		if (!err)
			err = hmm_ref_write(ref, (char *)dst + at, buffer, n);
	}
	free(buffer);
	return err;
}

int hmm_ref_fill(struct hmm_ref *ref, void *dst, uint8_t byte, size_t len)
{
	char *buffer = malloc(chunk_of(len));
	int err = buffer || !len ? 0 : no_memory();

	if (buffer)
		memset(buffer, byte, chunk_of(len));
	for (size_t at = 0; !err && at < len; at += chunk_of(len - at))
		err = hmm_ref_write(ref, (char *)dst + at, buffer, chunk_of(len - at));
	free(buffer);
	return err;
}

int hmm_ref_checksum(struct hmm_ref *ref, const void *src, size_t len, uint64_t *sum)
{
	uint8_t *buffer = malloc(chunk_of(len));
	int err = buffer || !len ? 0 : no_memory();
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t at = 0, n; !err && at < len; at += n) {
		n = chunk_of(len - at);
		err = hmm_ref_read(ref, (const char *)src + at, buffer, n);
		for (size_t i = 0; !err && i < n; i++)
			/* NOLINTNEXTLINE(clang-analyzer-core.*): a NULL buffer is an err */
			hash = (hash ^ buffer[i]) * 0x100000001b3;
	}
	free(buffer);
	if (!err)
		*sum = hash;
	return err;
}

static int add_step(struct hmm_ref *ref, uint32_t *where, uint32_t op, uint32_t arg)
{
	uint32_t unused;
	struct ref_access access = {
		.what = REF_ADD,
		.buffer = &unused,
		.operand = op << 28 | FUTEX_OP_CMP_EQ << 24 | (arg & 0xfff) << 12,
	};

	return ref_access(ref, (uintptr_t)where, sizeof(*where), &access);
}

int hmm_ref_add32(struct hmm_ref *ref, uint32_t *where, int32_t value)
{
	uint32_t bits = (uint32_t)value;
	int err = 0;

	if ((uintptr_t)where % sizeof(*where))
		return hmm_device_error(-EINVAL, "hmm_ref_add32: %p is not a multiple of 4",
					(void *)where);
	if (value >= -2048 && value <= 2047)
		return add_step(ref, where, FUTEX_OP_ADD, bits);
	if (bits & 0x7ff) {
		err = add_step(ref, where, FUTEX_OP_ADD, bits & 0x7ff);
		bits &= ~0x7ffu;
	}
	for (uint32_t n = 0; !err && n < 32; n++)
		if (bits & 1u << n)
			err = add_step(ref, where, FUTEX_OP_ADD | FUTEX_OP_OPARG_SHIFT, n);
	return err;
}

int hmm_ref_walk(struct hmm_ref *ref, const void *head, size_t next_offset,
		 size_t value_offset, uint64_t *count, uint64_t *sum)
{
	const char *node = head, *seen = NULL;
	uint64_t n = 0, total = 0, value;
	int err;

	while (node) {
		err = hmm_ref_read(ref, node + value_offset, &value, sizeof(value));
		if (err)
			return err;
		total += value;
		if (node == seen)
			return hmm_device_error(-ELOOP,
						"hmm_ref_walk: the structure is a "
						"ring through %p",
						(const void *)node);
		n++;
		if (!(n & (n - 1))) /* Brent: look back to the last power of two */
			seen = node;
		err = hmm_ref_read(ref, node + next_offset, &node, sizeof(node));
		if (err)
			return err;
	}
	*count = n;
	*sum = total;
	return 0;
}
