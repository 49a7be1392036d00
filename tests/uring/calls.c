// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: does each call do what liburing's call of that name
 * does, on a fixed buffer where there is one?
 */
#include "uring_test.h"

#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static char *buffer;

#define BUFFER (256 * 1024ul)

static uint64_t fixed_count(struct rig *rig)
{
	return stats_of(rig).fixed;
}

static void read_and_write(struct rig *rig)
{
	int out = memfd_create("out", MFD_CLOEXEC);
	uint64_t fixed = fixed_count(rig);
	struct io_uring_sqe *sqe;
	char *back = malloc(8192);

	EXPECT(read_to(rig, buffer + 100, 8000, 17) == 8000, "read");
	EXPECT(wrong_bytes(buffer + 100, 8000, 17) == 0, "data");
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_write(rig->u, sqe, out, buffer + 100, 8000, 0);
	io_uring_sqe_set_data64(sqe, ~0ull >> 1);
	MUST(hmm_uring_submit(rig->u));
	EXPECT(reap(rig, ~0ull >> 1) == 8000, "write");
	EXPECT(pread(out, back, 8000, 0) == 8000, "pread");
	EXPECT(wrong_bytes(back, 8000, 17) == 0, "data");
	EXPECT(fixed_count(rig) == fixed + 2, "both on a fixed buffer");
	EXPECT(stats_of(rig).in_flight == 0, "nothing is in flight");
	free(back);
	close(out);
}

/* One piece can be fixed, several are plain. */
static void vectored(struct rig *rig)
{
	struct iovec iov[3] = {{buffer + PAGE, 1000}, {buffer, PAGE}, {NULL, 0}};
	int out = memfd_create("out", MFD_CLOEXEC);
	uint64_t fixed = fixed_count(rig);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);

	hmm_uring_prep_readv(rig->u, sqe, rig->file, iov, 1, 5, 0);
	io_uring_sqe_set_data64(sqe, 1);
	MUST(hmm_uring_submit(rig->u));
	EXPECT(reap(rig, 1) == 1000, "readv of one piece");
	EXPECT(wrong_bytes(buffer + PAGE, 1000, 5) == 0, "data");
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_writev(rig->u, sqe, out, iov, 1, 0, 0);
	io_uring_sqe_set_data64(sqe, 2);
	MUST(hmm_uring_submit(rig->u));
	EXPECT(reap(rig, 2) == 1000, "writev of one piece");
	EXPECT(fixed_count(rig) == fixed + 2, "on fixed buffers: %llu",
	       (unsigned long long)(fixed_count(rig) - fixed));
	for (unsigned int nr = 2; nr <= 3; nr++) {
		sqe = io_uring_get_sqe(&rig->ring);
		hmm_uring_prep_readv(rig->u, sqe, rig->file, iov, nr, 5, 0);
		io_uring_sqe_set_data64(sqe, nr);
		MUST(hmm_uring_submit(rig->u));
		EXPECT(reap(rig, nr) == 1000 + (int)PAGE, "readv of %u pieces", nr);
		EXPECT(wrong_bytes(buffer + PAGE, 1000, 5) == 0, "first piece");
		EXPECT(wrong_bytes(buffer, PAGE, 1005) == 0, "second piece");
	}
	EXPECT(fixed_count(rig) == fixed + 2, "these two are plain");
	close(out);
}

static void tcp_pair(int pair[2])
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len) ||
	    connect(pair[0], (void *)&addr, len))
		skip("no TCP over the loopback interface");
	pair[1] = accept(listener, NULL, NULL);
	close(listener);
}

static void sockets(struct rig *rig)
{
	uint64_t fixed = fixed_count(rig);
	struct io_uring_sqe *sqe;
	int pair[2];

	tcp_pair(pair);
	EXPECT(read_to(rig, buffer, 3000, 0) == 3000, "read");
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_send(rig->u, sqe, pair[0], buffer, 3000, 0);
	io_uring_sqe_set_data64(sqe, 1);
	MUST(hmm_uring_submit(rig->u));
	EXPECT(reap(rig, 1) == 3000, "send");
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_recv(rig->u, sqe, pair[1], buffer + 8192, 3000, MSG_WAITALL);
	io_uring_sqe_set_data64(sqe, 2);
	MUST(hmm_uring_submit(rig->u));
	EXPECT(reap(rig, 2) == 3000, "recv");
	EXPECT(wrong_bytes(buffer + 8192, 3000, 0) == 0, "data");
	EXPECT(fixed_count(rig) == fixed + 1, "only the read is fixed");
	close(pair[0]);
	close(pair[1]);
}

static void zero_copy(struct rig *rig)
{
	uint64_t fixed = fixed_count(rig);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);
	struct io_uring_cqe *cqe;
	char back[3000];
	int pair[2];

	tcp_pair(pair);
	hmm_uring_prep_send_zc(rig->u, sqe, pair[0], buffer, sizeof(back), 0, 0);
	io_uring_sqe_set_data64(sqe, 77);
	MUST(hmm_uring_submit(rig->u));
	MUST(hmm_uring_wait_cqe(rig->u, &cqe));
	EXPECT(cqe->res == sizeof(back) && cqe->user_data == 77, "send_zc: %d", cqe->res);
	EXPECT(cqe->flags & IORING_CQE_F_MORE, "another completion will come");
	EXPECT(stats_of(rig).in_flight == 1, "held until then");
	hmm_uring_cqe_seen(rig->u, cqe);
	EXPECT(recv(pair[1], back, sizeof(back), MSG_WAITALL) == sizeof(back), "recv");
	EXPECT(wrong_bytes(back, sizeof(back), 0) == 0, "data");
	MUST(hmm_uring_wait_cqe(rig->u, &cqe));
	EXPECT(cqe->user_data == 77 && (cqe->flags & IORING_CQE_F_NOTIF), "notification");
	hmm_uring_cqe_seen(rig->u, cqe);
	EXPECT(stats_of(rig).in_flight == 0, "given back");
	EXPECT(fixed_count(rig) == fixed + 1, "on a fixed buffer");
	close(pair[0]);
	close(pair[1]);
}

/* A read of an empty pipe on a fixed buffer is cancelled by the application's data. */
static void cancel(struct rig *rig)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);
	int seen = 0, pipes[2];

	if (pipe(pipes))
		exit(1);
	hmm_uring_prep_read(rig->u, sqe, pipes[0], buffer, 10, 0);
	io_uring_sqe_set_data64(sqe, 0xabcd);
	MUST(hmm_uring_submit(rig->u));
	EXPECT(stats_of(rig).in_flight == 1, "it waits, on a fixed buffer");
	EXPECT(hmm_uring_close(rig->u) == -EBUSY, "cannot be closed now");
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_cancel(rig->u, sqe, 0xabcd, 0);
	io_uring_sqe_set_data64(sqe, 0xca);
	MUST(hmm_uring_submit(rig->u));
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *cqe;

		MUST(hmm_uring_wait_cqe(rig->u, &cqe));
		if (cqe->user_data == 0xabcd && cqe->res == -ECANCELED)
			seen |= 1;
		if (cqe->user_data == 0xca && cqe->res == 0)
			seen |= 2;
		hmm_uring_cqe_seen(rig->u, cqe);
	}
	EXPECT(seen == 3, "cancelled, and told so: %d", seen);
	close(pipes[0]);
	close(pipes[1]);
}

/* Errors are the kernel's, in the completion. */
static void errors(struct rig *rig)
{
	char *hole = map_at(NULL, PAGE);

	munmap(hole, PAGE);
	EXPECT(read_to(rig, hole, 100, 0) == -EFAULT, "into a hole");
	EXPECT(read_to(rig, NULL, 100, 0) == -EFAULT, "into NULL");
	EXPECT(read_to(rig, buffer, 0, 0) == 0, "of nothing");
	mprotect(map_at(hole, PAGE), PAGE, PROT_READ);
	EXPECT(read_to(rig, hole, 100, 0) == -EFAULT, "into read-only memory");
	EXPECT(hole[0] == 0, "nothing was written (Y5)");
	munmap(hole, PAGE);
	EXPECT(stats_of(rig).in_flight == 0, "nothing is held");
}

/* A full ring at a time; completions in one batch, looked at twice. */
static void batches(struct rig *rig)
{
	struct io_uring_cqe *cqes[16], *again[16];
	uint64_t sum = 0;

	for (int round = 0; round < 1000; round++) {
		unsigned int n;

		for (int i = 0; i < 8; i++)
			prep_read(rig, buffer + i * 10000, 9000, i * 9000, i + 1);
		EXPECT(hmm_uring_submit_and_wait(rig->u, 8) == 8, "submit");
		n = hmm_uring_peek_batch_cqe(rig->u, cqes, 16);
		EXPECT(n == 8, "%u completions", n);
		EXPECT(hmm_uring_peek_batch_cqe(rig->u, again, 16) == n, "the same again");
		for (unsigned int i = 0; i < n; i++) {
			EXPECT(cqes[i]->res == 9000, "%d", cqes[i]->res);
			sum += again[i]->user_data;
		}
		hmm_uring_cq_advance(rig->u, n);
	}
	EXPECT(sum == 36000, "every operation once: %llu", (unsigned long long)sum);
	for (int i = 0; i < 8; i++)
		EXPECT(wrong_bytes(buffer + i * 10000, 9000, i * 9000) == 0, "%d", i);
	EXPECT(stats_of(rig).in_flight == 0, "all came back");
}

/* Other operations of the ring keep their user_data, whatever it is. */
static void foreign(struct rig *rig)
{
	struct io_uring_sqe *sqe;

	for (uint64_t data = 1; data; data <<= 1) {
		sqe = io_uring_get_sqe(&rig->ring);
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data64(sqe, data);
		MUST(hmm_uring_submit(rig->u));
		EXPECT(reap(rig, data) == 0, "nop");
	}
	sqe = io_uring_get_sqe(&rig->ring);
	hmm_uring_prep_read(rig->u, sqe, rig->file, buffer, 100, 0);
	io_uring_prep_nop(sqe); /* prepared in its place */
	io_uring_sqe_set_data64(sqe, 6);
	MUST(hmm_uring_submit(rig->u));
	EXPECT(reap(rig, 6) == 0, "nop");
}

/*
 * An sqe keeps the user_data of its last use, as the application left it: a later nop must
 * not end that operation.
 */
static void left_over(struct rig *rig)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&rig->ring);
	int pipes[2];

	if (pipe(pipes))
		exit(1);
	hmm_uring_prep_read(rig->u, sqe, pipes[0], buffer, 10, 0);
	io_uring_sqe_set_data64(sqe, 99);
	MUST(hmm_uring_submit(rig->u));
	for (int i = 0; i < 16; i++) {
		struct io_uring_cqe *cqe;
		uint64_t last;

		sqe = io_uring_get_sqe(&rig->ring);
		last = sqe->user_data;
		io_uring_prep_nop(sqe);
		EXPECT(i % 8 != 7 || last == 99, "%llu", (unsigned long long)last);
		MUST(hmm_uring_submit(rig->u));
		MUST(hmm_uring_wait_cqe(rig->u, &cqe));
		EXPECT(cqe->res == 0 && cqe->user_data == last, "nop");
		hmm_uring_cqe_seen(rig->u, cqe);
	}
	EXPECT(stats_of(rig).in_flight == 1, "the read still waits");
	EXPECT(write(pipes[1], "x", 1) == 1, "write");
	EXPECT(reap(rig, 99) == 1, "read");
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	struct io_uring_probe *probe = io_uring_get_probe();
	struct rig rig;
	bool sends;

	need_fixed_buffers();
	if (!probe)
		skip("no io_uring here");
	sends = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
	io_uring_free_probe(probe);
	rig_open(&rig, 8, 0, NULL, BUFFER);
	buffer = aligned_alloc(BUFFER, BUFFER);
	memset(buffer, 0, BUFFER);
	read_and_write(&rig);
	vectored(&rig);
	sockets(&rig);
	if (sends)
		zero_copy(&rig);
	cancel(&rig);
	errors(&rig);
	batches(&rig);
	foreign(&rig);
	left_over(&rig);
	rig_close(&rig);
	free(buffer);
	EXPECT(nothing_pinned(), "%ld KiB are pinned after close", pinned_kb());
	return test_end();
}
