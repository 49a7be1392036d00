/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does another process share this address space?
 *
 * One made by clone() with CLONE_VM and without CLONE_THREAD, by vfork() or posix_spawn(),
 * until it runs another program: it changes memory as a thread does. Its unmappings raise
 * events as a thread's do, but perf writes no record of its mprotect, its removals are not
 * among our threads' system calls, and when it is killed the kernel takes an unread event
 * back. So nothing is pinned while there is one, and no range is looked at.
 *
 * It is found by perf's record of its beginning, which is written before it runs. Whether
 * it shares our memory is asked of the kernel (kcmp). One that is gone by then may have
 * changed anything: everything is revoked once. A fork() of libc's is known to share
 * nothing: it is announced by the fork handlers.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>

#include "linux/address_space.h"
#include "sys/sys.h"

#define FORKING 32 /* threads that may be in fork() at a time; others' forks cost more */

static _Atomic int forking[FORKING];

/* ---- libc's fork ----------------------------------------------------------------------
 */

static void replace(int old, int new)
{
	for (int i = 0; i < FORKING; i++) {
		int expected = old;

		if (atomic_compare_exchange_strong(&forking[i], &expected, new))
			return;
	}
}

void sharers_fork_begin(void)
{
	replace(0, sys_gettid());
}

/* What was written while the thread was in there has been read. */
void sharers_fork_end(void)
{
	replace(sys_gettid(), 0);
}

void sharers_fork_child(void)
{
	for (int i = 0; i < FORKING; i++)
		forking[i] = 0;
}

static bool plain_fork(int tid)
{
	for (int i = 0; i < FORKING; i++)
		if (forking[i] == tid)
			return true;
	return false;
}

/* ---- who shares -----------------------------------------------------------------------
 */

/* One that may not be asked counts as one that shares, as long as it is there. */
static bool shares(int pid)
{
	int ret = sys_kcmp_vm(sys_gettid(), pid);

	if (ret >= 0 || ret == -ESRCH)
		return !ret;
	return sys_exists(pid);
}

static void add_locked(struct sharers *sharers, int pid)
{
	for (unsigned int i = 0; i < sharers->nr; i++)
		if (sharers->pids[i] == pid)
			return;
	if (sharers->nr < SHARERS) /* else found when these are gone */
		sharers->pids[sharers->nr++] = pid;
}

bool sharers_begun(struct as *as, int pid, int starter)
{
	if (pid == as->process || plain_fork(starter))
		return false;
	if (!shares(pid)) {
		as->sharers.unsure = true;
		return true;
	}
	as_lock(&as->lock);
	add_locked(&as->sharers, pid);
	as_unlock(&as->lock);
	return true;
}

/* Of all processes: only those that say so for certain. */
void sharers_look(struct as *as)
{
	char buffer[4096] __attribute__((aligned(8)));
	int dir = sys_open(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY);
	long got;

	if (dir < 0)
		return;
	while ((got = sys_getdents(dir, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < got;) {
			const struct tasks_entry *entry = (void *)(buffer + at);
			int pid = atoi(entry->name);

			at += entry->len;
			if (pid <= 0 || pid == as->process ||
			    sys_kcmp_vm(sys_gettid(), pid))
				continue;
			as_lock(&as->lock);
			add_locked(&as->sharers, pid);
			as_unlock(&as->lock);
		}
	}
	sys_close(dir);
}

static void drop_gone_locked(struct sharers *sharers)
{
	unsigned int left = 0;

	for (unsigned int i = 0; i < sharers->nr; i++)
		if (shares(sharers->pids[i]))
			sharers->pids[left++] = sharers->pids[i];
	sharers->nr = left;
}

/* One that goes may have made others, whose beginning is in nobody's records. */
bool sharers_any(struct as *as)
{
	if (likely(!as->sharers.nr && !as->sharers.unsure))
		return false;
	as_lock(&as->lock);
	if (as->sharers.nr) {
		drop_gone_locked(&as->sharers);
		as->sharers.unsure |= !as->sharers.nr;
	}
	as_unlock(&as->lock);
	if (atomic_exchange(&as->sharers.unsure, false))
		sharers_look(as);
	return as->sharers.nr;
}
