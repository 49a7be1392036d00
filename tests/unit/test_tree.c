// SPDX-License-Identifier: LGPL-2.1-or-later
/* Does the tree of translations find what overlaps, as a list that is searched does? */
#include "fake.h"

#include "core/core.h"

#define NODES 400u

static struct fake fake;
static uint32_t slots[NODES];
static bool in[NODES];

static bool overlaps(unsigned int i, uint64_t start, uint64_t end)
{
	return in[i] && fake.hmm->slots[slots[i]].start < end &&
	       slot_end(fake.hmm, slots[i]) > start;
}

static uint32_t naive_overlaps(uint64_t start, uint64_t end, uint32_t found)
{
	uint32_t n = 0;

	for (unsigned int i = 0; i < NODES; i++) {
		if (overlaps(i, start, end))
			n += found == NO_SLOT || slots[i] == found;
	}
	return n;
}

static uint64_t naive_last_pinned(uint64_t start, uint64_t end)
{
	uint64_t last = 0;

	for (unsigned int i = 0; i < NODES; i++) {
		uint64_t high = slot_end(fake.hmm, slots[i]);

		high = high < end ? high : end;
		if (overlaps(i, start, end) && high > last &&
		    slot_mode(&fake.hmm->slots[slots[i]]) == HMM_MODE_PIN)
			last = high;
	}
	return last;
}

/* Few places, many sizes: equal starts, equal ends, one inside the other. */
static void step(uint64_t *seed)
{
	unsigned int i = (unsigned int)(fake_random(seed) % NODES);
	struct slot *s = &fake.hmm->slots[slots[i]];

	if (in[i]) {
		tree_del_locked(fake.hmm, slots[i]);
	} else {
		s->start = (1000 + fake_random(seed) % 500) * FAKE_PAGE;
		s->pages = 1u << fake_random(seed) % 8;
		s->state = (uint32_t)(fake_random(seed) % 4) << SLOT_MODE;
		tree_add_locked(fake.hmm, slots[i]);
	}
	in[i] = !in[i];
}

static void compare(uint64_t *seed)
{
	uint64_t start = 900 + fake_random(seed) % 700,
		 end = start + 1 + fake_random(seed) % 90;
	uint32_t found = tree_overlap_locked(fake.hmm, start, end);

	CHECK(naive_overlaps(start, end, found) >= (found != NO_SLOT));
	CHECK((found == NO_SLOT) == !naive_overlaps(start, end, NO_SLOT));
	CHECK(tree_last_pinned_locked(fake.hmm, start, end) ==
	      naive_last_pinned(start, end));
}

static void random_steps(void)
{
	uint64_t seed = 0x5eed;

	fake_start(&fake, NODES, 0);
	core_lock(fake.hmm);
	for (unsigned int i = 0; i < NODES; i++)
		CHECK((slots[i] = slot_alloc_locked(fake.hmm)));
	CHECK(slot_alloc_locked(fake.hmm) == NO_SLOT);
	for (int i = 0; i < 60000; i++) {
		step(&seed);
		compare(&seed);
	}
	for (unsigned int i = 0; i < NODES; i++)
		if (in[i])
			tree_del_locked(fake.hmm, slots[i]);
	CHECK(tree_overlap_locked(fake.hmm, 0, UINT64_MAX) == NO_SLOT);
	core_unlock(fake.hmm);
	fake_stop(&fake);
}

int main(void)
{
	RUN(random_steps);
	return 0;
}
