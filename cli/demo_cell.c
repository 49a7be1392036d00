// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm demo: who touches a buffer when, and was an operation right?
 *
 * Most buffers are used in turns: a mutator changes the memory, then the device thread
 * has some operations carried out on it, and so on. While one buffer is changed another
 * is used. So it is known to the byte what an operation, submitted after the change has
 * returned, must find: that is what is asserted.
 *
 * Racing buffers are changed by a thread of their own at any time, by changes that leave
 * the address mapped throughout. There an operation may find the old memory or the new,
 * but never anybody else's data, and no error. After every few changes such a buffer is
 * used in turns once: nothing that was made during the race may be used then.
 */
#include "demo.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE    (512u << 10)
#define MUTATORS      2u
#define RACE_PAUSE_NS 30000
#define RACES         6   /* changes at any time, before the buffer is used in turns once */
#define STILL_PART    0.3 /* of the time nothing is changed */
#define CHANGES_MIN   100
#define SLICE_MORE_S  2.0
#define PATIENCE_S    60 /* no cell takes that long unless something hangs */

struct cell {
	/* fixed */
	const struct kind *kind;
	const struct engine *engine;
	const struct cell_options *options;
	unsigned int count; /* buffers; the racing ones are the last */

	struct user user; /* the device thread's */
	unsigned int batches;

	pthread_mutex_t lock;
	pthread_cond_t turned; /* a buffer's turn has come, or stop */
	/* under lock */
	struct buffer buffers[BUFFERS_MAX];
	bool stop;
	bool still;         /* change nothing */
	int error;          /* of a change: the cell ends */
	const char *failed; /* which change that was */
	uint64_t changes;   /* made in turns */
	uint64_t raced;     /* made by the racer */
	uint64_t forbidden; /* found by mutators */
};

/* ---- changing ----------------------------------------------------------------------- */

static bool may_apply(const struct buffer *buffer, const struct change *change)
{
	return change->atomic || !buffer->racing;
}

/* Each change in order, first by libc, then by system call. */
static int apply_next(struct cell *cell, struct buffer *buffer, const char **name)
{
	const struct kind *kind = cell->kind;
	int err = -EOPNOTSUPP;

	/* One that is not supported here (a file system without holes) is left out. */
	for (unsigned int tries = 0; tries < 2 * kind->nr_changes; tries++) {
		unsigned int n = buffer->changes++;
		const struct change *change = &kind->changes[n / 2 % kind->nr_changes];
		bool raw = (n & 1) && (!change->protects || cell->options->raw_protect);

		if (!may_apply(buffer, change))
			continue;
		*name = change->name;
		err = change->apply(buffer, raw);
		if (err != -EOPNOTSUPP)
			return err;
	}
	return err;
}

/* Restore, change, and two times out of three let the CPU write. */
static int change_buffer(struct cell *cell, struct buffer *buffer, bool still,
			 const char **name, bool *forbidden)
{
	bool raw = (buffer->changes & 1) && cell->options->raw_protect;
	int err;

	*forbidden = false;
	if (still) {
		buffer->changes++;
		goto fill;
	}
	*name = "mprotect to read and write";
	err = memory_restore(buffer, raw);
	*forbidden = err == -EILSEQ;
	if (err && err != -EILSEQ)
		return err;
	err = apply_next(cell, buffer, name);
	if (err)
		return err;
fill:
	if (cell->kind->linked)
		return 0;
	if (buffer->changes % 3 && (buffer->prot & PROT_WRITE))
		buffer_fill(buffer);
	return 0;
}

static struct buffer *find_turn(struct cell *cell, enum turn turn)
{
	unsigned int n = cell->count - cell->kind->racing;

	for (unsigned int i = 0; i < n; i++) {
		if (cell->buffers[i].turn == turn)
			return &cell->buffers[i];
	}
	return NULL;
}

static void give_turn(struct cell *cell, struct buffer *buffer, enum turn turn)
{
	buffer->turn = turn;
	pthread_cond_broadcast(&cell->turned);
}

static void fail_cell(struct cell *cell, int err, const char *name)
{
	if (!cell->error) {
		cell->error = err;
		cell->failed = name;
	}
	cell->stop = true;
	pthread_cond_broadcast(&cell->turned);
}

static void *mutator_main(void *arg)
{
	struct cell *cell = arg;

	pthread_mutex_lock(&cell->lock);
	while (!cell->stop) {
		struct buffer *buffer = find_turn(cell, TURN_CHANGE);
		const char *name = NULL;
		bool forbidden, still;
		int err;

		if (!buffer) {
			pthread_cond_wait(&cell->turned, &cell->lock);
			continue;
		}
		buffer->turn = TURN_CHANGING;
		still = cell->still;
		pthread_mutex_unlock(&cell->lock);
		err = change_buffer(cell, buffer, still, &name, &forbidden);
		pthread_mutex_lock(&cell->lock);
		cell->changes += !still;
		cell->forbidden += forbidden;
		if (err)
			fail_cell(cell, err, name);
		give_turn(cell, buffer, TURN_DEVICE);
	}
	pthread_mutex_unlock(&cell->lock);
	return NULL;
}

/* Some changes at any time. False: the cell ends. */
static bool race_buffer(struct cell *cell, struct buffer *buffer)
{
	const struct timespec pause = {0, RACE_PAUSE_NS};
	const char *name = NULL;
	int err = 0;

	for (unsigned int i = 0; i < RACES && !err; i++) {
		err = apply_next(cell, buffer, &name);
		nanosleep(&pause, NULL);
	}
	pthread_mutex_lock(&cell->lock);
	cell->raced += RACES;
	if (err)
		fail_cell(cell, err, name);
	pthread_mutex_unlock(&cell->lock);
	return !err;
}

static bool wait_turn(struct cell *cell, const struct buffer *buffer, enum turn turn)
{
	while (buffer->turn != turn && !cell->stop)
		pthread_cond_wait(&cell->turned, &cell->lock);
	return !cell->stop;
}

/*
 * The race is over for now: after the last change the CPU writes, and the device uses the
 * buffer as one of the others. What was made while it raced may not be used any more.
 */
static void settle_buffer(struct cell *cell, struct buffer *buffer)
{
	pthread_mutex_lock(&cell->lock);
	if (!wait_turn(cell, buffer, TURN_RACE))
		goto out;
	buffer->turn = TURN_CHANGING;
	buffer->racing = false;
	pthread_mutex_unlock(&cell->lock);
	buffer_fill(buffer);
	pthread_mutex_lock(&cell->lock);
	give_turn(cell, buffer, TURN_DEVICE);
	if (!wait_turn(cell, buffer, TURN_CHANGE))
		goto out;
	buffer->racing = true;
	give_turn(cell, buffer, TURN_RACE);
out:
	pthread_mutex_unlock(&cell->lock);
}

static void *racer_main(void *arg)
{
	struct cell *cell = arg;
	struct buffer *first = &cell->buffers[cell->kind->buffers];
	bool more;

	pthread_mutex_lock(&cell->lock);
	while (cell->still && !cell->stop)
		pthread_cond_wait(&cell->turned, &cell->lock);
	more = !cell->stop;
	pthread_mutex_unlock(&cell->lock);
	for (unsigned int i = 0; more; i++) {
		struct buffer *buffer = first + i % cell->kind->racing;

		more = race_buffer(cell, buffer);
		settle_buffer(cell, buffer);
		pthread_mutex_lock(&cell->lock);
		more = more && !cell->stop;
		pthread_mutex_unlock(&cell->lock);
	}
	return NULL;
}

/* ---- using -------------------------------------------------------------------------- */

static bool take_racing(struct buffer *buffer)
{
	if (buffer->turn == TURN_RACE)
		buffer->turn = TURN_RACED;
	else if (buffer->turn == TURN_DEVICE)
		buffer->turn = TURN_OPERATION;
	else
		return false;
	return true;
}

/* Buffers whose turn it is, and one of the racing ones. */
static unsigned int take_batch(struct cell *cell, struct buffer **batch)
{
	unsigned int count = 0, racing = cell->kind->racing;
	struct buffer *racer = &cell->buffers[cell->kind->buffers];

	while (count < BATCH - !!racing) {
		struct buffer *buffer = find_turn(cell, TURN_DEVICE);

		if (!buffer)
			break;
		buffer->turn = TURN_OPERATION;
		batch[count++] = buffer;
	}
	if (racing)
		racer += cell->batches++ % racing;
	if (count && racing && take_racing(racer))
		batch[count++] = racer;
	return count;
}

static void *device_main(void *arg)
{
	struct cell *cell = arg;
	struct buffer *batch[BATCH];

	pthread_mutex_lock(&cell->lock);
	while (!cell->stop) {
		unsigned int count = take_batch(cell, batch);

		if (!count) {
			pthread_cond_wait(&cell->turned, &cell->lock);
			continue;
		}
		cell->user.still = cell->still;
		pthread_mutex_unlock(&cell->lock);
		use_batch(&cell->user, batch, count);
		pthread_mutex_lock(&cell->lock);
		for (unsigned int i = 0; i < count; i++)
			give_turn(cell, batch[i],
				  batch[i]->turn == TURN_RACED ? TURN_RACE : TURN_CHANGE);
	}
	pthread_mutex_unlock(&cell->lock);
	return NULL;
}

/* ---- a cell from start to end ------------------------------------------------------- */

static void teardown_buffers(struct cell *cell)
{
	for (unsigned int i = 0; i < cell->count; i++) {
		struct buffer *buffer = &cell->buffers[i];

		memory_restore(buffer, false);
		cell->kind->teardown(buffer);
	}
}

static int setup_buffers(struct cell *cell, const char **why)
{
	static unsigned int next_id = 1;
	unsigned int total = cell->kind->buffers + cell->kind->racing;

	while (cell->count < total) {
		struct buffer *buffer = &cell->buffers[cell->count];
		int err;

		buffer->id = next_id++ % 0x8000 + 1;
		buffer->slot = cell->count++;
		buffer->kind = cell->kind;
		buffer->len = cell->kind->len;
		buffer->fd = -1;
		buffer->racing = buffer->slot >= cell->kind->buffers;
		buffer->changes = 5 * buffer->slot;
		buffer->prot = PROT_READ | PROT_WRITE;
		err = cell->kind->setup(buffer, why);
		if (err)
			return err;
		if (!cell->kind->linked)
			buffer_fill(buffer);
		buffer->turn = buffer->racing ? TURN_RACE : TURN_DEVICE;
	}
	return 0;
}

/* A thread that does not come back hangs: say where, and end. */
static void join_or_die(const struct cell *cell, pthread_t thread)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	if (!pthread_timedjoin_np(thread, NULL, &end))
		return;
	fprintf(stderr, "hmm demo: hung for %d s: %s, %s\n", PATIENCE_S, cell->kind->title,
		cell->engine->title);
	_exit(1);
}

/* At first nothing is changed: that shows how fast the device is by itself. */
static void wait_still(struct cell *cell)
{
	double rest = cell->options->seconds * STILL_PART;

	nanosleep(&(struct timespec){(time_t)rest, (long)((rest - (time_t)rest) * 1e9)},
		  NULL);
	pthread_mutex_lock(&cell->lock);
	cell->still = cell->options->still;
	pthread_cond_broadcast(&cell->turned);
	pthread_mutex_unlock(&cell->lock);
}

/* Until the time is over; on a busy machine until some changes were made, too. */
static void wait_changes(struct cell *cell)
{
	double end = demo_now() + cell->options->seconds * (1 - STILL_PART);

	for (;;) {
		double left = end - demo_now();
		bool enough;

		if (left <= 0)
			left = 0.01;
		nanosleep(&(struct timespec){(time_t)left,
					     (long)((left - (time_t)left) * 1e9)},
			  NULL);
		pthread_mutex_lock(&cell->lock);
		enough = cell->changes >= CHANGES_MIN || cell->still || cell->stop;
		pthread_mutex_unlock(&cell->lock);
		if (demo_now() >= end + SLICE_MORE_S || (enough && demo_now() >= end))
			return;
	}
}

static void run_threads(struct cell *cell)
{
	void *(*const mains[])(void *) = {device_main, mutator_main, mutator_main,
					  racer_main};
	unsigned int wanted = 1 + MUTATORS, started = 0;
	pthread_t threads[4];
	pthread_attr_t attr;
	int err = 0;

	/* The usual 8 MiB are much where RLIMIT_AS is set. */
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (cell->kind->racing && !cell->options->still)
		wanted++;
	while (started < wanted && !err) {
		err = pthread_create(&threads[started], &attr, mains[started], cell);
		started += !err;
	}
	pthread_attr_destroy(&attr);
	if (!err) {
		wait_still(cell);
		wait_changes(cell);
	}
	pthread_mutex_lock(&cell->lock);
	if (err)
		fail_cell(cell, -err, "starting a thread");
	cell->stop = true;
	pthread_cond_broadcast(&cell->turned);
	pthread_mutex_unlock(&cell->lock);
	for (unsigned int i = 0; i < started; i++)
		join_or_die(cell, threads[i]);
}

static void collect(struct cell *cell, struct result *result)
{
	result->counts = cell->user.counts;
	result->counts.changes = cell->changes + cell->raced;
	result->counts.forbidden += cell->forbidden;
	memcpy(result->first, cell->user.first, sizeof(result->first));
	result->verdict = CELL_RAN;
	if (!cell->error)
		return;
	/* Somebody else took the memory (of huge pages there are few): nobody's fault. */
	if (cell->error == -ENOMEM && !counts_wrong(&result->counts))
		result->verdict = CELL_SKIPPED;
	else
		result->verdict = CELL_BROKEN;
	snprintf(result->why, sizeof(result->why), "%s: %s failed: %s", cell->kind->title,
		 cell->failed, strerror(-cell->error));
}

static void run_cell(struct cell *cell, struct result *result)
{
	const char *why = "", *mode = NULL;
	int err = setup_buffers(cell, &why);

	if (err) {
		result->verdict = CELL_SKIPPED;
		if (err == -EOPNOTSUPP)
			snprintf(result->why, sizeof(result->why), "%s", why);
		else
			snprintf(result->why, sizeof(result->why), "%s: %s", why,
				 strerror(-err));
		return;
	}
	cell->user.device = cell->engine->open(cell->user.stage, cell->buffers, cell->count,
					       result->why);
	if (!cell->user.device) {
		result->verdict = CELL_REFUSED;
		return;
	}
	run_threads(cell);
	if (cell->engine->mode)
		mode = cell->engine->mode(cell->user.device);
	cell->engine->close(cell->user.device);
	collect(cell, result);
	result->mode = mode;
}

void cell_run(const struct stage *stage, const struct kind *kind,
	      const struct engine *engine, const struct cell_options *options,
	      struct result *result)
{
	struct cell *cell = calloc(1, sizeof(*cell));

	*result = (struct result){.verdict = CELL_SKIPPED};
	if (!cell) {
		snprintf(result->why, sizeof(result->why), "no memory");
		return;
	}
	cell->user = (struct user){.stage = stage, .kind = kind, .engine = engine};
	cell->kind = kind;
	cell->engine = engine;
	cell->options = options;
	cell->still = true;
	pthread_mutex_init(&cell->lock, NULL);
	pthread_cond_init(&cell->turned, NULL);
	run_cell(cell, result);
	teardown_buffers(cell);
	pthread_cond_destroy(&cell->turned);
	pthread_mutex_destroy(&cell->lock);
	free(cell);
}
