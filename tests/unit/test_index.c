// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Does the lookup without a lock find a translation if and only if one is there? The index
 * grows from its smallest size on the way, and is looked at through hmm_translate(): a hit
 * is a call that asked the driver for nothing.
 */
#include "fake.h"

#include <stdlib.h>

#include "core/core.h"

#define ENTRIES 6000u

static struct fake fake;
static unsigned int map_calls;

/* A device that refuses everything: what translates is a hit. */
static int refuse(struct hmm_device *device, struct hmm_mapping *mapping)
{
	map_calls++;
	return -95;
}

static const struct hmm_driver_ops ops = {.size = sizeof(ops), .map = refuse};
static const struct hmm_driver driver = {
	.size = sizeof(driver),
	.abi = HMM_DRIVER_ABI,
	.name = "none",
	.license = "GPL-2.0-or-later",
	.ops = &ops,
	.modes = {HMM_MODE_DIRECT},
	.nr_modes = 1,
};

struct known {
	uint32_t slot;
	uint64_t start, end;
	unsigned int access;
};
static struct known known[ENTRIES];

static uint64_t random_size(uint64_t *seed)
{
	return FAKE_PAGE * (1 + fake_random(seed) % (1ull << fake_random(seed) % 10));
}

static void add(struct hmm_mirror *mirror, struct known *k, uint64_t *seed)
{
	struct hmm_mapping m = {
		.access = 1 + (unsigned int)(fake_random(seed) % 3),
		.mode = HMM_MODE_DIRECT,
	};

	k->start = m.start = (1 + fake_random(seed) % 100000) * FAKE_PAGE;
	k->end = m.end = m.start + random_size(seed);
	k->access = m.access;
	m.addr = m.start * 2;
	core_lock(fake.hmm);
	CHECK((k->slot = slot_alloc_locked(fake.hmm)));
	slot_publish_locked(mirror, k->slot, &m, 0);
	core_unlock(fake.hmm);
}

static void del(struct known *k)
{
	struct list posted = {0};

	core_lock(fake.hmm);
	slot_revoke_locked(fake.hmm, k->slot, &posted);
	revoke_unlock(fake.hmm, &posted);
	k->slot = NO_SLOT;
}

static bool naive_has(uint64_t start, uint64_t end, unsigned int access)
{
	for (unsigned int i = 0; i < ENTRIES; i++)
		if (known[i].slot && known[i].start <= start && known[i].end >= end &&
		    (known[i].access & access) == access)
			return true;
	return false;
}

static void look(struct hmm_mirror *mirror, uint64_t *seed)
{
	unsigned int access = 1 + (unsigned int)(fake_random(seed) % 3);
	const struct known *k = &known[fake_random(seed) % ENTRIES];
	uint64_t start, end;
	struct hmm_translation t;

	if (k->slot && fake_random(seed) % 4) { /* somewhere in what is there */
		start = k->start + fake_random(seed) % (k->end - k->start);
		end = start + 1 + fake_random(seed) % (k->end - start);
	} else {
		start = (1 + fake_random(seed) % 100000) * FAKE_PAGE;
		end = start + random_size(seed);
	}
	CHECK(!thread_attach(fake.hmm));
	bool found = hit(mirror, start, end, access, &t);
	CHECK(found == naive_has(start, end, access));
	if (found) {
		uint32_t n = (uint32_t)t.opaque[0];
		const struct slot *s = &fake.hmm->slots[n];

		CHECK(s->start <= start && slot_end(fake.hmm, n) >= end);
		CHECK(t.addr == s->addr + (start - s->start));
		CHECK(!hmm_translation_put(&t));
	}
}

static void random_steps(void)
{
	struct hmm_mirror *mirror;
	struct hmm_device *device;
	uint64_t seed = 0x5eed1;

	fake_start(&fake, 2 * ENTRIES, 0);
	CHECK(!hmm_device_register(fake.hmm, &driver, NULL, &device));
	CHECK(!hmm_mirror_create(device, NULL, &mirror));
	for (int i = 0; i < 40000; i++) {
		struct known *k = &known[fake_random(&seed) % ENTRIES];

		if (!k->slot)
			add(mirror, k, &seed);
		else if (fake_random(&seed) % 3 == 0)
			del(k);
		if (i % 8 == 0)
			look(mirror, &seed);
		if (i % 512 == 0)
			CHECK(!hmm_quiesce(fake.hmm, 1000));
	}
	for (unsigned int i = 0; i < ENTRIES; i++)
		if (known[i].slot)
			del(&known[i]);
	core_lock(fake.hmm);
	CHECK(fake.hmm->index.entries == 0);
	core_unlock(fake.hmm);
	CHECK(!hmm_device_unregister(device));
	CHECK(!map_calls);
	fake_stop(&fake);
}

int main(void)
{
	RUN(random_steps);
	return 0;
}
