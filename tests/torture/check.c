// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: was what an operation did allowed?
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model_priv.h"

void (*model_violated)(void);

#define ALLOWED_MAX (MODEL_MAPS * MODEL_VALS)

/* The values that some bytes [lo, hi) of a page may have. */
struct allowed {
	unsigned int nr;
	const struct val *vals[ALLOWED_MAX];
};

/* The part of an operation that lies in one page. */
struct chunk {
	struct op *op;
	unsigned int page;   /* of the region */
	unsigned int lo, hi; /* bytes of the page */
	const char *data;    /* of byte lo */
};

static void print_val(const struct val *v)
{
	fprintf(stderr, "    gen %u page %u [%u, %u) from %llu to %lld%s%s\n", v->gen,
		v->page, v->lo, v->hi, (unsigned long long)v->start, (long long)v->end,
		v->certain ? "" : " perhaps", v->pending ? " pending" : "");
}

static void print_history(const struct region *r, unsigned int page)
{
	const struct mpage *m = &r->map[page];

	for (unsigned int i = 0; i < m->nr; i++) {
		const struct mapev *ev = &m->evs[i];
		const struct backing *b = ev->backing < 0 ? NULL : &r->back[ev->backing];

		fprintf(stderr, "  mapped from %llu to %lld: backing %d/%u access %u\n",
			(unsigned long long)ev->start, (long long)ev->end, ev->backing,
			ev->serial, ev->access);
		if (!b || b->serial != ev->serial || i + 2 < m->nr)
			continue;
		for (unsigned int j = 0; j < b->nr; j++)
			print_val(&b->vals[j]);
	}
}

static void violation(const struct op *op, unsigned int page, const char *what)
{
	uint64_t nr = atomic_fetch_add(&model_stats.violations, 1);

	if (nr < 5) {
		fprintf(stderr,
			"VIOLATION: %s: %s of region %u window %u [%zu, +%zu) at %p, page "
			"%u, "
			"gen %u, time %llu to %llu, result %ld\n",
			what, op->who, op->region->id, op->win, op->off, op->len, op->ptr,
			page, op->gen, (unsigned long long)op->t0,
			(unsigned long long)op->t1, op->result);
		print_history(op->region, page);
	}
	if (model_violated)
		model_violated();
}

static bool val_allowed(const struct backing *b, const struct val *v, unsigned int lo,
			unsigned int hi, const struct op *op)
{
	if (v->lo > lo || v->hi < hi || v->start > op->t1)
		return false;
	for (unsigned int i = 0; i < b->nr; i++) {
		const struct val *e = &b->vals[i];

		if (e->certain && e->lo <= lo && e->hi >= hi && e->start >= v->end &&
		    e->end <= op->t0)
			return false;
	}
	return true;
}

static bool byte_allowed(const struct chunk *c, const struct allowed *a, unsigned int at)
{
	for (unsigned int i = 0; i < a->nr; i++)
		if ((uint8_t)c->data[at - c->lo] ==
		    stamp_byte(c->op->region->id, a->vals[i]->page, at, a->vals[i]->gen))
			return true;
	return false;
}

static bool word_allowed(const struct chunk *c, const struct allowed *a, unsigned int at,
			 unsigned int *last)
{
	uint64_t word;

	memcpy(&word, c->data + (at - c->lo), 8);
	for (unsigned int i = 0; i < a->nr; i++) {
		unsigned int k = (*last + i) % a->nr;

		if (word == stamp_word(c->op->region->id, a->vals[k]->page, at / 8,
				       a->vals[k]->gen)) {
			*last = k;
			return true;
		}
	}
	/* a copy of two halves, where the word was changed under the operation */
	for (unsigned int i = 0; i < 8; i++)
		if (!byte_allowed(c, a, at + i))
			return false;
	return a->nr > 0;
}

static void bad_data(const struct chunk *c, const struct allowed *a, unsigned int at)
{
	unsigned int word_at = at / 8 * 8;
	char text[128] = "wrong byte";
	struct stamp s;
	uint64_t word;

	if (word_at >= c->lo && word_at + 8 <= c->hi) {
		memcpy(&word, c->data + (word_at - c->lo), 8);
		if (!word)
			snprintf(text, sizeof(text), "zeroes at byte %u", at);
		else if (stamp_decode(word, &s))
			snprintf(text, sizeof(text),
				 "at byte %u stamp of region %u page %u word %u gen %u", at,
				 s.region, s.page, s.word, s.gen);
		else
			snprintf(text, sizeof(text), "at byte %u no stamp: %016llx", at,
				 (unsigned long long)word);
	}
	violation(c->op, c->page, text);
	if (atomic_load(&model_stats.violations) > 5)
		return;
	fprintf(stderr, "  allowed were %u:\n", a->nr);
	for (unsigned int i = 0; i < a->nr; i++)
		print_val(a->vals[i]);
}

static bool check_bytes(const struct chunk *c, const struct allowed *a, unsigned int lo,
			unsigned int hi)
{
	unsigned int last = 0;

	while (lo < hi) {
		bool whole = !(lo % 8) && lo + 8 <= hi;

		if (!(whole ? word_allowed(c, a, lo, &last) : byte_allowed(c, a, lo))) {
			bad_data(c, a, lo);
			return false;
		}
		lo += whole ? 8 : 1;
	}
	return true;
}

/* The backings that the chunk's page may have been; false: not all is remembered. */
static bool candidates(const struct chunk *c, const struct backing **out, unsigned int *nr)
{
	const struct region *r = c->op->region;
	const struct mpage *m = &r->map[c->page];

	*nr = 0;
	if (m->known_from > c->op->t0)
		return false;
	for (unsigned int i = 0; i < m->nr; i++) {
		const struct mapev *ev = &m->evs[i];
		const struct backing *b;

		if (!map_candidate(m, i, c->op->t0, c->op->t1) || !(ev->access & CAN_READ))
			continue;
		b = &r->back[ev->backing];
		if (b->serial != ev->serial || b->unknown || b->known_from > c->op->t0)
			return false;
		out[(*nr)++] = b;
	}
	return true;
}

/* Where the next value begins or ends after @at: between, all bytes have one history. */
static unsigned int next_edge(const struct backing **bs, unsigned int nr, unsigned int at,
			      unsigned int hi)
{
	for (unsigned int i = 0; i < nr; i++)
		for (unsigned int j = 0; j < bs[i]->nr; j++) {
			const struct val *v = &bs[i]->vals[j];

			if (v->lo > at && v->lo < hi)
				hi = v->lo;
			if (v->hi > at && v->hi < hi)
				hi = v->hi;
		}
	return hi;
}

static bool check_chunk(const struct chunk *c)
{
	const struct backing *bs[MODEL_MAPS];
	unsigned int nr;

	if (!candidates(c, bs, &nr)) {
		atomic_fetch_add_explicit(&model_stats.unchecked, 1, memory_order_relaxed);
		return true;
	}
	for (unsigned int lo = c->lo, hi; lo < c->hi; lo = hi) {
		struct allowed a = {0};

		hi = next_edge(bs, nr, lo, c->hi);
		for (unsigned int i = 0; i < nr; i++)
			for (unsigned int j = 0; j < bs[i]->nr; j++)
				if (val_allowed(bs[i], &bs[i]->vals[j], lo, hi, c->op))
					a.vals[a.nr++] = &bs[i]->vals[j];
		if (!check_bytes(c, &a, lo, hi))
			return false;
	}
	return true;
}

/* Was there a moment in the operation at which the page had (or had not) the access? */
static bool page_may(const struct op *op, unsigned int page, bool allow)
{
	unsigned int need = op->write ? CAN_WRITE : CAN_READ;
	const struct mpage *m = &op->region->map[page];

	if (m->known_from > op->t0)
		return true;
	for (unsigned int i = 0; i < m->nr; i++)
		if (map_candidate(m, i, op->t0, op->t1) &&
		    !!(m->evs[i].access & need) == allow)
			return true;
	return false;
}

static void check_failure(const struct op *op, unsigned int first, unsigned int last)
{
	if (op->result < 0)
		atomic_fetch_add_explicit(&model_stats.errors, 1, memory_order_relaxed);
	if (op->result == -ETIMEDOUT) {
		violation(op, first, "timed out");
		return;
	}
	if (op->result < 0 && op->result != -EFAULT && op->result != -EACCES)
		return; /* a limit, not a statement about the memory */
	for (unsigned int p = first; p <= last; p++)
		if (page_may(op, p, false))
			return;
	violation(op, first, "failed although all of it was there");
}

static void check_op(struct op *op, unsigned int first, unsigned int last)
{
	size_t done = op->result > 0 ? (size_t)op->result : 0;

	if (done < op->len) {
		unsigned int from = region_page(op->region, op->win, op->off + done);

		check_failure(op, done ? from : first, last);
	}
	for (size_t at = 0, next; at < done; at = next) {
		size_t off = op->off + at;
		struct chunk c = {.op = op,
				  .page = region_page(op->region, op->win, off),
				  .lo = off % PAGE,
				  .data = op->data + at};

		next = at + (PAGE - c.lo);
		if (next > done)
			next = done;
		c.hi = c.lo + (unsigned int)(next - at);
		if (!page_may(op, c.page, true)) {
			violation(op, c.page, "succeeded where it was not allowed");
			return;
		}
		if (!op->write && !check_chunk(&c))
			return;
	}
}

void op_end(struct op *op, long result)
{
	struct region *r = op->region;
	unsigned int first = region_page(r, op->win, op->off);
	unsigned int last = region_page(r, op->win, op->off + op->len - 1);

	op->result = result;
	pthread_mutex_lock(&r->lock);
	op->t1 = model_tick();
	check_op(op, first, last);
	if (op->write)
		op_end_write(op);
	pthread_mutex_unlock(&r->lock);
	atomic_fetch_add_explicit(op->write ? &model_stats.writes : &model_stats.reads, 1,
				  memory_order_relaxed);
	if (result > 0)
		atomic_fetch_add_explicit(&model_stats.bytes, (uint64_t)result,
					  memory_order_relaxed);
}
