/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which valid translations touch a range?
 *
 * A treap over the slots, by start address, each node with the largest end below it; the
 * links are slot numbers inside the slots, so that it allocates nothing. A node's priority
 * is a hash of its number.
 */
#include "core/core.h"

static uint32_t priority(uint32_t n)
{
	n *= 0x9E3779B1u;
	n ^= n >> 15;
	return n * 0x85EBCA77u;
}

static bool before(const struct hmm *hmm, uint32_t a, uint32_t b)
{
	uint64_t at = hmm->slots[a].start, bt = hmm->slots[b].start;

	return at != bt ? at < bt : a < b;
}

static void update(struct hmm *hmm, uint32_t n)
{
	struct cold *s = hmm->cold;
	uint64_t max = slot_end(hmm, n);

	if (s[n].left && s[s[n].left].max > max)
		max = s[s[n].left].max;
	if (s[n].right && s[s[n].right].max > max)
		max = s[s[n].right].max;
	s[n].max = max;
}

/* Everything before n goes to *left, the rest to *right. */
static void split(struct hmm *hmm, uint32_t tree, uint32_t n, uint32_t *left,
		  uint32_t *right)
{
	struct cold *s = hmm->cold;

	if (!tree) {
		*left = *right = NO_SLOT;
		return;
	}
	if (before(hmm, tree, n)) {
		split(hmm, s[tree].right, n, &s[tree].right, right);
		*left = tree;
	} else {
		split(hmm, s[tree].left, n, left, &s[tree].left);
		*right = tree;
	}
	update(hmm, tree);
}

static uint32_t merge(struct hmm *hmm, uint32_t a, uint32_t b)
{
	struct cold *s = hmm->cold;

	if (!a || !b)
		return a | b;
	if (priority(a) > priority(b)) {
		s[a].right = merge(hmm, s[a].right, b);
		update(hmm, a);
		return a;
	}
	s[b].left = merge(hmm, a, s[b].left);
	update(hmm, b);
	return b;
}

static uint32_t insert(struct hmm *hmm, uint32_t tree, uint32_t n)
{
	struct cold *s = hmm->cold;

	if (!tree || priority(n) > priority(tree)) {
		split(hmm, tree, n, &s[n].left, &s[n].right);
		update(hmm, n);
		return n;
	}
	if (before(hmm, n, tree))
		s[tree].left = insert(hmm, s[tree].left, n);
	else
		s[tree].right = insert(hmm, s[tree].right, n);
	update(hmm, tree);
	return tree;
}

static uint32_t erase(struct hmm *hmm, uint32_t tree, uint32_t n)
{
	struct cold *s = hmm->cold;

	if (tree == n)
		return merge(hmm, s[n].left, s[n].right);
	if (before(hmm, n, tree))
		s[tree].left = erase(hmm, s[tree].left, n);
	else
		s[tree].right = erase(hmm, s[tree].right, n);
	update(hmm, tree);
	return tree;
}

void tree_add_locked(struct hmm *hmm, uint32_t slot)
{
	hmm->root = insert(hmm, hmm->root, slot);
}

void tree_del_locked(struct hmm *hmm, uint32_t slot)
{
	hmm->root = erase(hmm, hmm->root, slot);
}

uint32_t tree_overlap_locked(struct hmm *hmm, uint64_t start, uint64_t end)
{
	const struct cold *s = hmm->cold;
	uint32_t n = hmm->root;

	while (n) {
		if (s[n].left && s[s[n].left].max > start)
			n = s[n].left;
		else if (hmm->slots[n].start < end && slot_end(hmm, n) > start)
			return n;
		else if (hmm->slots[n].start >= end)
			return NO_SLOT;
		else
			n = s[n].right;
	}
	return NO_SLOT;
}

static void last_pinned(struct hmm *hmm, uint32_t n, uint64_t start, uint64_t end,
			uint64_t *last)
{
	const struct cold *s = hmm->cold;

	if (!n || s[n].max <= start || s[n].max <= *last)
		return;
	if (hmm->slots[n].start < end) {
		uint64_t top = slot_end(hmm, n);

		last_pinned(hmm, s[n].right, start, end, last);
		if (slot_pinned(hmm, n) && top > start && top > *last)
			*last = top < end ? top : end;
	}
	last_pinned(hmm, s[n].left, start, end, last);
}

/* The end of the highest part of [start, end) that a pinned translation covers, or 0. */
uint64_t tree_last_pinned_locked(struct hmm *hmm, uint64_t start, uint64_t end)
{
	uint64_t last = 0;

	last_pinned(hmm, hmm->root, start, end, &last);
	return last;
}
