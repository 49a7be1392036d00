// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The fake device.
 *
 * The question this file answers: does the core call a driver as driver.h promises?
 */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fake_entry *entry_of(struct fake_device *d, const struct hmm_mapping *m)
{
	CHECK(m->key < FAKE_KEYS);
	return &d->entries[m->key];
}

/* The lowest key that is free: a key given back too early is given out again at once. */
static struct fake_entry *take_entry(struct fake_device *d, uint32_t *key)
{
	uint32_t max = d->max_entries ? d->max_entries : FAKE_KEYS;

	for (*key = 0; *key < max; ++*key)
		if (!d->entries[*key].mapped)
			return &d->entries[*key];
	return NULL;
}

/* As the kernel pins: faults in what is absent, obeys permissions. */
static int pin(struct fake *f, const struct hmm_mapping *m, uint64_t *frames)
{
	int err = 0;

	pthread_mutex_lock(&f->lock);
	for (uint64_t a = m->start; !err && a < m->end; a += FAKE_PAGE) {
		struct fake_page *page = &f->pages[(a - FAKE_BASE) / FAKE_PAGE];

		if (!page->id || m->access & ~page->access) {
			err = -EFAULT;
			break;
		}
		CHECK(f->racing || (page->pinnable && page->armed));
		if (!page->frame)
			page->frame = ++f->next_frame;
		*frames++ = page->frame;
	}
	pthread_mutex_unlock(&f->lock);
	return err;
}

static void check_mapping(const struct hmm_mapping *m)
{
	CHECK(m->start < m->end && !(m->start % FAKE_PAGE) && !(m->end % FAKE_PAGE));
	CHECK(m->access && !(m->access & ~(HMM_READ | HMM_WRITE)));
	CHECK(m->mode == HMM_MODE_STAGE || (uintptr_t)m->memory == m->start);
	CHECK(m->memory);
}

static void cover(struct fake_device *d, const struct hmm_mapping *m, uint32_t change)
{
	for (uint64_t a = m->start; m->mode != HMM_MODE_STAGE && a < m->end; a += FAKE_PAGE)
		d->table[(a - FAKE_BASE) / FAKE_PAGE] += change;
}

static int take(struct fake_device *d, struct hmm_mapping *m)
{
	struct fake_entry *e = take_entry(d, &m->key);
	int err = 0;

	if (!e)
		return hmm_device_error(-ENOSPC, "the fake table is full");
	/* Y4: nobody names the key any more. */
	CHECK(!atomic_load(&e->operations));
	if (m->mode == HMM_MODE_PIN)
		err = pin(d->fake, m, e->frames);
	if (err)
		return err;
	m->addr = (uintptr_t)m->memory + 0x1000000000000; /* the device's own addresses */
	m->priv = e;
	e->mapped = true;
	e->committed = e->revoked = e->off = false;
	e->mapping = *m;
	if (m->mode == HMM_MODE_PIN)
		cover(d, m, 1);
	d->used++;
	d->maps++;
	return 0;
}

static int map(struct hmm_device *device, struct hmm_mapping *m)
{
	struct fake_device *d = hmm_device_priv(device);
	int err;

	CHECK(!core_busy());
	check_mapping(m);
	pthread_mutex_lock(&d->lock);
	err = d->fail_map ? d->fail_map : d->refuse[m->mode];
	d->fail_map = 0;
	if (!err)
		err = take(d, m);
	pthread_mutex_unlock(&d->lock);
	if (!err && d->on_map)
		d->on_map(d, m);
	return err;
}

static void check_same(const struct hmm_mapping *a, const struct hmm_mapping *b)
{
	CHECK(a->start == b->start && a->end == b->end && a->access == b->access);
	CHECK(a->mode == b->mode && a->addr == b->addr && a->key == b->key);
	CHECK(a->priv == b->priv);
}

static void commit(struct hmm_device *device, struct hmm_mapping *m)
{
	struct fake_device *d = hmm_device_priv(device);
	struct fake_entry *e = entry_of(d, m);

	CHECK(core_busy() && (m->mode == HMM_MODE_DIRECT || m->mode == HMM_MODE_FAULT));
	pthread_mutex_lock(&d->lock);
	CHECK(e->mapped && !e->committed && !e->revoked);
	check_same(&e->mapping, m);
	e->committed = true;
	cover(d, m, 1);
	d->commits++;
	pthread_mutex_unlock(&d->lock);
}

static void off(struct fake_device *d, struct fake_entry *e)
{
	e->off = true;
	cover(d, &e->mapping, (uint32_t)-1);
}

static bool in_halves(const struct fake_device *d)
{
	return d->driver.ops->revoke_wait;
}

static void revoke(struct hmm_device *device, struct hmm_mapping *m)
{
	struct fake_device *d = hmm_device_priv(device);
	struct fake_entry *e = entry_of(d, m);

	CHECK(core_busy());
	pthread_mutex_lock(&d->lock);
	CHECK(e->mapped && !e->revoked && e->committed == (m->mode != HMM_MODE_PIN));
	check_same(&e->mapping, m);
	e->revoked = true;
	if (!in_halves(d))
		off(d, e);
	d->revokes++;
	pthread_mutex_unlock(&d->lock);
}

static void revoke_wait(struct hmm_device *device)
{
	struct fake_device *d = hmm_device_priv(device);

	if (d->on_wait)
		d->on_wait(d);
	pthread_mutex_lock(&d->lock);
	for (uint32_t key = 0; key < FAKE_KEYS; key++)
		if (d->entries[key].revoked && !d->entries[key].off)
			off(d, &d->entries[key]);
	d->waits++;
	pthread_mutex_unlock(&d->lock);
}

static void release(struct hmm_device *device, struct hmm_mapping *m)
{
	struct fake_device *d = hmm_device_priv(device);
	struct fake_entry *e = entry_of(d, m);

	CHECK(!core_busy());
	pthread_mutex_lock(&d->lock);
	CHECK(e->mapped && e->off == e->revoked && (!e->committed || e->revoked));
	CHECK(!atomic_load(&e->operations)); /* rule 6 */
	check_same(&e->mapping, m);
	if (!e->off && m->mode == HMM_MODE_PIN)
		cover(d, m, (uint32_t)-1); /* the range had changed while it was mapped */
	e->mapped = e->revoked = false;
	d->used--;
	d->releases++;
	pthread_mutex_unlock(&d->lock);
}

/* ---- memory of the device's own ------------------------------------------------------ */

static int stage_alloc(struct hmm_device *device, uint64_t size, void **memory)
{
	struct fake_device *d = hmm_device_priv(device);

	CHECK(!core_busy() && size && !(size % FAKE_PAGE));
	if (d->own_used + size > d->own_size)
		return hmm_device_error(-ENOMEM, "the fake card's memory is full");
	*memory = d->own + d->own_used;
	d->own_used += size;
	return 0;
}

/* A stack: the tests give back the last first. */
static void stage_free(struct hmm_device *device, void *memory, uint64_t size)
{
	struct fake_device *d = hmm_device_priv(device);

	CHECK(!core_busy());
	CHECK((unsigned char *)memory + size == d->own + d->own_used);
	d->own_used -= size;
}

static const struct hmm_driver_ops device_ops = {
	.size = sizeof(device_ops),
	.map = map,
	.commit = commit,
	.revoke = revoke,
	.release = release,
};

static const struct hmm_driver_ops halves_ops = {
	.size = sizeof(halves_ops),
	.map = map,
	.commit = commit,
	.revoke = revoke,
	.revoke_wait = revoke_wait,
	.release = release,
};

static const struct hmm_driver_ops whole_ops = {
	.size = sizeof(whole_ops),
	.map = map,
	.commit = commit,
	.revoke = revoke,
	.revoke_wait = revoke_wait,
	.release = release,
	.stage_alloc = stage_alloc,
	.stage_free = stage_free,
};

static void open_with(struct fake *fake, struct fake_device *d, const int *modes,
		      const struct hmm_driver_ops *ops)
{
	memset(d, 0, sizeof(*d));
	d->fake = fake;
	d->driver = (struct hmm_driver){
		.size = sizeof(d->driver),
		.abi = HMM_DRIVER_ABI,
		.name = "fake",
		.license = "GPL-2.0-or-later",
		.ops = ops,
	};
	for (; *modes >= 0; modes++)
		d->driver.modes[d->driver.nr_modes++] = (enum hmm_mode) * modes;
	pthread_mutex_init(&d->lock, NULL);
	d->entries = calloc(FAKE_KEYS, sizeof(*d->entries));
	CHECK(d->entries);
	CHECK(!hmm_device_register(fake->hmm, &d->driver, d, &d->device));
}

void fake_device_open(struct fake *fake, struct fake_device *d, const int *modes)
{
	open_with(fake, d, modes, getenv("FAKE_HALVES") ? &halves_ops : &device_ops);
}

void fake_device_open_whole(struct fake *fake, struct fake_device *d, const int *modes)
{
	open_with(fake, d, modes, &whole_ops);
}

void fake_device_close(struct fake_device *d)
{
	CHECK(!hmm_device_unregister(d->device));
	CHECK(d->maps == d->releases && !d->used && d->commits <= d->revokes);
	for (unsigned int i = 0; i < FAKE_PAGES; i++)
		CHECK(!d->table[i]);
	free(d->entries);
	pthread_mutex_destroy(&d->lock);
}

struct hmm_mirror *fake_mirror(struct fake_device *d, const struct hmm_mirror_attr *attr)
{
	struct hmm_mirror *mirror;

	CHECK(!hmm_mirror_create(d->device, attr, &mirror));
	return mirror;
}

void fake_operation_begin(struct fake_device *d, const struct hmm_translation *t)
{
	atomic_fetch_add(&d->entries[t->key].operations, 1);
}

void fake_operation_end(struct fake_device *d, const struct hmm_translation *t)
{
	CHECK(atomic_fetch_sub(&d->entries[t->key].operations, 1));
}

uint64_t fake_device_frame(struct fake_device *d, const struct hmm_translation *t,
			   const void *ptr)
{
	struct fake_entry *e = &d->entries[t->key];
	uint64_t at = (uintptr_t)ptr, frame = 0;

	pthread_mutex_lock(&d->lock);
	CHECK(e->mapped && e->mapping.mode == t->mode);
	CHECK(at >= e->mapping.start && at < e->mapping.end);
	CHECK(t->addr - e->mapping.addr < e->mapping.end - e->mapping.start);
	if (t->mode == HMM_MODE_PIN)
		frame = e->frames[(at - e->mapping.start) / FAKE_PAGE];
	pthread_mutex_unlock(&d->lock);
	return frame;
}

bool fake_device_reaches(struct fake_device *d, unsigned int page)
{
	bool reaches;

	pthread_mutex_lock(&d->lock);
	reaches = d->table[page];
	pthread_mutex_unlock(&d->lock);
	return reaches;
}
