/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does the library do when the address space changes?
 *
 * A change is under way from the moment that it may be visible to some thread until every
 * device is off its range: then it is settled. Events make everything unsettled from
 * before they are read (hard rule 3); interposed calls make their own range unsettled from
 * before the call to after it. Each change is logged, so that who looked at a range before
 * finds out (Y6).
 */
#include <errno.h>
#include <time.h>

#include "core/core.h"
#include "util/debug.h"

void deadline_by(clockid_t clock, struct timespec *out, uint32_t ms)
{
	clock_gettime(clock, out);
	out->tv_sec += ms / 1000;
	out->tv_nsec += (long)(ms % 1000) * 1000000;
	if (out->tv_nsec >= 1000000000) {
		out->tv_sec++;
		out->tv_nsec -= 1000000000;
	}
}

void deadline_in(struct timespec *out, uint32_t ms)
{
	deadline_by(CLOCK_MONOTONIC, out, ms);
}

/* ---- the log ------------------------------------------------------------------- */

void log_change_locked(struct hmm *hmm, uint64_t start, uint64_t end)
{
	uint64_t head = atomic_load_explicit(&hmm->log_head, memory_order_relaxed);
	struct logged *entry = &hmm->log[head % CHANGES];

	core_assert_locked(hmm);
	/* The head of before, then this entry: who reads an entry that is written over
	 * finds the head moved. Pairs with the loads in log_overlaps(). */
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&entry->start, start, memory_order_relaxed);
	atomic_store_explicit(&entry->end, end, memory_order_relaxed);
	/* Pairs with the acquire in log_overlaps(). */
	atomic_store_explicit(&hmm->log_head, head + 1, memory_order_release);
}

/*
 * Did a change since @since touch the range? True as well when too many came to tell. The
 * entry being written now is the one CHANGES before the next: hence the margin of one.
 */
bool log_overlaps(struct hmm *hmm, uint64_t since, uint64_t start, uint64_t end)
{
	uint64_t head = atomic_load_explicit(&hmm->log_head, memory_order_acquire);

	if (head - since >= CHANGES)
		return true;
	for (uint64_t i = since; i < head; i++) {
		const struct logged *entry = &hmm->log[i % CHANGES];

		/* Acquire: the head is read again after them. */
		if (atomic_load_explicit(&entry->start, memory_order_acquire) < end &&
		    atomic_load_explicit(&entry->end, memory_order_acquire) > start)
			return true;
	}
	return atomic_load_explicit(&hmm->log_head, memory_order_relaxed) - since >=
	       CHANGES;
}

/* ---- waiting -------------------------------------------------------------------- */

bool change_touches_locked(struct hmm *hmm, uint64_t start, uint64_t end)
{
	for (const struct change *c = hmm->changes; c; c = c->next)
		if (c->start < end && c->end > start)
			return true;
	return false;
}

/* @marked: the sequence when we were asked. */
static bool under_way(struct hmm *hmm, uint64_t marked, uint64_t start, uint64_t end)
{
	uint64_t seq = atomic_load_explicit(&hmm->wiped->seq, memory_order_acquire);

	return (marked & 1 && seq == marked) || change_touches_locked(hmm, start, end);
}

/*
 * What was marked when we were asked is waited for, what is marked later is not: its change
 * had not returned by then, and what is published before its event is handled is revoked
 * by it. Else one thread that changes memory all the time, anywhere, keeps the number odd
 * whenever we get to look, and nobody gets on.
 */
int change_settle_locked(struct hmm *hmm, uint64_t start, uint64_t end,
			 const struct timespec *deadline)
{
	uint64_t marked = atomic_load_explicit(&hmm->wiped->seq, memory_order_acquire);
	bool in_time = true;

	while (!core_dead(hmm) && under_way(hmm, marked, start, end) && in_time)
		in_time = core_wait_locked(hmm, &hmm->settled, deadline);
	if (core_dead(hmm))
		return -ECHILD;
	if (under_way(hmm, marked, start, end))
		return -ETIMEDOUT;
	change_drain_locked(hmm);
	return 0;
}

/* ---- records without events ------------------------------------------------------- */

int core_poll_word(struct hmm *hmm, const volatile uint64_t *word)
{
	uint32_t n = atomic_load_explicit(&hmm->nr_poll, memory_order_relaxed);

	if (n == CORE_POLL_WORDS)
		return -ENOSPC;
	hmm->poll[n].word = word;
	atomic_store(&hmm->poll[n].seen, __atomic_load_n(word, __ATOMIC_ACQUIRE));
	atomic_store(&hmm->nr_poll, n + 1);
	return 0;
}

/* Read what the words say first: what comes after that is for the next time. */
void change_drain_locked(struct hmm *hmm)
{
	uint64_t word[CORE_POLL_WORDS];
	uint32_t n = atomic_load_explicit(&hmm->nr_poll, memory_order_acquire);

	if (n && !change_poll_moved(hmm))
		return;
	for (uint32_t i = 0; i < n; i++)
		word[i] = __atomic_load_n(hmm->poll[i].word, __ATOMIC_ACQUIRE);
	hmm->ops->drain(hmm->source, 0);
	/* Whoever reads seen as equal must find the slots revoked. */
	for (uint32_t i = 0; i < n; i++)
		atomic_store_explicit(&hmm->poll[i].seen, word[i], memory_order_release);
}

bool change_records(struct hmm *hmm, uint32_t patience_ms)
{
	bool all;

	if (!core_lock_within(hmm, patience_ms))
		return false;
	all = hmm->ops->drain(hmm->source, patience_ms);
	core_unlock(hmm);
	return all;
}

void change_told(struct hmm *hmm, uint64_t start, uint64_t end)
{
	core_lock(hmm);
	change_drain_locked(hmm); /* what was recorded by now is older than this */
	log_change_locked(hmm, start, end);
	core_unlock(hmm);
}

void change_seen(struct hmm *hmm, uint64_t start, uint64_t end)
{
	struct list posted = {0};

	core_assert_locked(hmm);
	slot_revoke_range_locked(hmm, start, end, &posted);
	revoke_finish_locked(hmm, &posted);
	log_change_locked(hmm, start, end);
}

/* ---- events ----------------------------------------------------------------------- */

void change_mark(struct hmm *hmm)
{
	/* The read that follows is what lets the changing thread see the odd number. */
	atomic_fetch_add_explicit(&hmm->wiped->seq, 1, memory_order_seq_cst);
}

bool change_event(struct hmm *hmm, enum change_kind kind, uint64_t start, uint64_t end,
		  uint32_t patience_ms)
{
	struct list posted = {0};

	if (!core_lock_within(hmm, patience_ms))
		return false;
	uint64_t probe =
		kind == CHANGE_REMOVING ? tree_last_pinned_locked(hmm, start, end) : 0;

	slot_revoke_range_locked(hmm, start, end, &posted);
	revoke_finish_locked(hmm, &posted);
	log_change_locked(hmm, start, end);
	closed_void_probes_locked(hmm, start, end);
	if (kind == CHANGE_REMOVING && !debug_rule_off(4))
		closed_add_locked(hmm, start, end, probe);
	core_unlock(hmm);
	core_count(hmm, COUNT_EVENTS);
	return true;
}

void change_arm_begin(struct hmm *hmm, uint64_t start, uint64_t end)
{
	core_lock(hmm);
	hmm->arming++;
	closed_void_probes_locked(hmm, start, end);
	core_unlock(hmm);
}

void change_arm_end(struct hmm *hmm)
{
	core_lock(hmm);
	hmm->arming--;
	core_unlock(hmm);
}

bool change_unmark(struct hmm *hmm, uint32_t patience_ms)
{
	if (!core_lock_within(hmm, patience_ms))
		return false;
	atomic_fetch_add_explicit(&hmm->wiped->seq, 1, memory_order_release);
	event_count_wake_locked(&hmm->settled);
	core_unlock(hmm);
	return true;
}

/* ---- interposed calls --------------------------------------------------------------- */

void change_begin(struct hmm *hmm, struct change *change, uint64_t start, uint64_t end)
{
	struct list posted = {0};

	change->start = start;
	change->end = end;
	core_lock(hmm);
	change->next = hmm->changes;
	change->link = &hmm->changes;
	if (change->next)
		change->next->link = &change->next;
	hmm->changes = change;
	slot_revoke_range_locked(hmm, start, end, &posted);
	log_change_locked(hmm, start, end);
	closed_void_probes_locked(hmm, start, end);
	revoke_unlock(hmm, &posted);
}

void change_end(struct hmm *hmm, struct change *change)
{
	core_lock(hmm);
	if (!core_dead(hmm)) {
		*change->link = change->next;
		if (change->next)
			change->next->link = change->link;
	}
	event_count_wake_locked(&hmm->settled);
	core_unlock(hmm);
}

int hmm_invalidate(struct hmm *hmm, const void *start, size_t len)
{
	uint64_t from = (uintptr_t)start;
	struct change change;

	if (!hmm || !len || from + len < from)
		return core_error(-EINVAL, "hmm_invalidate: %p + %zu is not a range", start,
				  len);
	if (core_dead(hmm))
		return core_error(-ECHILD, "hmm_invalidate: the mirror is the parent's");
	undisturbed_begin();
	change_begin(hmm, &change, from, from + len);
	change_end(hmm, &change);
	undisturbed_end();
	return 0;
}
