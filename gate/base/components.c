// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What in a directed graph reaches itself?
 *
 * Tarjan's components, without recursion: include chains and macros that use macros are
 * thousands of steps long.
 */
#include <stdlib.h>

#include "components.h"

struct tarjan {
	const u32 *first, *edges;
	u32 *index, *low, *stack, *call, *pos;
	u8 *on_stack;
	u32 counter, nstack, ncall;
	component_fn *fn;
	void *arg;
};

static void enter(struct tarjan *t, u32 node)
{
	t->index[node] = t->low[node] = ++t->counter;
	t->stack[t->nstack++] = node;
	t->on_stack[node] = 1;
	t->pos[node] = t->first[node];
	t->call[t->ncall++] = node;
}

static void close_component(struct tarjan *t, u32 root)
{
	u32 from = t->nstack, i;

	do {
		from--;
	} while (t->stack[from] != root);
	for (i = from; i < t->nstack; i++)
		t->on_stack[t->stack[i]] = 0;
	t->fn(t->arg, t->stack + from, t->nstack - from);
	t->nstack = from;
}

static void visit_from(struct tarjan *t, u32 start)
{
	u32 node, to, up;

	enter(t, start);
	while (t->ncall) {
		node = t->call[t->ncall - 1];
		if (t->pos[node] < t->first[node + 1]) {
			to = t->edges[t->pos[node]++];
			if (!t->index[to])
				enter(t, to);
			else if (t->on_stack[to] && t->index[to] < t->low[node])
				t->low[node] = t->index[to];
			continue;
		}
		if (t->low[node] == t->index[node])
			close_component(t, node);
		if (!--t->ncall)
			continue;
		up = t->call[t->ncall - 1];
		if (t->low[node] < t->low[up])
			t->low[up] = t->low[node];
	}
}

void each_component(u32 n, const u32 *first, const u32 *edges, component_fn *fn, void *arg)
{
	struct tarjan t = {.first = first, .edges = edges, .fn = fn, .arg = arg};
	u32 i;

	t.index = xcalloc(n * 5ul + 1, sizeof(u32));
	t.low = t.index + n;
	t.stack = t.low + n;
	t.call = t.stack + n;
	t.pos = t.call + n;
	t.on_stack = xcalloc(n + 1ul, 1);
	for (i = 0; i < n; i++)
		if (!t.index[i])
			visit_from(&t, i);
	free(t.index);
	free(t.on_stack);
}
