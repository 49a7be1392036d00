/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does another library that wraps the same calls still hear of them, once each, whether
 * libhmm is open or not? And does libhmm?
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "test_as.h"

extern int hook_heard;

static struct plain plain;
static bool open_now;

static char *map(void)
{
	char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	CHECK(p != MAP_FAILED);
	memset(p, 1, 16 * PAGE);
	return p;
}

static void heard_once(const char *call)
{
	printf("%s, libhmm %s: heard %d times\n", call, open_now ? "open" : "not open",
	       hook_heard);
	CHECK(hook_heard == 1);
	hook_heard = 0;
}

static void use(struct hmm_translation *t, char *p)
{
	if (open_now)
		CHECK(hmm_translate(plain.mirror, p, 8, HMM_READ, t) == 0);
	hook_heard = 0;
}

static void gone(struct hmm_translation *t)
{
	if (!open_now)
		return;
	CHECK(!hmm_translation_valid(t));
	CHECK(hmm_translation_put(t) == 0);
}

static void every_call(void)
{
	struct hmm_translation t;
	int id = shmget(IPC_PRIVATE, PAGE, 0600);
	char *p;

	hook_heard = 0;
	p = map();
	heard_once("mmap");
	use(&t, p);
	CHECK(mprotect(p, PAGE, PROT_READ) == 0);
	heard_once("mprotect");
	gone(&t);
	CHECK(mprotect(p, PAGE, PROT_READ | PROT_WRITE) == 0);
	use(&t, p);
	CHECK(madvise(p, PAGE, MADV_DONTNEED) == 0);
	heard_once("madvise");
	gone(&t);
	use(&t, p);
	p = mremap(p, 16 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED);
	heard_once("mremap");
	gone(&t);
	use(&t, p);
	CHECK(munmap(p, 64 * PAGE) == 0);
	heard_once("munmap");
	gone(&t);
	p = shmat(id, NULL, 0);
	CHECK(p != (char *)-1);
	heard_once("shmat");
	CHECK(shmdt(p) == 0);
	heard_once("shmdt");
	shmctl(id, IPC_RMID, NULL);
	errno = 0;
	CHECK(munmap((char *)PAGE + 1, PAGE) == -1 && errno == EINVAL);
}

int main(void)
{
	if (SANITIZED) {
		printf("skipped: a sanitizer wraps these calls itself\n");
		return 77;
	}
	every_call();
	plain_open(&plain, 0);
	open_now = true;
	every_call();
	plain_close(&plain);
	return 0;
}
