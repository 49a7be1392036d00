// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: is every kind of ring right, and every way to submit?
 */
#include "uring_test.h"

#include <pthread.h>
#include <sys/eventfd.h>

#define LEN           (64 * 1024ul)
#define SINGLE_ISSUER (1u << 12)
#define DEFER_TASKRUN (1u << 13)

static const struct setup {
	const char *name;
	unsigned int flags;
} setups[] = {
	{"default", 0},
	{"SQPOLL", IORING_SETUP_SQPOLL},
	{"SQE128", IORING_SETUP_SQE128},
	{"CQE32", IORING_SETUP_CQE32},
	{"SQE128, CQE32, CLAMP",
	 IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_CLAMP},
	{"COOP_TASKRUN", IORING_SETUP_COOP_TASKRUN},
	{"SINGLE_ISSUER", SINGLE_ISSUER},
	{"DEFER_TASKRUN", SINGLE_ISSUER | DEFER_TASKRUN},
};

/* Prepare, change, submit: the operation sees the memory after the change. */
static void change_before_submit(struct rig *rig, const char *name)
{
	char *p = map_at(NULL, LEN);
	uint64_t fixed = stats_of(rig).fixed;

	for (int i = 0; i < 50; i++) {
		EXPECT(read_to(rig, p, LEN, 0) == (int)LEN, "%s", name);
		prep_read(rig, p, LEN, PAGE, i);
		munmap(p, LEN);
		map_at(p, LEN);
		EXPECT(hmm_uring_submit(rig->u) == 1, "%s", name);
		EXPECT(reap(rig, i) == (int)LEN, "%s", name);
		EXPECT(wrong_bytes(p, LEN, PAGE) == 0, "%s: stale", name);
	}
	EXPECT(stats_of(rig).fixed == fixed + 100, "%s: fixed %llu", name,
	       (unsigned long long)(stats_of(rig).fixed - fixed));
	munmap(p, LEN);
}

/* More than the ring takes at a time, more than once around. */
static void around(struct rig *rig, const char *name)
{
	char *p = map_at(NULL, LEN);

	for (int round = 0; round < 100; round++) {
		uint64_t seen = 0;

		for (int i = 0; i < 8; i++)
			prep_read(rig, p + i * PAGE, PAGE, (round + i) % 512 * PAGE,
				  1ull << i);
		EXPECT(hmm_uring_submit(rig->u) == 8, "%s", name);
		for (int i = 0; i < 8; i++) {
			struct io_uring_cqe *cqe;

			MUST(hmm_uring_wait_cqe(rig->u, &cqe));
			EXPECT(cqe->res == (int)PAGE, "%s: %d", name, cqe->res);
			seen |= cqe->user_data;
			hmm_uring_cqe_seen(rig->u, cqe);
		}
		EXPECT(seen == 0xff, "%s: %llx", name, (unsigned long long)seen);
		for (int i = 0; i < 8; i++)
			EXPECT(!wrong_bytes(p + i * PAGE, PAGE, (round + i) % 512 * PAGE),
			       "%s: data", name);
	}
	munmap(p, LEN);
}

static void each_setup(void)
{
	for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
		const struct setup *s = &setups[i];
		struct rig rig;

		if (!rig_open(&rig, 8, s->flags, NULL, LEN)) {
			printf("skip %s: this kernel has no such ring\n", s->name);
			continue;
		}
		change_before_submit(&rig, s->name);
		around(&rig, s->name);
		hmm_quiesce(rig.hmm, 10000);
		EXPECT(stats_of(&rig).in_flight == 0, "%s", s->name);
		rig_close(&rig);
		EXPECT(nothing_pinned(), "%s: %ld KiB are pinned after close", s->name,
		       pinned_kb());
		printf("%s: done\n", s->name);
	}
}

/* The worker cannot clear a slot of this ring: the owner does, with its next call. */
static void deferred(void)
{
	struct io_uring_cqe *cqe;
	struct rig rig;
	char *p;

	if (!rig_open(&rig, 8, SINGLE_ISSUER, NULL, LEN))
		return;
	p = map_at(NULL, LEN);
	EXPECT(read_to(&rig, p, LEN, 0) == (int)LEN, "read");
	EXPECT(pinned_is(64), "%ld KiB", pinned_kb());
	munmap(p, LEN);
	hmm_quiesce(rig.hmm, 10000);
	if (stats_of(&rig).deferred) /* else this thread did the release itself */
		EXPECT(hmm_uring_peek_cqe(rig.u, &cqe) == -EAGAIN, "nothing to reap");
	EXPECT(nothing_pinned(), "%ld KiB", pinned_kb());
	EXPECT(stats_of(&rig).slots == 0, "slots");
	rig_close(&rig);
}

/*
 * The kernel stops at an sqe that it cannot even begin, and leaves the rest: the memory
 * changes before they are submitted again.
 */
static void short_submit(void)
{
	char *p = map_at(NULL, LEN), *q = map_at(NULL, LEN);
	struct io_uring_sqe *sqe;
	struct rig rig;
	int ret;

	rig_open(&rig, 8, 0, NULL, LEN);
	EXPECT(read_to(&rig, p, LEN, 0) == (int)LEN, "read");
	sqe = io_uring_get_sqe(&rig.ring);
	io_uring_prep_nop(sqe);
	sqe->opcode = 250;
	io_uring_sqe_set_data64(sqe, 1);
	prep_read(&rig, p, LEN, PAGE, 2);
	prep_read(&rig, q, LEN, PAGE, 3);
	ret = hmm_uring_submit(rig.u);
	EXPECT(ret == 1, "the kernel took %d", ret);
	EXPECT(stats_of(&rig).in_flight == 2, "two are ready and not taken");
	EXPECT(reap(&rig, 1) == -EINVAL, "the bad one");
	munmap(p, LEN);
	map_at(p, LEN);
	EXPECT(hmm_uring_submit(rig.u) == 2, "the rest");
	EXPECT(stats_of(&rig).retranslated == 1, "the one that changed");
	EXPECT(reap(&rig, 2) == (int)LEN, "first");
	EXPECT(reap(&rig, 3) == (int)LEN, "second");
	EXPECT(wrong_bytes(p, LEN, PAGE) == 0, "stale");
	EXPECT(wrong_bytes(q, LEN, PAGE) == 0, "the other");
	EXPECT(stats_of(&rig).in_flight == 0, "all came back");

	/* What is left in the ring at close is plain again, and works. */
	sqe = io_uring_get_sqe(&rig.ring);
	io_uring_prep_nop(sqe);
	sqe->opcode = 250;
	prep_read(&rig, p, LEN, 0, 4);
	EXPECT(hmm_uring_submit(rig.u) == 1, "the bad one only");
	EXPECT(hmm_uring_close(rig.u) == 0, "nothing is in flight");
	EXPECT(io_uring_submit(&rig.ring) == 1, "the other one");
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *cqe;

		MUST(io_uring_wait_cqe(&rig.ring, &cqe));
		EXPECT(i ? cqe->res == (int)LEN && cqe->user_data == 4
			 : cqe->res == -EINVAL,
		       "%d %d", i, cqe->res);
		io_uring_cqe_seen(&rig.ring, cqe);
	}
	EXPECT(wrong_bytes(p, LEN, 0) == 0, "data");
	io_uring_queue_exit(&rig.ring);
	hmm_close(rig.hmm);
	close(rig.file);
	munmap(p, LEN);
	munmap(q, LEN);
}

/* An operation waits behind a link while its memory goes: it keeps the old pages. */
static void links(void)
{
	char *p = map_at(NULL, LEN);
	struct io_uring_sqe *sqe;
	uint64_t count, one = 1;
	int gate = eventfd(0, 0);
	struct rig rig;

	rig_open(&rig, 8, 0, NULL, LEN);
	EXPECT(read_to(&rig, p, LEN, 0) == (int)LEN, "read");
	sqe = io_uring_get_sqe(&rig.ring);
	io_uring_prep_read(sqe, gate, &count, 8, 0);
	io_uring_sqe_set_data64(sqe, 1);
	sqe->flags |= IOSQE_IO_LINK;
	prep_read(&rig, p, LEN, PAGE, 2);
	EXPECT(hmm_uring_submit(rig.u) == 2, "submit");
	munmap(p, LEN);
	map_at(p, LEN);
	EXPECT(pinned_is(64), "the old pages are held: %ld KiB", pinned_kb());
	EXPECT(write(gate, &one, 8) == 8, "open the gate");
	EXPECT(reap(&rig, 1) == 8, "gate");
	EXPECT(reap(&rig, 2) == (int)LEN, "linked");
	EXPECT(p[0] == 0 && p[LEN - 1] == 0, "the new memory was not touched");
	hmm_quiesce(rig.hmm, 10000);
	EXPECT(nothing_pinned(), "and let go: %ld KiB", pinned_kb());
	rig_close(&rig);
	close(gate);
	munmap(p, LEN);
}

/* A refused operation fails with the error that was meant, and breaks its link. */
static void refused(void)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .modes = 1u << HMM_MODE_PIN};
	char *p =
		mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct io_uring_sqe *sqe;
	struct rig rig;

	rig_open(&rig, 8, 0, NULL, LEN);
	MUST(hmm_mirror_destroy(rig.mirror));
	MUST(hmm_mirror_create(hmm_uring_device(rig.u), &attr, &rig.mirror));
	sqe = prep_read(&rig, p, LEN, 0, 1);
	sqe->flags |= IOSQE_IO_LINK;
	sqe = io_uring_get_sqe(&rig.ring);
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, 2);
	MUST(hmm_uring_submit(rig.u));
	EXPECT(reap(&rig, 1) == -EOPNOTSUPP, "shared memory cannot be pinned");
	EXPECT(reap(&rig, 2) == -ECANCELED, "what is linked to it");
	EXPECT(p[0] == 0, "nothing was read");
	EXPECT(stats_of(&rig).refused == 1 && stats_of(&rig).in_flight == 0, "counted");
	rig_close(&rig);
	munmap(p, LEN);
}

/* Flags under which an operation stays plain. */
static void flags(void)
{
	char *p = map_at(NULL, LEN);
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct rig rig;

	rig_open(&rig, 8, 0, NULL, LEN);
	sqe = prep_read(&rig, p, 100, 0, 1);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	prep_read(&rig, p + 1000, 100, 0, 2);
	EXPECT(hmm_uring_submit_and_wait(rig.u, 1) == 2, "submit");
	EXPECT(reap(&rig, 2) == 100, "the second");
	EXPECT(hmm_uring_peek_cqe(rig.u, &cqe) == -EAGAIN, "the first tells nothing");
	EXPECT(wrong_bytes(p, 100, 0) == 0, "but it was done");
	EXPECT(stats_of(&rig).plain == 1 && stats_of(&rig).fixed == 1, "plain, fixed");

	io_uring_prep_provide_buffers(io_uring_get_sqe(&rig.ring), p + PAGE, PAGE, 1, 7, 3);
	MUST(hmm_uring_submit(rig.u));
	MUST(hmm_uring_wait_cqe(rig.u, &cqe));
	EXPECT(cqe->res == 0, "provide: %d", cqe->res);
	hmm_uring_cqe_seen(rig.u, cqe);
	sqe = prep_read(&rig, NULL, 500, 0, 3);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 7;
	MUST(hmm_uring_submit(rig.u));
	MUST(hmm_uring_wait_cqe(rig.u, &cqe));
	EXPECT(cqe->res == 500 && cqe->user_data == 3, "select: %d", cqe->res);
	EXPECT(cqe->flags >> IORING_CQE_BUFFER_SHIFT == 3, "which buffer");
	hmm_uring_cqe_seen(rig.u, cqe);
	EXPECT(wrong_bytes(p + PAGE, 500, 0) == 0, "data");
	rig_close(&rig);
	munmap(p, LEN);
}

static void refused_rings(void)
{
	struct hmm_uring_attr no_pin = {.size = sizeof(no_pin), .flags = HMM_URING_NO_PIN};
	struct hmm_uring_attr bad = {.size = 3};
	struct iovec iov = {map_at(NULL, PAGE), PAGE};
	struct io_uring ring;
	struct hmm_uring *u;
	struct hmm *hmm;

	MUST(hmm_open(NULL, &hmm));
	MUST(io_uring_queue_init(4, &ring, 0));
	MUST(io_uring_register_buffers(&ring, &iov, 1));
	EXPECT(hmm_uring_open(hmm, &ring, NULL, &u) == -EBUSY, "it has buffers of its own");
	EXPECT(strstr(hmm_error(), "HMM_URING_NO_PIN"), "%s", hmm_error());
	EXPECT(hmm_uring_open(hmm, &ring, &bad, &u) == -EINVAL, "bad size");
	MUST(hmm_uring_open(hmm, &ring, &no_pin, &u));
	MUST(hmm_uring_close(u));
	MUST(hmm_uring_close(NULL));
	EXPECT(io_uring_unregister_buffers(&ring) == 0, "its buffers are still there");
	io_uring_queue_exit(&ring);
	hmm_close(hmm);
	munmap(iov.iov_base, PAGE);
}

/* One thread submits, another reaps. */
struct split {
	struct rig rig;
	_Atomic(uint64_t) reaped;
	bool wrong;
};

#define SPLIT_OPS 200000u

static void *reaper(void *arg)
{
	struct split *s = arg;

	for (uint64_t n = 0; n < SPLIT_OPS;) {
		struct io_uring_cqe *cqe;
		int ret = hmm_uring_wait_cqe(s->rig.u, &cqe);

		if (ret == -EINTR)
			continue;
		MUST(ret);
		s->wrong |= cqe->res != 512 || cqe->user_data >= SPLIT_OPS;
		hmm_uring_cqe_seen(s->rig.u, cqe);
		atomic_store(&s->reaped, ++n);
	}
	return NULL;
}

static void two_threads(void)
{
	static struct split s;
	pthread_t thread;
	char *p = map_at(NULL, LEN);

	rig_open(&s.rig, 64, 0, NULL, LEN);
	pthread_create(&thread, NULL, reaper, &s);
	for (uint64_t n = 0; n < SPLIT_OPS; n += 32) {
		while (n - atomic_load(&s.reaped) > 64)
			usleep(10);
		for (int i = 0; i < 32; i++)
			prep_read(&s.rig, p + i * 2048, 512, i * 512, n + i);
		for (int left = 32; left;) {
			int ret = hmm_uring_submit(s.rig.u);

			MUST(ret);
			left -= ret;
		}
	}
	pthread_join(thread, NULL);
	EXPECT(!s.wrong, "results");
	for (int i = 0; i < 32; i++)
		EXPECT(wrong_bytes(p + i * 2048, 512, i * 512) == 0, "data");
	EXPECT(stats_of(&s.rig).in_flight == 0, "all came back");
	EXPECT(stats_of(&s.rig).fixed == SPLIT_OPS, "on fixed buffers");
	rig_close(&s.rig);
	munmap(p, LEN);
}

int main(void)
{
	need_fixed_buffers();
	each_setup();
	deferred();
	short_submit();
	links();
	refused();
	flags();
	refused_rings();
	two_threads();
	return test_end();
}
