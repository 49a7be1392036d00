// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: after memory changed, does an operation through the
 * mirror reach the memory that the CPU sees? (Y3, Y4)
 *
 * Each change is made by libc and by a raw system call, between two reads from a file
 * into the same address. Beside it the usual way, a buffer registered once, does the
 * same: it must go stale, or the test shows nothing.
 */
#include "uring_test.h"
#include "../../kit/raw.h"

#define LEN    (64 * 1024ul)
#define ROUNDS 200

enum way { LIBC, RAW };

static void *raw_mmap(void *at, size_t len, int flags)
{
	return (void *)raw_call(SYS_mmap, at, len, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void unmap_and_map(char *p, enum way way)
{
	if (way == LIBC)
		munmap(p, LEN);
	else
		raw_call(SYS_munmap, p, LEN);
	if (raw_mmap(p, LEN, MAP_FIXED_NOREPLACE) != p)
		exit(1);
}

static void map_over(char *p, enum way way)
{
	if (way == LIBC)
		map_at(p, LEN);
	else if (raw_mmap(p, LEN, MAP_FIXED) != p)
		exit(1);
}

static void discard(char *p, enum way way)
{
	if (way == LIBC)
		madvise(p, LEN, MADV_DONTNEED);
	else
		raw_call(SYS_madvise, p, LEN, MADV_DONTNEED);
}

static void move_over(char *p, enum way way)
{
	char *fresh = map_at(NULL, LEN);

	memset(fresh, 0, LEN);
	if (way == LIBC)
		mremap(fresh, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, p);
	else
		raw_call(SYS_mremap, fresh, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, p);
}

static void one_page(char *p, enum way way)
{
	char *page = p + 5 * PAGE;

	if (way == LIBC)
		munmap(page, PAGE);
	else
		raw_call(SYS_munmap, page, PAGE);
	if (raw_mmap(page, PAGE, MAP_FIXED_NOREPLACE) != page)
		exit(1);
}

static const struct change {
	const char *name;
	void (*make)(char *p, enum way way);
} changes[] = {
	{"munmap, mmap", unmap_and_map}, {"mmap over", map_over},
	{"MADV_DONTNEED", discard},      {"mremap over", move_over},
	{"one page of it", one_page},
};

static int stale_usual_way(const struct change *change, enum way way, int file)
{
	char *p = map_at(NULL, LEN);
	struct iovec iov = {p, LEN};
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int stale = 0;

	MUST(io_uring_queue_init(4, &ring, 0));
	memset(p, 0, LEN);
	MUST(io_uring_register_buffers(&ring, &iov, 1));
	for (int i = 0; i < 10; i++) {
		change->make(p, way);
		io_uring_prep_read_fixed(io_uring_get_sqe(&ring), file, p, LEN, 0, 0);
		MUST(io_uring_submit(&ring));
		MUST(io_uring_wait_cqe(&ring, &cqe));
		EXPECT(cqe->res == (int)LEN, "%s: %d", change->name, cqe->res);
		io_uring_cqe_seen(&ring, cqe);
		stale += wrong_bytes(p, LEN, 0) != 0;
	}
	io_uring_queue_exit(&ring);
	munmap(p, LEN);
	return stale;
}

static int stale_through_mirror(const struct change *change, enum way way, struct rig *rig)
{
	char *p = map_at(NULL, LEN);
	int stale = 0;

	memset(p, 0, LEN);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t offset = i % 16 * PAGE;
		int ret = read_to(rig, p, LEN, offset);

		EXPECT(ret == (int)LEN, "%s: %d", change->name, ret);
		stale += wrong_bytes(p, LEN, offset) != 0;
		change->make(p, way);
	}
	munmap(p, LEN);
	return stale;
}

int main(void)
{
	struct rig rig;

	need_fixed_buffers();
	rig_open(&rig, 8, 0, NULL, LEN);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		for (enum way way = LIBC; way <= RAW; way++) {
			int usual = stale_usual_way(&changes[i], way, rig.file);
			int ours = stale_through_mirror(&changes[i], way, &rig);

			printf("%-16s %-5s usual way: %d of 10 stale, mirror: %d of %d\n",
			       changes[i].name, way == LIBC ? "libc" : "raw", usual, ours,
			       ROUNDS);
			EXPECT(usual == 10, "a buffer registered once was not stale");
			EXPECT(ours == 0, "stale through the mirror");
		}
	EXPECT(stats_of(&rig).fixed > 5 * ROUNDS / 2, "only %llu on fixed buffers",
	       (unsigned long long)stats_of(&rig).fixed);
	printf("fixed %llu, plain %llu\n", (unsigned long long)stats_of(&rig).fixed,
	       (unsigned long long)stats_of(&rig).plain);
	hmm_quiesce(rig.hmm, 10000);
	rig_close(&rig);
	EXPECT(nothing_pinned(), "%ld KiB are pinned after close", pinned_kb());
	return test_end();
}
