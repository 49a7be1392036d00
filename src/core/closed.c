/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When may a range be pinned again whose pages were being removed? (hard rule 4)
 *
 * The event of a removal (MADV_DONTNEED and its kin) comes before the pages go, and
 * nothing tells when they have gone. A page pinned in between would be the old one. So
 * the range is closed to pins until there is proof:
 *
 *   - A page that a pinned translation covered, and that was there at the event, is seen
 *     absent: the removal has passed it. Removals go upwards, so all that lies below is
 *     over too. This holds only if nothing else can have removed that page: any other
 *     change of the range voids the probe. So does a mapping that begins to be watched
 *     there: it may stand where another was unmapped, with the event still unread. (One
 *     that is not watched, or a hole, is no answer: see source_ops.present.) A page that
 *     was absent to begin with proves nothing.
 *   - No thread of the process is in a removing system call that it was in at the event
 *     (source_ops.changers_done).
 *
 * A closed range is not unreachable: the modes that do not pin stay right all along.
 */
#include "core/core.h"
#include "util/arena.h"

#define ASK_FIRST 20000ull /* ns until the source is asked again, doubled each time */
#define ASK_LAST  10000000ull

static void drop(struct hmm *hmm, uint32_t i)
{
	hmm->closed[i] = hmm->closed[--hmm->nr_closed];
}

/* No room: the entry that grows least takes it in. It is closed as of now, with no probe.
 */
static void close_with_nearest(struct hmm *hmm, uint64_t start, uint64_t end, uint64_t now)
{
	uint64_t least = UINT64_MAX;
	uint32_t nearest = 0;

	for (uint32_t i = 0; i < hmm->nr_closed; i++) {
		const struct closed *c = &hmm->closed[i];
		uint64_t growth =
			higher(c->end, end) - lower(c->start, start) - (c->end - c->start);

		if (growth >= least)
			continue;
		least = growth;
		nearest = i;
	}
	hmm->closed[nearest] = (struct closed){
		.start = lower(hmm->closed[nearest].start, start),
		.end = higher(hmm->closed[nearest].end, end),
		.since = now,
	};
}

static uint64_t usable_probe(struct hmm *hmm, uint64_t end)
{
	uint64_t probe = end - page_size();

	return end && !hmm->arming && hmm->ops->present(hmm->source, probe) == 1 ? probe
										 : 0;
}

void closed_add_locked(struct hmm *hmm, uint64_t start, uint64_t end, uint64_t probe_end)
{
	uint64_t now = hmm->ops->now(hmm->source);

	core_assert_locked(hmm);
	hmm->closed_next = 0;
	hmm->closed_wait = ASK_FIRST;
	if (hmm->nr_closed == CLOSED_MAX) {
		close_with_nearest(hmm, start, end, now);
		return;
	}
	hmm->closed[hmm->nr_closed++] = (struct closed){
		.start = start,
		.end = end,
		.probe = usable_probe(hmm, probe_end),
		.since = now,
	};
}

void closed_void_probes_locked(struct hmm *hmm, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < hmm->nr_closed; i++)
		if (hmm->closed[i].probe >= start && hmm->closed[i].probe < end)
			hmm->closed[i].probe = 0;
}

/* Open what lies below a probe that is gone; true if nothing of the entry is left. */
static bool probe_opens(struct hmm *hmm, struct closed *closed)
{
	if (!closed->probe || hmm->ops->present(hmm->source, closed->probe) != 0)
		return false;
	closed->start = closed->probe + page_size();
	closed->probe = 0;
	return closed->start >= closed->end;
}

bool closed_overlaps_locked(struct hmm *hmm, uint64_t start, uint64_t end)
{
	bool found = false;

	core_assert_locked(hmm);
	for (uint32_t i = 0; i < hmm->nr_closed;) {
		struct closed *closed = &hmm->closed[i];

		if (closed->start < end && closed->end > start) {
			if (probe_opens(hmm, closed)) {
				drop(hmm, i);
				continue;
			}
			found |= closed->start < end && closed->end > start;
		}
		i++;
	}
	return found;
}

static void drop_older(struct hmm *hmm, uint64_t since)
{
	for (uint32_t i = 0; i < hmm->nr_closed;) {
		if (hmm->closed[i].since <= since)
			drop(hmm, i);
		else
			i++;
	}
}

void closed_settle(struct hmm *hmm)
{
	uint64_t now = hmm->ops->now(hmm->source);
	bool ask;

	core_lock(hmm);
	ask = hmm->nr_closed && now >= hmm->closed_next;
	if (ask) {
		hmm->closed_next = now + hmm->closed_wait;
		hmm->closed_wait *= hmm->closed_wait < ASK_LAST ? 2 : 1;
	}
	core_unlock(hmm);
	/* Every entry that is there now began before now. */
	if (!ask || !hmm->ops->changers_done(hmm->source, now))
		return;
	core_lock(hmm);
	drop_older(hmm, now);
	core_unlock(hmm);
}
