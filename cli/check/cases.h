/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `hmm check`: the cases, by the file that has them, and what they share. */
#ifndef CHECK_CASES_H
#define CHECK_CASES_H

#include "suite.h"

#include <sys/mman.h>

/* case_memory.c */
void case_crossing(struct check_run *run);
void case_refused(struct check_run *run);
void case_foreign(struct check_run *run);
void case_growth(struct check_run *run);
/* case_hold.c */
void case_hold(struct check_run *run);
void case_in_flight(struct check_run *run);
/* case_old_address.c */
void case_old_address(struct check_run *run);
/* case_range.c */
void case_range(struct check_run *run);
void case_progress(struct check_run *run);
/* case_limits.c */
void case_limits(struct check_run *run);
void case_memlock(struct check_run *run);
void case_memory_bounded(struct check_run *run);
/* case_limits_busy.c */
void case_limits_busy(struct check_run *run);
/* case_churn.c */
void case_churn(struct check_run *run);
/* case_fork.c */
void case_fork(struct check_run *run);
void case_fork_raw(struct check_run *run);
void case_fork_busy(struct check_run *run);
/* case_close.c */
void case_teardown(struct check_run *run);
void case_held_teardown(struct check_run *run);
/* case_quiet.c */
void case_quiet(struct check_run *run);
void case_system_calls(struct check_run *run);
/* case_race.c */
void case_race_libc(struct check_run *run);
void case_race_raw(struct check_run *run);
/* case_writer.c */
void case_last_writer(struct check_run *run);
/* case_pairs.c */
void case_pairs(struct check_run *run);
void case_pairs_no_perf(struct check_run *run);
/* case_deadlock.c */
void case_deadlock(struct check_run *run);

/* Plain anonymous memory where nobody else maps any. */
static inline uint8_t *case_map(size_t len)
{
	uint8_t *at = kit_zone(len);
	void *p = mmap(at, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return p == MAP_FAILED ? NULL : at;
}

static inline int case_read(struct check_run *run, const void *from, void *out, size_t len)
{
	++*check_beat;
	return kit_read(&run->env->use, from, out, len);
}

static inline int case_write(struct check_run *run, void *to, const void *data, size_t len)
{
	++*check_beat;
	return kit_write(&run->env->use, to, data, len);
}

/* 0, or a verdict: the device reads what the CPU reads, and the CPU what it writes. */
int case_both_ways(struct check_run *run, uint8_t *at, size_t len, const char *where);

#endif
