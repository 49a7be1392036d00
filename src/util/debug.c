/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was a test's wish? (debug.h)
 *
 * The hooks are called under the mirror lock and by the thread that reads events, so they
 * take no lock and allocate nothing.
 */
#include "util/debug.h"

#ifdef HMM_DEBUG

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define WINDOW_NS 200000

static _Atomic uint64_t calls, fail_at;
static _Atomic int fail_with;
static const char *_Atomic failed = "";
static _Atomic int rules_off = -1; /* a bit a rule */

static int read_rules(void)
{
	const char *text = getenv("HMM_DEBUG_RULES_OFF");
	int rules = 0;

	for (; text && *text; text++) {
		if (*text >= '1' && *text <= '9')
			rules |= 1 << (*text - '0');
	}
	rules_off = rules;
	return rules;
}

bool debug_rule_off(int rule)
{
	int rules = rules_off;

	if (rules < 0)
		rules = read_rules();
	return rules & 1 << rule;
}

void debug_window(int rule)
{
	struct timespec wait = {.tv_nsec = WINDOW_NS};

	if (debug_rule_off(rule))
		clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
}

int debug_inject(const char *what)
{
	uint64_t call = atomic_fetch_add(&calls, 1) + 1;

	if (call != fail_at)
		return 0;
	failed = what;
	return fail_with;
}

void debug_inject_nth(uint64_t nth, int err)
{
	fail_at = 0;
	fail_with = err;
	failed = "";
	calls = 0;
	fail_at = nth;
}

uint64_t debug_inject_calls(void)
{
	return calls;
}

const char *debug_inject_failed(void)
{
	return failed;
}

#else

typedef int debug_nothing_here;

#endif
