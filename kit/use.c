// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kit: how is a device put to use?
 *
 * A driver gives its own read and write, or move alone: then they are made of that.
 */
#include "kit.h"

#include <hmm/driver.h>

#include <errno.h>
#include <stdlib.h>

int kit_device_open(const struct kit_device *dev, struct hmm *hmm, struct kit_use *use)
{
	*use = (struct kit_use){.table = dev->table};
	return dev->table->open(hmm, &use->device, &use->context);
}

int kit_device_close(struct kit_use *use)
{
	return use->table->close(use->context);
}

/* ---- whole accesses ------------------------------------------------------------------ */

struct whole {
	const struct kit_use *use;
	unsigned int access;
	char *buffer; /* goes on with what was moved */
};

static ssize_t move_some(struct hmm_device *device, const struct hmm_translation *t,
			 size_t offset, size_t len, void *arg)
{
	struct whole *whole = arg;
	ssize_t n = whole->use->table->move(whole->use->context, t->addr + offset, t->key,
					    whole->access, whole->buffer, len);

	if (n > 0)
		whole->buffer += n;
	return n;
}

static int access_all(const struct kit_use *use, unsigned int access, const void *ptr,
		      void *buffer, size_t len)
{
	struct whole whole = {use, access, buffer};

	return hmm_device_access(use->device, ptr, len, access, move_some, &whole);
}

int kit_read(const struct kit_use *use, const void *from, void *out, size_t len)
{
	if (use->table->read)
		return use->table->read(use->context, from, out, len);
	return access_all(use, HMM_READ, from, out, len);
}

int kit_write(const struct kit_use *use, void *to, const void *data, size_t len)
{
	if (use->table->write)
		return use->table->write(use->context, to, data, len);
	return access_all(use, HMM_WRITE, to, (void *)(uintptr_t)data, len);
}

/* ---- by an address and a key -------------------------------------------------------- */

bool kit_has_move(const struct kit_use *use)
{
	return use->table->move;
}

int kit_move(const struct kit_use *use, uint64_t addr, uint32_t key, unsigned int access,
	     void *buffer, size_t len)
{
	for (size_t moved = 0; moved < len;) {
		ssize_t n = use->table->move(use->context, addr + moved, key, access,
					     (char *)buffer + moved, len - moved);

		if (n <= 0)
			return n ? (int)n : -EIO;
		moved += (size_t)n;
	}
	return 0;
}

/* ---- in two halves --------------------------------------------------------------------
 */

/* Of a driver that has move: the translation is held, and the device moves at the end. */
struct operation {
	struct hmm_translation held;
	unsigned int access;
	void *buffer;
	size_t len;
};

bool kit_has_halves(const struct kit_use *use)
{
	const struct hmm_check_device *t = use->table;

	return (t->start_read && t->start_write && t->finish) || t->move;
}

int kit_start(const struct kit_use *use, unsigned int access, void *ptr, void *buffer,
	      size_t len, void **operation)
{
	const struct hmm_check_device *t = use->table;
	struct operation *op;
	int err;

	if (t->finish && access == HMM_READ)
		return t->start_read(use->context, ptr, buffer, len, operation);
	if (t->finish)
		return t->start_write(use->context, ptr, buffer, len, operation);
	op = malloc(sizeof(*op));
	if (!op)
		return -ENOMEM;
	*op = (struct operation){.access = access, .buffer = buffer, .len = len};
	err = hmm_translate(hmm_device_mirror(use->device), ptr, len, access, &op->held);
	if (err)
		free(op);
	else
		*operation = op;
	return err;
}

int kit_finish(const struct kit_use *use, void *operation)
{
	struct operation *op = operation;
	int err, put;

	if (use->table->finish)
		return use->table->finish(use->context, operation);
	err = kit_move(use, op->held.addr, op->held.key, op->access, op->buffer, op->len);
	if (err == -EAGAIN && !hmm_translation_valid(&op->held))
		err = -ESTALE;
	put = hmm_translation_put_moved(&op->held, err ? 0 : op->len);
	free(op);
	return err ? err : put;
}
