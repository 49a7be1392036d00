// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: is what a device wrote through a fixed buffer kept when
 * the buffer has gone and the kernel reclaims the memory? (Y3)
 *
 * The kernel takes a page for clean that was given up by MADV_FREE and written by nobody
 * but a device. Beside it the usual way, a buffer registered once, does the same: it must
 * lose pages, or the test shows nothing.
 */
#include "uring_test.h"

#define PAGES 64
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static char *given_up(void)
{
	char *p = map_at(NULL, PAGES * PAGE);

	madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE);
	memset(p, 0xaa, PAGES * PAGE);
	MUST(madvise(p, PAGES * PAGE, MADV_FREE));
	return p;
}

/* Pages that the kernel has dropped; -1: it reclaims nothing here. */
static int lost(char *p)
{
	int nr = 0;

	if (madvise(p, PAGES * PAGE, MADV_PAGEOUT))
		return -1;
	for (size_t i = 0; i < PAGES; i++)
		nr += wrong_bytes(p + i * PAGE, PAGE, i * PAGE) != 0;
	return nr;
}

static int lost_usual_way(int file)
{
	char *p = given_up();
	struct iovec iov = {p, PAGES * PAGE};
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	MUST(io_uring_queue_init(4, &ring, 0));
	MUST(io_uring_register_buffers(&ring, &iov, 1));
	io_uring_prep_read_fixed(io_uring_get_sqe(&ring), file, p, PAGES * PAGE, 0, 0);
	MUST(io_uring_submit(&ring));
	MUST(io_uring_wait_cqe(&ring, &cqe));
	EXPECT(cqe->res == (int)(PAGES * PAGE), "%d", cqe->res);
	io_uring_cqe_seen(&ring, cqe);
	io_uring_unregister_buffers(&ring);
	io_uring_queue_exit(&ring);
	return lost(p);
}

static int lost_through_mirror(struct rig *rig)
{
	uint64_t fixed = stats_of(rig).fixed;
	char *p = given_up();

	for (size_t i = 0; i < PAGES; i++)
		EXPECT(read_to(rig, p + i * PAGE, PAGE, i * PAGE) == (int)PAGE, "page %zu",
		       i);
	EXPECT(stats_of(rig).fixed > fixed, "none on a fixed buffer");
	MUST(hmm_invalidate(rig->hmm, p, PAGES * PAGE));
	MUST(hmm_quiesce(rig->hmm, 10000));
	return lost(p);
}

int main(void)
{
	struct rig rig;
	int usual, ours;

	need_fixed_buffers();
	rig_open(&rig, 8, 0, NULL, 0);
	usual = lost_usual_way(rig.file);
	if (usual <= 0)
		skip("this kernel drops no page after MADV_FREE and MADV_PAGEOUT");
	ours = lost_through_mirror(&rig);
	printf("lost of %d pages: %d in a buffer registered once, %d through the mirror\n",
	       PAGES, usual, ours);
	EXPECT(ours == 0, "what the device wrote is lost");
	rig_close(&rig);
	return test_end();
}
