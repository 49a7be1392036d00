// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: does a random program of operations do through a mirror
 * what it does on a plain ring?
 *
 *	uring_random [OPERATIONS [SEED]]
 *
 * Results, completions and their order, memory, files and what was left in the sqes are
 * compared after each batch. The kinds of rings and of struct hmm_uring_attr take turns.
 * What uring.h names as different is not drawn: liburing's cancel of our operations by
 * user_data, and several operations with one user_data that is then cancelled.
 */
#include "random.h"

#define BATCH    6u
#define BATCHES  100u /* with one pair of rings */
#define CQES_MAX 64u

#define SINGLE_ISSUER (1u << 12)
#define DEFER_TASKRUN (1u << 13)

struct operation {
	struct drawn drawn;
	uint64_t user_data, seed;
	unsigned int area, flags, opcode, chain;
	bool may_wait, uncertain; /* uncertain: a completion need not come */
};

struct got {
	uint64_t user_data;
	int res;
	unsigned int flags;
};

struct batch {
	struct operation ops[BATCH + 1];
	unsigned int nr;
	struct got got[2][CQES_MAX];
	unsigned int nr_got[2];
	int submitted[2][BATCH + 2];
};

static const unsigned int setups[] = {
	0,
	IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_CLAMP,
	IORING_SETUP_COOP_TASKRUN,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	IORING_SETUP_SQE128,
	IORING_SETUP_CQE32,
	IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
	SINGLE_ISSUER,
	SINGLE_ISSUER | DEFER_TASKRUN,
	SINGLE_ISSUER | DEFER_TASKRUN | IORING_SETUP_SQE128 | IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_R_DISABLED,
	IORING_SETUP_CQSIZE,
	IORING_SETUP_SQPOLL,
	IORING_SETUP_SQPOLL | IORING_SETUP_SQE128,
	IORING_SETUP_IOPOLL,
};

static struct world worlds[2];
static struct hmm *hmm;
static unsigned int setup;
static uint64_t operations, differ, serial;

/* ---- drawing a batch ---- */

/* Of several with the same, nothing could be told apart. */
static uint64_t draw_data(struct random *r, const struct operation *op, unsigned int i)
{
	static const uint64_t odd[] = {0, 1, UINT64_MAX, 0xffff, 1ull << 63, 0xffffffff};
	uint64_t data = odd[i];

	if (draw(r, 10) || op->may_wait)
		return 1000 + ++serial;
	return data ? data : (uintptr_t)worlds[1].u;
}

/*
 * Nothing tells the end of what is skipped and is the last of its chain: so something that
 * is told follows.
 */
static void draw_flags(struct random *r, struct operation *op, bool last)
{
	op->flags = 0;
	if (op->may_wait)
		return;
	if (!last && !draw(r, 5))
		op->flags |= draw(r, 3) ? IOSQE_IO_LINK : IOSQE_IO_HARDLINK;
	else if (!last && !draw(r, 12))
		op->flags |= IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK;
	if (!draw(r, 8))
		op->flags |= IOSQE_ASYNC;
	if (!draw(r, 30))
		op->flags |= IOSQE_FIXED_FILE;
	if (!draw(r, 40))
		op->flags |= IOSQE_BUFFER_SELECT;
}

/* One chain, one area: what runs at once must not meet. */
static void draw_batch(struct random *r, struct batch *b)
{
	unsigned int chain = 0;
	bool skip = false, linked = false;

	b->nr = 1 + draw(r, BATCH);
	for (unsigned int i = 0; i < b->nr; i++) {
		struct operation *op = &b->ops[i];

		*op = (struct operation){.chain = chain, .area = chain % AREAS};
		/* Behind a link it might wait in a worker thread, where a cancel is a
		 * signal. */
		op->may_wait = !(setup & IORING_SETUP_IOPOLL) && !linked && !draw(r, 12);
		op->seed = ((uint64_t)draw(r, 1u << 31) << 31 | draw(r, 1u << 31)) | 1;
		op->user_data = draw_data(r, op, i);
		draw_flags(r, op, i + 1 == b->nr);
		skip |= op->flags & IOSQE_CQE_SKIP_SUCCESS;
		op->uncertain = skip;
		linked = op->flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK);
		if (!linked) {
			chain++;
			skip = false;
		}
	}
}

static void prepare(struct world *w, struct batch *b)
{
	for (unsigned int i = 0; i < b->nr; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
		struct operation *op = &b->ops[i];
		struct random r = {op->seed};

		if (!sqe) {
			printf("the ring is full\n");
			exit(1);
		}
		draw_operation(w, sqe, op->area, &r, op->may_wait, &op->drawn);
		op->opcode = sqe->opcode;
		io_uring_sqe_set_data64(sqe, op->user_data);
		sqe->flags |= (uint8_t)op->flags;
		if (op->flags & IOSQE_FIXED_FILE)
			sqe->fd = op->drawn.file <= APPEND
					  ? (int)(op->drawn.file * AREAS + op->area)
					  : 5000;
		if (op->flags & IOSQE_BUFFER_SELECT)
			sqe->buf_group = (uint16_t)op->area;
	}
}

/* ---- submitting ---- */

static int submit(struct world *w)
{
	return w->u ? hmm_uring_submit(w->u) : io_uring_submit(&w->ring);
}

static void wait_taken(struct world *w)
{
	while (io_uring_sq_ready(&w->ring))
		usleep(10);
}

/*
 * The kernel stops at an sqe that it cannot begin; the memory of what is left may change
 * before the next try.
 */
static void submit_batch(struct world *w, struct batch *b, int which, struct random r)
{
	const struct operation *last = &b->ops[b->nr - 1];
	int *ret = b->submitted[which];

	for (unsigned int i = 0; i <= b->nr; i++) {
		ret[i] = submit(w);
		if (setup & IORING_SETUP_SQPOLL) {
			wait_taken(w);
			ret[i] = 0;
		}
		if (!io_uring_sq_ready(&w->ring)) {
			ret[i + 1] = 12345;
			return;
		}
		if (b->ops[b->nr - io_uring_sq_ready(&w->ring)].chain < last->chain)
			world_change(w, last->area, &r);
	}
}

/* The batch's sqe number @i, as bytes. */
static const char *sqe_of(const struct world *w, const struct batch *b, unsigned int i)
{
	unsigned int shift = setup & IORING_SETUP_SQE128 ? 1 : 0;
	unsigned int at = (w->ring.sq.sqe_tail - b->nr + i) & w->ring.sq.ring_mask;

	return (const char *)&w->ring.sq.sqes[at << shift];
}

/* The sqes are as they were prepared, once the kernel has taken them. */
static unsigned int compare_sqes(const struct batch *b, char before[BATCH][64])
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < b->nr; i++)
		wrong += memcmp(sqe_of(&worlds[1], b, i), before[i], 64) != 0;
	if (wrong)
		printf("%u sqes are not as they were\n", wrong);
	return wrong;
}

/* ---- reaping ---- */

static bool next(struct world *w, struct io_uring_cqe **cqe, unsigned int ms)
{
	struct __kernel_timespec time = {.tv_sec = ms / 1000,
					 .tv_nsec = ms % 1000 * 1000000};
	int ret;

	if (setup & IORING_SETUP_IOPOLL || !ms) {
		for (unsigned int i = 0; i <= 20 * ms; i++) {
			ret = w->u ? hmm_uring_peek_cqe(w->u, cqe)
				   : io_uring_peek_cqe(&w->ring, cqe);
			if (!ret || !ms)
				return !ret;
			usleep(50);
		}
		return false;
	}
	do
		ret = w->u ? hmm_uring_wait_cqe_timeout(w->u, cqe, &time)
			   : io_uring_wait_cqe_timeout(&w->ring, cqe, &time);
	while (ret == -EINTR);
	return !ret;
}

static struct operation *by_data(struct batch *b, uint64_t user_data)
{
	for (unsigned int i = 0; i < b->nr; i++)
		if (b->ops[i].user_data == user_data)
			return &b->ops[i];
	return NULL;
}

static bool take(struct world *w, struct batch *b, int which, unsigned int ms)
{
	struct operation *op;
	struct io_uring_cqe *cqe;
	struct got *got;

	if (!next(w, &cqe, ms))
		return false;
	op = by_data(b, cqe->user_data);
	if (b->nr_got[which] == CQES_MAX) {
		printf("more completions than can be\n");
		exit(1);
	}
	got = &b->got[which][b->nr_got[which]++];
	*got = (struct got){cqe->user_data, cqe->res,
			    cqe->flags & ~IORING_CQE_F_SOCK_NONEMPTY};
	if (op && op->drawn.gives_file && cqe->res >= 0) {
		close(cqe->res);
		got->res = 0;
	}
	if (w->u)
		hmm_uring_cqe_seen(w->u, cqe);
	else
		io_uring_cqe_seen(&w->ring, cqe);
	return true;
}

static bool is_over(const struct batch *b, int which, uint64_t user_data)
{
	for (unsigned int i = 0; i < b->nr_got[which]; i++)
		if (b->got[which][i].user_data == user_data &&
		    !(b->got[which][i].flags & IORING_CQE_F_MORE))
			return true;
	return false;
}

/* The last of the chain has ended, or one that is told only if it fails. */
static bool chain_is_over(const struct batch *b, int which, unsigned int chain)
{
	for (unsigned int i = 0; i < b->nr; i++) {
		const struct operation *op = &b->ops[i];

		/* A hard link goes on after a failure. */
		if (op->chain == chain && is_over(b, which, op->user_data) &&
		    !(op->flags & IOSQE_IO_HARDLINK) &&
		    (op->flags & IOSQE_CQE_SKIP_SUCCESS || !(op->flags & IOSQE_IO_LINK)))
			return true;
	}
	return false;
}

/* All that must end has. */
static bool is_done(const struct batch *b, int which)
{
	for (unsigned int i = 0; i < b->nr; i++) {
		const struct operation *op = &b->ops[i];

		if (op->drawn.waits)
			continue;
		if (op->uncertain ? !chain_is_over(b, which, op->chain)
				  : !is_over(b, which, op->user_data))
			return false;
	}
	return true;
}

#define PATIENCE 2000 /* ms */

/* All that must come, and what is there besides. */
static void collect(struct batch *b, int which)
{
	while (!is_done(b, which) && take(&worlds[which], b, which, PATIENCE))
		;
	while (take(&worlds[which], b, which, 0))
		;
}

/* ---- what waits ---- */

#define CANCEL 2000000000u /* user_data of the first cancel */

static void end_one(struct world *w, const struct operation *op, unsigned int how,
		    unsigned int i)
{
	struct io_uring_sqe *sqe;

	if (!how) {
		if (write(w->others[PIPE_EMPTY][op->area], "12345", 5) != 5)
			perror("write");
		return;
	}
	sqe = io_uring_get_sqe(&w->ring);
	if (how == 1 && w->u)
		hmm_uring_prep_cancel(w->u, sqe, op->user_data, 0);
	else if (how == 1)
		io_uring_prep_cancel64(sqe, op->user_data, 0);
	else
		io_uring_prep_cancel_fd(sqe, w->fds[PIPE_EMPTY][op->area], 0);
	io_uring_sqe_set_data64(sqe, CANCEL + i);
	submit(w);
	if (setup & IORING_SETUP_SQPOLL)
		wait_taken(w);
}

static void empty_pipe(struct world *w, unsigned int area)
{
	int fd = w->fds[PIPE_EMPTY][area];
	char rest[8];

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (read(fd, rest, sizeof(rest)) > 0)
		;
	fcntl(fd, F_SETFL, 0);
}

static void end_what_waits(struct batch *b, struct random *r)
{
	for (unsigned int i = 0; i < b->nr; i++) {
		const struct operation *op = &b->ops[i];
		unsigned int how = draw(r, 3);

		if (!op->drawn.waits || is_over(b, 0, op->user_data))
			continue;
		for (int which = 0; which < 2; which++) {
			end_one(&worlds[which], op, how, i);
			while (!is_over(b, which, op->user_data) ||
			       (how && !is_over(b, which, CANCEL + i)))
				if (!take(&worlds[which], b, which, PATIENCE))
					break;
			empty_pipe(&worlds[which], op->area);
		}
	}
}

/* ---- comparing ---- */

static int by_value(const void *a, const void *b)
{
	const struct got *p = a, *q = b;

	if (p->user_data != q->user_data)
		return p->user_data < q->user_data ? -1 : 1;
	if (p->flags != q->flags)
		return p->flags > q->flags ? -1 : 1;
	return p->res < q->res ? -1 : p->res > q->res;
}

/* In a chain each ends after those before it, but for what was cancelled by then. */
static unsigned int compare_order(struct batch *b)
{
	const struct operation *last[BATCH + 1] = {0};
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < b->nr_got[1]; i++) {
		const struct got *got = &b->got[1][i];
		struct operation *op = by_data(b, got->user_data);

		if (!op || got->res == -ECANCELED || got->flags & IORING_CQE_F_NOTIF)
			continue;
		wrong += last[op->chain] > op;
		last[op->chain] = op;
	}
	if (wrong)
		printf("%u completions are out of order\n", wrong);
	return wrong;
}

static unsigned int compare_results(struct batch *b)
{
	unsigned int wrong = b->nr_got[0] != b->nr_got[1];

	for (int which = 0; which < 2; which++)
		qsort(b->got[which], b->nr_got[which], sizeof(struct got), by_value);
	for (unsigned int i = 0; !wrong && i < b->nr_got[0]; i++)
		wrong += by_value(&b->got[0][i], &b->got[1][i]) != 0;
	for (unsigned int i = 0; !(setup & IORING_SETUP_SQPOLL) && i <= b->nr; i++) {
		wrong += b->submitted[0][i] != b->submitted[1][i];
		if (b->submitted[0][i] == 12345)
			break;
	}
	return wrong;
}

/* What need not come comes to both or to none. */
static unsigned int wait_alike(struct batch *b)
{
	for (int i = 0; compare_results(b) && i < PATIENCE / 2; i++)
		for (int which = 0; which < 2; which++)
			take(&worlds[which], b, which, 1);
	return compare_results(b);
}

static void print_batch(const struct batch *b, uint64_t seed)
{
	printf("seed %llu, setup %#x:\n", (unsigned long long)seed, setup);
	for (unsigned int i = 0; i < b->nr; i++) {
		const struct operation *op = &b->ops[i];

		printf("  %s of file kind %d, area %u, flags %#x, user_data %llx%s\n",
		       operation_name(op->opcode), op->drawn.file, op->area, op->flags,
		       (unsigned long long)op->user_data, op->drawn.waits ? ", waits" : "");
	}
	for (int which = 0; which < 2; which++) {
		printf("  %s:", which ? "libhmm" : "liburing");
		for (unsigned int i = 0; i < b->nr_got[which]; i++)
			printf(" %llx=%d/%x",
			       (unsigned long long)b->got[which][i].user_data,
			       b->got[which][i].res, b->got[which][i].flags);
		printf("; submitted");
		for (unsigned int i = 0; b->submitted[which][i] != 12345 && i <= b->nr; i++)
			printf(" %d", b->submitted[which][i]);
		printf("\n");
	}
}

/* What nothing tells the end of may take a moment. */
static unsigned int compare_area(unsigned int area)
{
	for (int i = 0; i < 200; i++) {
		if (!world_compare(&worlds[0], &worlds[1], area, false))
			return 0;
		usleep(10000);
	}
	return world_compare(&worlds[0], &worlds[1], area, true);
}

/* ---- programs ---- */

/* False: they differ from here on. */
static bool run_batch(struct random *r)
{
	char before[BATCH][64];
	uint64_t seed = r->state;
	struct batch b = {0};
	unsigned int wrong = 0;
	struct random change;

	draw_batch(r, &b);
	change = (struct random){b.ops[0].seed};
	for (int which = 0; which < 2; which++) {
		for (unsigned int i = 0; i < b.nr; i++)
			world_fill(&worlds[which], b.ops[i].area);
		prepare(&worlds[which], &b);
		for (unsigned int i = 0; which && i < b.nr; i++)
			memcpy(before[i], sqe_of(&worlds[1], &b, i), 64);
		submit_batch(&worlds[which], &b, which, change);
		collect(&b, which);
	}
	if (!(setup & IORING_SETUP_SQPOLL))
		wrong += compare_sqes(&b, before);
	end_what_waits(&b, r);
	wrong += compare_order(&b) + wait_alike(&b);
	for (unsigned int area = 0; area <= b.ops[b.nr - 1].area; area++)
		wrong += compare_area(area);
	for (unsigned int area = 0; area <= b.ops[b.nr - 1].area; area++)
		for (int which = 0; which < 2; which++)
			world_rewind(&worlds[which], area);
	operations += b.nr;
	if (wrong) {
		differ++;
		print_batch(&b, seed);
	}
	return !wrong;
}

static void between(struct random *r)
{
	unsigned int area = draw(r, BATCH), what = draw(r, 6);
	struct random same = *r;

	for (int which = 0; which < 2; which++) {
		*r = same;
		if (what == 0)
			world_renew(&worlds[which], area);
		else if (what < 3)
			world_change(&worlds[which], area, r);
	}
}

static bool rings_open(unsigned int attr_flags, uint32_t slots, uint64_t granule)
{
	struct io_uring_params params = {.flags = setup, .sq_thread_idle = 1};
	struct hmm_uring_attr attr = {
		.size = sizeof(attr), .flags = attr_flags, .slots = slots};
	struct hmm_mirror_attr mattr = {.size = sizeof(mattr), .granule = granule};
	struct hmm_mirror *mirror;

	params.cq_entries = setup & IORING_SETUP_CQSIZE ? 64 : 0;
	for (int which = 0; which < 2; which++) {
		struct io_uring_params p = params;
		int ret = io_uring_queue_init_params(16, &worlds[which].ring, &p);

		if (ret && which)
			io_uring_queue_exit(&worlds[0].ring);
		if (ret)
			return false;
	}
	worlds[0].u = NULL;
	MUST(hmm_uring_open(hmm, &worlds[1].ring, &attr, &worlds[1].u));
	MUST(hmm_mirror_create(hmm_uring_device(worlds[1].u), &mattr, &mirror));
	for (int which = 0; which < 2; which++) {
		if (setup & IORING_SETUP_R_DISABLED)
			io_uring_register(worlds[which].ring.ring_fd,
					  IORING_REGISTER_ENABLE_RINGS, NULL, 0);
		world_open(&worlds[which]);
		io_uring_register_files(&worlds[which].ring, worlds[which].fds[0],
					(APPEND + 1) * AREAS);
	}
	return true;
}

static void rings_close(void)
{
	struct io_uring_cqe *cqe;

	/* What differed may have left something. */
	while (hmm_uring_close(worlds[1].u) == -EBUSY) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&worlds[1].ring);

		io_uring_prep_cancel(sqe, NULL,
				     IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
		io_uring_sqe_set_data64(sqe, 78);
		submit(&worlds[1]);
		while (next(&worlds[1], &cqe, 50))
			hmm_uring_cqe_seen(worlds[1].u, cqe);
	}
	for (int which = 0; which < 2; which++) {
		io_uring_queue_exit(&worlds[which].ring);
		world_close(&worlds[which]);
	}
}

static void run_program(uint64_t nr, struct random *r)
{
	static const uint64_t granules[] = {0, 0, 65536, 1 << 20};
	unsigned int flags = nr & 1 ? HMM_URING_PIN_ALL : draw(r, 8) ? 0 : HMM_URING_NO_PIN;
	uint32_t slots = draw(r, 3) ? 0 : 1 + draw(r, 4);

	setup = setups[nr / 2 % (sizeof(setups) / sizeof(setups[0]))];
	if (!rings_open(flags, slots, granules[draw(r, 4)]))
		return; /* this kernel has no such ring */
	for (unsigned int i = 0; i < BATCHES && run_batch(r); i++)
		between(r);
	rings_close();
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : 12000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	struct random r = {seed * 0x9E3779B97F4A7C15ull | 1};
	struct io_uring_probe *probe = io_uring_get_probe();

	if (!probe)
		skip("no io_uring here");
	io_uring_free_probe(probe);
	MUST(hmm_open(NULL, &hmm));
	printf("seed %llu\n", (unsigned long long)seed);
	for (uint64_t nr = 0; operations < count && differ < 20; nr++)
		run_program(nr, &r);
	printf("%llu operations, %llu batches differ\n", (unsigned long long)operations,
	       (unsigned long long)differ);
	EXPECT(!differ, "not as on a plain ring");
	hmm_close(hmm);
	return test_end();
}
