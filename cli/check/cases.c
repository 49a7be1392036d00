// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: which promises are not of the form "a change of a kind of memory"?
 */
#include "cases.h"

const struct check_case check_cases[] = {
	{"crossing", "Y1",
	 "one access over the border of two mappings, of every pair of kinds", true, false,
	 case_crossing},
	{"growth", "Y1", "a mapping that grows down; pages that nobody has touched yet",
	 true, false, case_growth},
	{"last-writer", "Y1",
	 "what the CPU, the device in each of its modes, or the kernel wrote last is there "
	 "after the memory was let go and reclaimed, collapsed, shared, migrated or "
	 "squeezed, "
	 "MADV_FREE or swap before it or not",
	 false, true, case_last_writer},
	{"refused", "Y2",
	 "holes, PROT_NONE, [vdso], the kernel's half: right or refused, and "
	 "the refusal names the mapping",
	 true, false, case_refused},
	{"foreign", "Y2", "another userfaultfd's mapping, memfd_secret: right or refused",
	 true, false, case_foreign},
	{"race-libc", "Y3", "fills that race with changes through libc: none is stale",
	 true, false, case_race_libc},
	{"race-raw", "Y3",
	 "fills that race with changes by raw system calls: none is stale", true, false,
	 case_race_raw},
	{"pairs", "Y3",
	 "one thread vacates an address range, another occupies it and its device works "
	 "there at once: every such call by every other",
	 true, true, case_pairs},
	{"pairs-no-perf", "Y3", "the same where perf is not used", false, true,
	 case_pairs_no_perf},
	{"hold", "Y4", "translations held over a change: invalid, their keys not reused",
	 false, false, case_hold},
	{"in-flight", "Y4",
	 "operations over a change reach the old memory or the new, no other", false, false,
	 case_in_flight},
	{"old-address", "Y4",
	 "by an address and a key that are no longer good, or never were for this, the "
	 "device reaches nothing",
	 false, true, case_old_address},
	{"range", "Y6", "snapshot, fault and dma map: a collision is told, nothing else is",
	 false, false, case_range},
	{"progress", "Y6", "range operations and accesses get on under constant change",
	 false, false, case_progress},
	{"deadlock", "Y7",
	 "locks around everything, a driver that frees, a signal handler that "
	 "unmaps: no stall",
	 false, false, case_deadlock},
	{"limits", "Y8",
	 "max_pinned and max_translations hold; the least recently used goes", false, true,
	 case_limits},
	{"limits-busy", "Y8",
	 "64 threads, two mirrors, all limits at once, sampled: never exceeded, and "
	 "nothing is "
	 "refused while something idle could go",
	 false, true, case_limits_busy},
	{"memlock", "Y8", "RLIMIT_MEMLOCK of 1 MiB and no privilege: all is right", false,
	 true, case_memlock},
	{"own-memory", "Y8", "a long life of fills and changes takes no more memory", false,
	 false, case_memory_bounded},
	{"churn", "Y8",
	 "mappings, descriptors, threads, locked and resident memory that are added to 200 "
	 "threads that allocate, give up and map",
	 false, true, case_churn},
	{"fork", "Y9",
	 "the child is told, keeps its copy, and may open a mirror of its own", false,
	 false, case_fork},
	{"fork-raw", "Y9", "the same for a fork by raw system call", false, false,
	 case_fork_raw},
	{"fork-busy", "Y9", "forks while the device is at work", true, false,
	 case_fork_busy},
	{"teardown", "Y10", "no descriptor, thread, pin or watch is left, in any order",
	 false, true, case_teardown},
	{"held-teardown", "Y10", "a mirror with a translation held says so, then goes",
	 false, true, case_held_teardown},
	{"quiet", "Y13", "unmirrored memory: no event, no fault more", false, false,
	 case_quiet},
	{"system-calls", "Y13", "unmirrored memory: no system call more", false, true,
	 case_system_calls},
};
const unsigned int check_nr_cases = sizeof(check_cases) / sizeof(check_cases[0]);
