// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reads a file with io_uring into memory that changes between the reads.
 *
 *	uring_read FILE
 *
 * With a buffer registered by hand every read after the first would report success and
 * leave the memory as it was. Through the mirror each read lands where the pointer points
 * when it is submitted, on a fixed buffer made for it.
 */
#include <fcntl.h>
#include <hmm/uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEN (256 * 1024)

static void check(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "uring_read: %s: %s (%s)\n", what, strerror(-err), hmm_error());
	exit(1);
}

static int read_at(struct io_uring *ring, struct hmm_uring *u, int fd, char *to,
		   uint64_t offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int got;

	hmm_uring_prep_read(u, sqe, fd, to, LEN, offset);
	check(hmm_uring_submit(u), "submit");
	check(hmm_uring_wait_cqe(u, &cqe), "wait");
	got = cqe->res;
	hmm_uring_cqe_seen(u, cqe);
	return got;
}

int main(int argc, char **argv)
{
	/* The file is in the page cache, where a fixed buffer gains nothing: show it all
	 * the same. With O_DIRECT one would leave this out. */
	struct hmm_uring_attr all = {.size = sizeof(all), .flags = HMM_URING_PIN_ALL};
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .granule = LEN};
	struct hmm_uring_stats stats;
	struct hmm_mirror *mirror;
	uint64_t offset = 0, sum = 0;
	struct io_uring ring;
	struct hmm_uring *u;
	struct hmm *hmm;
	char *memory =
		mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int got, fd = open(argc > 1 ? argv[1] : argv[0], O_RDONLY);

	if (fd < 0 || memory == MAP_FAILED) {
		perror("uring_read");
		return 1;
	}
	check(io_uring_queue_init(8, &ring, 0), "io_uring");
	check(hmm_open(NULL, &hmm), "hmm_open");
	check(hmm_uring_open(hmm, &ring, &all, &u), "hmm_uring_open");
	check(hmm_mirror_create(hmm_uring_device(u), &attr, &mirror), "hmm_mirror_create");

	while ((got = read_at(&ring, u, fd, memory, offset)) > 0) {
		for (int i = 0; i < got; i++)
			sum += (unsigned char)memory[i];
		offset += got;
		/* Other memory at the same address, as free() and malloc() make it. */
		munmap(memory, LEN);
		mmap(memory, LEN, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
	check(got, "read");
	check(hmm_uring_stats(u, &stats, sizeof(stats)), "hmm_uring_stats");
	printf("%llu bytes, sum %llu, %llu reads on fixed buffers, %llu plain\n",
	       (unsigned long long)offset, (unsigned long long)sum,
	       (unsigned long long)stats.fixed, (unsigned long long)stats.plain);
	check(hmm_uring_close(u), "hmm_uring_close");
	io_uring_queue_exit(&ring);
	hmm_close(hmm);
	return 0;
}
