// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how does memory change that libc gives and takes: the
 * heap, and the stacks of threads that end?
 *
 * Here the change is made inside libc (brk, munmap, madvise by calls that nobody can
 * interpose), and the addresses go to somebody else at once. So the operations that the
 * model follows hold the region while they run; what is read of memory just freed is
 * read for the race alone, and not looked at.
 */
#include "mutate.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FREED 16

static struct {
	_Atomic uintptr_t at;
	_Atomic size_t len;
} freed[FREED];

static void note_freed(void *at, size_t len)
{
	static _Atomic unsigned int next;
	unsigned int i = atomic_fetch_add(&next, 1) % FREED;

	atomic_store(&freed[i].at, (uintptr_t)at);
	atomic_store(&freed[i].len, len);
}

void *heap_freed(uint64_t *rng, size_t *len)
{
	unsigned int i = rnd_below(rng, FREED);

	*len = atomic_load(&freed[i].len);
	return (void *)atomic_load(&freed[i].at);
}

static unsigned int pages_of(size_t size)
{
	return (unsigned int)((size + PAGE - 1) / PAGE);
}

/* [from, to) of the region's pages are new memory, and filled. Hold is held. */
static void appear(struct life *l, unsigned int from, unsigned int to, char *at)
{
	struct region *r = l->region;
	uint32_t gen = model_gen(r);

	model_begin(r);
	for (unsigned int i = from; i < to; i++) {
		int backing = model_backing(r);

		model_map(r, i, backing, CAN_READ | CAN_WRITE);
		model_value(r, backing, gen, i, true);
	}
	model_started(r);
	for (unsigned int i = from; i < to; i++) {
		size_t end = (size_t)(i + 1) * PAGE;

		stamp_fill(at + (size_t)i * PAGE, r->id, i, 0,
			   end <= l->size ? PAGE : (unsigned int)(l->size % PAGE), gen);
	}
	model_commit(r);
}

static void disappear(struct life *l, unsigned int from, unsigned int to)
{
	model_begin(l->region);
	for (unsigned int i = from; i < to; i++)
		model_map(l->region, i, -1, 0);
	model_started(l->region);
	model_commit(l->region);
}

static void publish(struct life *l, void *at)
{
	struct region *r = l->region;

	r->window[0] = at;
	atomic_store(&r->usable[0], at ? l->size : 0);
	atomic_store(&r->usable[1], 0);
}

static size_t some_size(const struct region *r, uint64_t *rng)
{
	size_t most = (size_t)r->pages * PAGE;

	switch (rnd_below(rng, 4)) {
	case 0:
		return 64 + rnd_below(rng, 4000);
	case 1:
		return 64 * 1024 + rnd_below(rng, (unsigned int)most - 64 * 1024);
	default:
		return 1 + rnd_below(rng, 60 * 1024);
	}
}

void heap_begin(struct life *l, struct mutator *m)
{
	pthread_rwlock_wrlock(&l->region->hold);
	l->size = some_size(l->region, &m->rng);
	l->memory = rnd_below(&m->rng, 3) ? malloc(l->size) : calloc(1, l->size);
	if (!l->memory)
		change_failed("malloc", NULL);
	appear(l, 0, pages_of(l->size), l->memory);
	publish(l, l->memory);
	pthread_rwlock_unlock(&l->region->hold);
}

void heap_end(struct life *l)
{
	pthread_rwlock_wrlock(&l->region->hold);
	publish(l, NULL);
	disappear(l, 0, pages_of(l->size));
	note_freed(l->memory, l->size);
	free(l->memory);
	l->memory = NULL;
	pthread_rwlock_unlock(&l->region->hold);
}

/* What was there must be there still, at the new place; then all is written anew. */
static void move_heap(struct life *l, struct mutator *m)
{
	size_t old = l->size, size = some_size(l->region, &m->rng);
	size_t kept = old < size ? old : size;
	void *was = l->memory;
	struct span s;

	pthread_rwlock_wrlock(&l->region->hold);
	publish(l, NULL);
	if (pages_of(size) < pages_of(old))
		disappear(l, pages_of(size), pages_of(old));
	l->memory = realloc(l->memory, size);
	if (!l->memory)
		change_failed("realloc", NULL);
	if (l->memory != was)
		note_freed(was, old);
	l->size = kept;
	publish(l, l->memory);
	s = span_of(l, 0, 0, pages_of(kept));
	s.len = kept;
	traffic_probe(m, l, &s);
	l->size = size;
	disappear(l, 0, pages_of(kept));
	appear(l, 0, pages_of(size), l->memory);
	publish(l, l->memory);
	pthread_rwlock_unlock(&l->region->hold);
}

void heap_step(struct life *l, struct mutator *m)
{
	struct span s = span_of(l, 0, 0, pages_of(l->size));

	s.len = l->size;
	switch (l->kind == KIND_HEAP ? rnd_below(&m->rng, 4) : 3) {
	case 0:
		move_heap(l, m);
		return;
	case 1:
		heap_end(l);
		heap_begin(l, m);
		s = span_of(l, 0, 0, pages_of(l->size));
		s.len = l->size;
		break;
	case 2:
		malloc_trim(0);
		break;
	default:
		break;
	}
	traffic_write(m, l, &s);
	traffic_probe(m, l, &s);
}

/* ---- stacks ------------------------------------------------------------------- */

#define STACK_SIZE  (192u * 1024)
#define STACK_BYTES (48u * 1024)

struct stack_thread {
	pthread_t thread;
	sem_t ready, go;
	struct life *life;
};

static void *stack_main(void *arg)
{
	_Alignas(64) char memory[STACK_BYTES];
	struct stack_thread *t = arg;
	struct life *l = t->life;

	l->size = sizeof(memory) - 100;
	appear(l, 0, pages_of(l->size), memory + 36);
	publish(l, memory + 36);
	sem_post(&t->ready);
	while (sem_wait(&t->go))
		;
	return NULL;
}

void stack_begin(struct life *l, struct mutator *m)
{
	struct stack_thread *t = calloc(1, sizeof(*t));
	pthread_attr_t attr;

	if (!t)
		change_failed("calloc", NULL);
	t->life = l;
	sem_init(&t->ready, 0, 0);
	sem_init(&t->go, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE + PAGE * rnd_below(&m->rng, 8));
	pthread_rwlock_wrlock(&l->region->hold);
	errno = pthread_create(&t->thread, &attr, stack_main, t);
	if (errno)
		change_failed("pthread_create", NULL);
	while (sem_wait(&t->ready))
		;
	pthread_rwlock_unlock(&l->region->hold);
	pthread_attr_destroy(&attr);
	l->thread = t;
}

void stack_end(struct life *l)
{
	struct stack_thread *t = l->thread;

	pthread_rwlock_wrlock(&l->region->hold);
	note_freed(l->region->window[0], l->size);
	publish(l, NULL);
	disappear(l, 0, pages_of(l->size));
	sem_post(&t->go);
	pthread_join(t->thread, NULL);
	pthread_rwlock_unlock(&l->region->hold);
	sem_destroy(&t->ready);
	sem_destroy(&t->go);
	free(t);
	l->thread = NULL;
}
