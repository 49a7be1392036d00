/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hooks for tests.
 *
 * The question this file answers: how does a test make the library break one of its own
 * rules, or make the kernel refuse a call?
 *
 * Only a build with -DHMM_DEBUG has them. Such a build is a static library for tests: it
 * is never installed. In all other builds both hooks are constants.
 */
#ifndef UTIL_DEBUG_H
#define UTIL_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

#ifdef HMM_DEBUG

/* Hard rules 3, 4 and 6 can be switched off by HMM_DEBUG_RULES_OFF="3,4,6". */
bool debug_rule_off(int rule);
/* Stays a while where the rule, switched off, leaves a gap: so that tests fall into it. */
void debug_window(int rule);

/*
 * Called at the head of every wrapper of a system call, and of every allocation. Returns
 * 0, or the -errno to fail with.
 */
int debug_inject(const char *what);

/*
 * From now on the @nth call (1 is the next one) of debug_inject() fails with @err, once.
 * 0: none does. The count of calls starts anew.
 */
void debug_inject_nth(uint64_t nth, int err);
/* Calls since debug_inject_nth(), and what was made to fail ("" when nothing was yet). */
uint64_t debug_inject_calls(void);
const char *debug_inject_failed(void);

#else

#define debug_rule_off(rule) false
#define debug_window(rule)   ((void)0)
#define debug_inject(what)   0

#endif

#endif
