/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The question this file answers: what does this process hold, and does it go on?
 */
#ifndef TORTURE_ACCOUNT_H
#define TORTURE_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

struct account {
	long rss_kb, pinned_kb, locked_kb, mappings, descriptors, threads;
};

void account_take(struct account *a);
/* False, and says what, when more is held than before (small change of malloc aside). */
bool account_same(const struct account *before, const struct account *after);

/* One watched thread: moves when it gets on. */
struct watched {
	const char *name;
	const _Atomic uint64_t *progress;
	const char *const _Atomic *doing; /* may be NULL */
};
#define WATCH_SECONDS 20

/*
 * A thread that looks every second; when one of the watched has not moved for
 * WATCH_SECONDS it prints where every thread of the process is, and exits 1.
 */
int watchdog_start(const struct watched *watched, unsigned int nr);
void watchdog_stop(void);

#endif
