/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does the thread that reads events read on while it waits for a lock (Y7)?
 *
 * Whoever holds one may be interrupted by a signal handler that unmaps watched memory, and
 * waits there until that event was read. Here the holder unmaps by itself, in the middle.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "linux/address_space.h"
#include "core/core.h"
#include "test_as.h"

#define PAGES 2048ul

static struct plain plain;

static void too_long(int signal)
{
	static const char text[] = "FAIL: an event is not read while a lock is held\n";

	_exit(write(2, text, sizeof(text) - 1) > 0);
}

static char *watched(unsigned long pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct hmm_translation t;

	CHECK(p != MAP_FAILED);
	memset(p, 1, pages * PAGE);
	CHECK(!hmm_translate(plain.mirror, p, pages * PAGE, HMM_READ, &t));
	hmm_translation_put(&t);
	return p;
}

static void gone(const char *p)
{
	struct hmm_translation t;

	CHECK(hmm_translate(plain.mirror, p, PAGE, HMM_READ, &t) == -EFAULT);
}

static void there(const char *p)
{
	struct hmm_translation t;

	CHECK(!hmm_translate(plain.mirror, p, PAGE, HMM_READ | HMM_WRITE, &t));
	CHECK(t.addr == (uintptr_t)p);
	hmm_translation_put(&t);
}

static void *unmap(void *p)
{
	CHECK(!raw_call(SYS_munmap, p, PAGE));
	return NULL;
}

/* The first event has the thread wait for the lock that we hold, the next is ours. */
static void holding(const char *what, void (*lock)(void), void (*unlock)(void))
{
	char *first = watched(1), *second = watched(1), *stays = watched(1);
	char *moving = watched(1), *to = watched(1), *discarded = watched(1);
	pthread_t thread;

	printf("%s\n", what);
	CHECK(!pthread_create(&thread, NULL, unmap, first));
	CHECK(!pthread_join(thread, NULL)); /* read, and not yet told */
	lock();
	CHECK(!pthread_create(&thread, NULL, unmap, second));
	CHECK(!pthread_join(thread, NULL));
	CHECK(!raw_call(SYS_munmap, discarded, PAGE));
	CHECK(raw_call(SYS_mremap, moving, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
	      (long)to);
	CHECK(!raw_call(SYS_madvise, stays, PAGE, MADV_DONTNEED));
	unlock();
	gone(first);
	gone(second);
	gone(discarded);
	gone(moving);
	there(to);
	there(stays);
	munmap(to, PAGE);
	munmap(stays, PAGE);
}

/* More than it has room for: they are told as one, of all that lies between. */
static void far_too_many(void (*lock)(void), void (*unlock)(void))
{
	char *p = watched(PAGES), *stays = watched(1);

	printf("more events than there is room for\n");
	lock();
	for (unsigned long i = 0; i < PAGES; i += 4)
		CHECK(!raw_call(SYS_munmap, p + i * PAGE, PAGE));
	for (unsigned long i = 1; i < PAGES; i += 4)
		CHECK(!raw_call(SYS_madvise, p + i * PAGE, PAGE, MADV_DONTNEED));
	unlock();
	for (unsigned long i = 0; i < PAGES; i += 64) {
		gone(p + i * PAGE);
		there(p + (i + 1) * PAGE);
		there(p + (i + 2) * PAGE);
		CHECK(p[(i + 1) * PAGE] == 0 && p[(i + 2) * PAGE] == 1);
	}
	there(stays);
	munmap(p, PAGES * PAGE);
	munmap(stays, PAGE);
}

static void mirror_lock(void)
{
	core_lock(plain.hmm);
}

static void mirror_unlock(void)
{
	core_unlock(plain.hmm);
}

static void watch_lock(void)
{
	as_lock(&as_self.lock);
}

static void watch_unlock(void)
{
	as_unlock(&as_self.lock);
}

int main(void)
{
	if (!is_on("userfaultfd"))
		return 77;
	signal(SIGALRM, too_long);
	alarm(100); /* an emulated machine may be slow */
	plain_open(&plain, HMM_NO_INTERPOSE);
	holding("the mirror lock is held", mirror_lock, mirror_unlock);
	holding("the watch lock is held", watch_lock, watch_unlock);
	far_too_many(mirror_lock, mirror_unlock);
	plain_close(&plain);
	return 0;
}
