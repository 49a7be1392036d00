// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Preloaded, with LOCKED set to "before" or "after": all memory of the program is locked,
 * and all that comes, before or after its first hmm_open().
 */
#include <dlfcn.h>
#include <hmm/hmm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SKIP 77

static bool wanted(const char *when)
{
	const char *locked = getenv("LOCKED");

	return locked && !strcmp(locked, when);
}

static void lock_all(void)
{
	if (!mlockall(MCL_CURRENT | MCL_FUTURE))
		return;
	perror("inside: memory cannot be locked here");
	_Exit(SKIP);
}

static __attribute__((constructor)) void begin(void)
{
	if (wanted("before"))
		lock_all();
}

HMM_API int hmm_open(const struct hmm_attr *attr, struct hmm **out)
{
	int (*next)(const struct hmm_attr *, struct hmm **) =
		(int (*)(const struct hmm_attr *, struct hmm **))dlsym(RTLD_NEXT,
								       "hmm_open");
	int err = next(attr, out);

	if (!err && wanted("after"))
		lock_all();
	return err;
}
