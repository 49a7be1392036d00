// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm demo: which operations is the device given, and was each of them right?
 */
#include "demo.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 4u /* operations on a buffer between two changes */

uint64_t counts_wrong(const struct counts *counts)
{
	return counts->lost + counts->stale + counts->forbidden + counts->foreign +
	       counts->failed;
}

double demo_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Which part the device reads: most of it, at any multiple of 64 bytes. */
static void choose_part(const struct user *user, const struct buffer *buffer,
			struct operation *op)
{
	op->from = (size_t)buffer->visits * 64 * 7 % (buffer->len / 2);
	op->len = buffer->len - op->from;
	if (op->what == OP_PIPE && op->len > user->stage->pipe_max)
		op->len = user->stage->pipe_max;
}

static void choose_operation(struct user *user, struct buffer *buffer, struct operation *op)
{
	unsigned int turn = buffer->visits++ % 3;

	*op = (struct operation){.buffer = buffer, .len = buffer->len};
	op->out = user->stage->out + (size_t)buffer->slot * BLOCK_MAX;
	if (user->kind->linked) {
		op->what = OP_WALK;
	} else if (turn == 0 || (!buffer->known && !buffer->racing)) {
		op->what = OP_READ;
		op->block = user->next_block++ % BLOCKS;
	} else {
		op->what = turn == 1 ? OP_WRITE : OP_PIPE;
		choose_part(user, buffer, op);
	}
}

/* What the device may do with the buffer, as the CPU's mapping has it. */
static bool is_allowed(const struct operation *op)
{
	int need = op->what == OP_READ ? PROT_WRITE : PROT_READ;

	return op->buffer->prot & need;
}

static void note(struct user *user, uint64_t *counter, const struct operation *op,
		 const char *what)
{
	static const char *const names[] = {"a read into memory", "a write from memory",
					    "a write from memory to a pipe",
					    "a walk through memory"};

	if (!counts_wrong(&user->counts))
		snprintf(user->first, sizeof(user->first),
			 "%s%s, %s of %zu bytes at %p: %s (result %ld%s%s)",
			 user->kind->title, op->buffer->racing ? ", racing" : "",
			 names[op->what], op->len, (void *)(op->buffer->addr + op->from),
			 what, op->result, op->error[0] ? ": " : "", op->error);
	++*counter;
}

/* The mapping did not allow it: it must have failed, and nothing may have changed. */
static void judge_forbidden(struct user *user, const struct operation *op)
{
	struct buffer *buffer = op->buffer;

	if (op->result >= 0) {
		note(user, &user->counts.forbidden, op, "done though memory is protected");
		if (op->what == OP_READ)
			buffer->known = false;
		return;
	}
	if (!(buffer->prot & PROT_READ) || !buffer->known ||
	    stamp_right(buffer->addr, 0, buffer->len, buffer_base(buffer)))
		return;
	note(user, &user->counts.forbidden, op, "refused, but protected memory changed");
	buffer->known = false;
}

static void judge_read(struct user *user, const struct operation *op)
{
	struct buffer *buffer = op->buffer;
	uint64_t base = stamp(OWNER_FILE, op->block + 1);

	if (stamp_right(buffer->addr, 0, op->len, base)) {
		buffer->contents[buffer->half] = base;
		buffer->known = true;
		return;
	}
	note(user, &user->counts.lost, op, "the CPU does not see what the device wrote");
	buffer->known = false;
}

static void judge_write(struct user *user, const struct operation *op)
{
	if (!stamp_right(op->out, op->from, op->len, buffer_base(op->buffer)))
		note(user, &user->counts.stale, op,
		     "the device read what is no longer there");
}

static void judge_walk(struct user *user, const struct operation *op)
{
	uint64_t count, sum;

	list_expect(op->buffer, &count, &sum);
	if (count != op->count || sum != op->sum)
		note(user, &user->counts.stale, op, "the device found other nodes");
}

/* Old or new, but nobody else's. */
static void judge_racing(struct user *user, const struct operation *op)
{
	bool read = op->what == OP_READ;
	const unsigned char *at = read ? op->buffer->addr : op->out;

	if (!stamp_own(at, op->from, op->len, op->buffer->id))
		note(user, &user->counts.foreign, op, "data of somebody else");
}

static void judge(struct user *user, const struct operation *op)
{
	user->counts.operations++;
	if (!is_allowed(op)) {
		judge_forbidden(user, op);
		return;
	}
	if (op->result != (long)op->len) {
		note(user, &user->counts.failed, op, "an error though memory is there");
		if (!op->buffer->racing && op->what == OP_READ)
			op->buffer->known = false;
		return;
	}
	if (op->buffer->racing)
		judge_racing(user, op);
	else if (op->what == OP_READ)
		judge_read(user, op);
	else if (op->what == OP_WALK)
		judge_walk(user, op);
	else
		judge_write(user, op);
}

/* What the device wrote to the file or the pipe comes to where it can be looked at. */
static void fetch_output(struct user *user, struct operation *op)
{
	unsigned int slot = op->buffer->slot;
	size_t done = 0;

	if (user->engine->in_software || op->result <= 0)
		return; /* the reference device put it there itself */
	while ((op->what == OP_WRITE || op->what == OP_PIPE) && done < (size_t)op->result) {
		size_t left = (size_t)op->result - done;
		ssize_t n;

		if (op->what == OP_PIPE)
			n = read(user->stage->pipes[slot][0], op->out + done, left);
		else
			n = pread(user->stage->out_fd, op->out + done, left,
				  (off_t)(slot * BLOCK_MAX + done));
		if (n <= 0) {
			op->result = n ? -errno : -EIO;
			return;
		}
		done += (size_t)n;
	}
}

static void account(struct user *user, double busy, const struct operation *ops,
		    unsigned int count)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < count; i++)
		bytes += ops[i].result > 0 ? (uint64_t)ops[i].result : 0;
	user->counts.bytes += bytes;
	user->counts.busy += busy;
	if (!user->still)
		return;
	user->counts.still_bytes += bytes;
	user->counts.still_busy += busy;
}

void use_batch(struct user *user, struct buffer **batch, unsigned int count)
{
	struct operation ops[BATCH];
	double start;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (unsigned int i = 0; i < count; i++)
			choose_operation(user, batch[i], &ops[i]);
		start = demo_now();
		user->engine->run(user->device, ops, count);
		account(user, demo_now() - start, ops, count);
		for (unsigned int i = 0; i < count; i++) {
			fetch_output(user, &ops[i]);
			judge(user, &ops[i]);
		}
	}
}
