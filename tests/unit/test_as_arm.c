/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is memory that the kernel does not watch any more found out, and watched again?
 *
 * The set of what was registered (watch.c) is not told of every end of that. A piece of a
 * mapping is unregistered behind its back: arming must see it, wherever the piece lies in
 * the range asked for, and whether the range is small or large.
 */
#include "linux/address_space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/arena.h"
#include "../../kit/raw.h"

#define PAGES 256

#define CHECK(what)                                                                    \
	do {                                                                           \
		if (!(what)) {                                                         \
			fprintf(stderr, "%s:%d: %s: failed: %m\n", __FILE__, __LINE__, \
				#what);                                                \
			exit(1);                                                       \
		}                                                                      \
	} while (0)

static uint64_t start, page;

static int watched(unsigned int first, unsigned int last)
{
	return uffd_registered(&as_self.uffd, start + first * page, start + last * page);
}

static int arm(unsigned int first, unsigned int last)
{
	return as_arm(&as_self, start + first * page, start + last * page);
}

static void lost(unsigned int piece, unsigned int first, unsigned int last)
{
	CHECK(!arm(0, PAGES) && !watched(0, PAGES));
	CHECK(!uffd_unregister(&as_self.uffd, start + piece * page,
			       start + (piece + 1) * page));
	CHECK(watched(piece, piece + 1) == -ENOENT);
	CHECK(!arm(first, last) && !watched(first, last));
}

static void mapping_is_gone(void)
{
	CHECK(!arm(0, PAGES));
	CHECK(!munmap((void *)(uintptr_t)(start + 100 * page), page));
	CHECK(arm(0, PAGES) == -EFAULT && arm(100, 101) == -EFAULT);
	CHECK(!arm(0, 100) && !arm(101, PAGES));
}

static bool in_the_set(void)
{
	bool covers;

	as_lock(&as_self.lock);
	covers = watch_covers_locked(&as_self.watch, start, start + PAGES * page);
	as_unlock(&as_self.lock);
	return covers;
}

/*
 * A place that was unmapped, and the library not told yet, is given out anew: that is a
 * change of it too.
 */
static void place_is_reused(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *p = (void *)(uintptr_t)start;

	CHECK(mmap(p, PAGES * page, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0) == p);
	CHECK(!arm(0, PAGES) && in_the_set());
	CHECK(!uffd_unregister(&as_self.uffd, start, start + PAGES * page));
	CHECK(!raw_call(SYS_munmap, p, PAGES * page) && in_the_set());
	CHECK(mmap(p, PAGES * page, PROT_READ | PROT_WRITE, flags, -1, 0) == p);
	CHECK(!in_the_set());
}

/* As on a processor without write-protection by userfaultfd: said at once, nothing tried.
 */
/*
 * shmat(SHM_REMAP) and shmdt unmap without an event, so the set has what is there no more.
 * What comes to that place then, and cannot be watched, is found all the same.
 */
static void left_behind(void)
{
	int id = shmget(IPC_PRIVATE, page, 0600), fd = open("/proc/self/exe", O_RDONLY);
	uint64_t at = start + 200 * page;
	struct source_mapping found;

	CHECK(id >= 0 && fd >= 0 && !as_arm(&as_self, at, at + page));
	CHECK(raw_call(SYS_shmat, id, at, SHM_REMAP) == (long)at);
	CHECK(!shmctl(id, IPC_RMID, NULL) && !raw_call(SYS_shmdt, at));
	CHECK(raw_call(SYS_mmap, at, page, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
		       0) == (long)at);
	CHECK(!as_source_ops.find(&as_self, at, &found));
	CHECK(found.start == at && found.access == HMM_READ && !found.pinnable);
	close(fd);
}

static void nothing_can_be_watched(void)
{
	void *p = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)p;
	bool none = as_self.uffd.none;

	CHECK(p != MAP_FAILED);
	as_self.uffd.none = true;
	CHECK(as_arm(&as_self, at, at + page) == -EOPNOTSUPP);
	CHECK(uffd_registered(&as_self.uffd, at, at + page));
	as_self.uffd.none = none;
	munmap(p, page);
}

/* Memory that may be dropped any time is never taken: that is not tried each time anew. */
static void refused_for_good(void)
{
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE,
		       0x08 /* MAP_DROPPABLE */ | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)p;

	if (p == MAP_FAILED) {
		printf("the kernel has no memory that may be dropped: not tried\n");
		return;
	}
	for (int i = 0; i < 3; i++)
		CHECK(as_arm(&as_self, at, at + page) == -EOPNOTSUPP);
	CHECK(as_self.next_refused == 1 && as_self.refused[0].start == at);
	munmap(p, page);
}

int main(int argc, char **argv)
{
	struct hmm *hmm;
	void *p;

	page = page_size();
	p = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	CHECK(p != MAP_FAILED);
	start = (uintptr_t)p;
	CHECK(!hmm_open(NULL, &hmm));
	nothing_can_be_watched();
	if (as_self.uffd.none) {
		hmm_close(hmm);
		printf("skipped: nothing can be watched on this processor\n");
		return 77;
	}
	lost(0, 0, PAGES);
	lost(128, 0, PAGES);
	lost(PAGES - 1, 0, PAGES);
	lost(128, 100, 200);
	lost(128, 120, 130);
	mapping_is_gone();
	refused_for_good();
	left_behind();
	if (argc < 2) /* a sanitizer has mmap() to itself */
		place_is_reused();
	hmm_close(hmm);
	munmap(p, PAGES * page);
	return 0;
}
