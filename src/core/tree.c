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

static bool before(const struct slot *s, uint32_t a, uint32_t b)
{
	return s[a].start != s[b].start ? s[a].start < s[b].start : a < b;
}

static void update(struct slot *s, uint32_t n)
{
	uint64_t max = s[n].end;

	if (s[n].left && s[s[n].left].max > max)
		max = s[s[n].left].max;
	if (s[n].right && s[s[n].right].max > max)
		max = s[s[n].right].max;
	s[n].max = max;
}

/* Everything before n goes to *left, the rest to *right. */
static void split(struct slot *s, uint32_t tree, uint32_t n, uint32_t *left,
		  uint32_t *right)
{
	if (!tree) {
		*left = *right = NO_SLOT;
		return;
	}
	if (before(s, tree, n)) {
		split(s, s[tree].right, n, &s[tree].right, right);
		*left = tree;
	} else {
		split(s, s[tree].left, n, left, &s[tree].left);
		*right = tree;
	}
	update(s, tree);
}

static uint32_t merge(struct slot *s, uint32_t a, uint32_t b)
{
	if (!a || !b)
		return a | b;
	if (priority(a) > priority(b)) {
		s[a].right = merge(s, s[a].right, b);
		update(s, a);
		return a;
	}
	s[b].left = merge(s, a, s[b].left);
	update(s, b);
	return b;
}

static uint32_t insert(struct slot *s, uint32_t tree, uint32_t n)
{
	if (!tree || priority(n) > priority(tree)) {
		split(s, tree, n, &s[n].left, &s[n].right);
		update(s, n);
		return n;
	}
	if (before(s, n, tree))
		s[tree].left = insert(s, s[tree].left, n);
	else
		s[tree].right = insert(s, s[tree].right, n);
	update(s, tree);
	return tree;
}

static uint32_t erase(struct slot *s, uint32_t tree, uint32_t n)
{
	if (tree == n)
		return merge(s, s[n].left, s[n].right);
	if (before(s, n, tree))
		s[tree].left = erase(s, s[tree].left, n);
	else
		s[tree].right = erase(s, s[tree].right, n);
	update(s, tree);
	return tree;
}

void tree_add_locked(struct hmm *hmm, uint32_t slot)
{
	hmm->root = insert(hmm->slots, hmm->root, slot);
}

void tree_del_locked(struct hmm *hmm, uint32_t slot)
{
	hmm->root = erase(hmm->slots, hmm->root, slot);
}

uint32_t tree_overlap_locked(struct hmm *hmm, uint64_t start, uint64_t end)
{
	const struct slot *s = hmm->slots;
	uint32_t n = hmm->root;

	while (n) {
		if (s[n].left && s[s[n].left].max > start)
			n = s[n].left;
		else if (s[n].start < end && s[n].end > start)
			return n;
		else if (s[n].start >= end)
			return NO_SLOT;
		else
			n = s[n].right;
	}
	return NO_SLOT;
}

static bool is_pinned(const struct slot *slot)
{
	return ((slot->state >> SLOT_MODE) & 3) == HMM_MODE_PIN;
}

static void last_pinned(const struct slot *s, uint32_t n, uint64_t start, uint64_t end,
			uint64_t *last)
{
	if (!n || s[n].max <= start || s[n].max <= *last)
		return;
	if (s[n].start < end) {
		last_pinned(s, s[n].right, start, end, last);
		if (is_pinned(&s[n]) && s[n].end > start && s[n].end > *last)
			*last = s[n].end < end ? s[n].end : end;
	}
	last_pinned(s, s[n].left, start, end, last);
}

/* The end of the highest part of [start, end) that a pinned translation covers, or 0. */
uint64_t tree_last_pinned_locked(struct hmm *hmm, uint64_t start, uint64_t end)
{
	uint64_t last = 0;

	last_pinned(hmm->slots, hmm->root, start, end, &last);
	return last;
}
