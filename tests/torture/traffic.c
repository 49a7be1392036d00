// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: which operations do devices get?
 */
#include "mutate.h"

/* Short ones, page-sized ones, long ones; every alignment. */
static void choose_range(struct op *op, size_t usable, uint64_t *rng)
{
	unsigned int how = rnd_below(rng, 20);
	size_t most = usable < DEVICE_BUFFER ? usable : DEVICE_BUFFER;
	size_t len;

	if (how < 2)
		len = 1 + rnd_below(rng, 64);
	else if (how < 8)
		len = 1 + rnd_below(rng, PAGE);
	else if (how < 18)
		len = (size_t)PAGE * (1 + rnd_below(rng, 4));
	else
		len = 1 + rnd_below(rng, (unsigned int)most);
	if (len > most)
		len = most;
	op->off = rnd(rng) % (usable - len + 1);
	if (how >= 6 && usable >= PAGE)
		op->off = op->off / PAGE * PAGE;
	op->len = len;
}

bool traffic_hint(struct op *op, uint64_t *rng)
{
	struct region *r = atomic_load(&hint.region);

	if (!r || r->exclusive)
		return false;
	op->region = r;
	op->win = atomic_load(&hint.win);
	op->off = atomic_load(&hint.off);
	op->len = PAGE;
	op->write = rnd_below(rng, 2);
	return op->off < atomic_load(&r->usable[op->win]);
}

bool traffic_choose(struct op *op, struct region *r, uint64_t *rng)
{
	unsigned int win = rnd_below(rng, WINDOWS);
	size_t usable = atomic_load(&r->usable[win]);

	if (!usable)
		usable = atomic_load(&r->usable[win = !win]);
	if (!usable)
		return false;
	op->region = r;
	op->win = win;
	op->write = rnd_below(rng, 2);
	choose_range(op, usable, rng);
	return true;
}

static void in_span(struct op *op, struct mutator *m, const struct life *l,
		    const struct span *s)
{
	size_t most = s->len < DEVICE_BUFFER ? s->len : DEVICE_BUFFER;
	size_t len = rnd_below(&m->rng, 3) ? most : 1 + rnd(&m->rng) % most;
	size_t at = rnd(&m->rng) % (s->len - len + 1);

	op->region = l->region;
	op->win = s->win;
	op->off = (size_t)s->first * PAGE + at;
	op->len = len;
}

static void one(struct mutator *m, unsigned int dev, struct op *op)
{
	op->who = m->dev[dev]->name;
	op->data = m->dev[dev]->buffer(m->ctx[dev], 0);
	op_prepare(op);
	m->dev[dev]->run(m->ctx[dev], op, 1);
}

static unsigned int some_device(struct mutator *m)
{
	return m->nr_devices > 1 ? 1 + rnd_below(&m->rng, m->nr_devices - 1) : 0;
}

void traffic_write(struct mutator *m, struct life *l, const struct span *s)
{
	struct op op = {.write = true};

	in_span(&op, m, l, s);
	one(m, some_device(m), &op);
}

void traffic_probe(struct mutator *m, struct life *l, const struct span *s)
{
	unsigned int nr = 1 + rnd_below(&m->rng, 2);
	struct op op = {0}, look = {0};

	for (unsigned int i = 0; i < nr; i++) {
		op.write = rnd_below(&m->rng, 2);
		in_span(&op, m, l, s);
		one(m, some_device(m), &op);
	}
	look.region = op.region;
	look.win = op.win;
	look.off = op.off;
	look.len = op.len;
	one(m, 0, &look);
}
