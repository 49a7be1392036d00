/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where does a thread write down which translations it holds, and how is that found out?
 *
 * Each thread has a list of places (struct holds) of four cache lines, which it finds in
 * its own cache whatever it translates: a count beside each translation, or an array of
 * counts, would be one line more to fetch for each hit. Whoever wants to know whether a
 * translation is held reads the lists of all threads: once for all translations that it
 * asks about (holds_look()), and of each list only as far as it was ever used, which is its
 * first line as long as a thread holds no more than ten translations at a time.
 *
 * A thread that holds more than HOLDS counts the rest in an array that all share.
 *
 * A look proves that a slot is not held if the slot was revoked before the look began and
 * every thread has passed a barrier in between: from then on nobody takes a reference that
 * counts (hit.c). Looks are numbered, and two may be under way at once. A slot that a later
 * look has found held was held during the earlier one as well, since after the barrier
 * nobody begins to hold it: so "found by this look or a later one" is the question, and
 * neither look disturbs the other.
 */
#include <errno.h>

#include "core/core.h"
#include "core/hold.h"
#include "util/arena.h"

/* Guards which thread has which list, and the struct hmm whose lists threads have now. */
static pthread_mutex_t holds_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hmm *current;

static void lists_lock(void)
{
	undisturbed_begin();
	pthread_mutex_lock(&holds_lock);
}

static void lists_unlock(void)
{
	pthread_mutex_unlock(&holds_lock);
	undisturbed_end();
}

/* ---- lists ----------------------------------------------------------------------- */

/* Somebody may have emptied places, whose thread was another then. */
static uint64_t find_empty(const struct holds *holds)
{
	uint64_t empty = 0;

	for (uint32_t i = 0; i < HOLDS; i++)
		if (!atomic_load_explicit(&holds->slot[i], memory_order_acquire))
			empty |= 1ull << i;
	return empty;
}

/* A page of lists at a time; only the first of a page lies at its beginning. */
static int fresh_page(struct hmm *hmm)
{
	int err = 0;
	struct holds *page = arena_reserve(page_size(), &err);

	if (!page)
		return err;
	hmm->fresh = page;
	hmm->nr_fresh = (uint32_t)(page_size() / sizeof(*page));
	return 0;
}

static int list_take(struct hmm *hmm, struct holds **out)
{
	struct holds *holds = hmm->left;
	int err = 0;

	if (holds) {
		hmm->left = holds->idle;
	} else {
		if (!hmm->nr_fresh)
			err = fresh_page(hmm);
		if (err)
			return err;
		holds = hmm->fresh++;
		hmm->nr_fresh--;
		STORE(hmm->nr_holds, hmm->nr_holds + 1);
		holds->next = atomic_load_explicit(&hmm->holds, memory_order_relaxed);
		/* Its thread fills no place before that: who looks finds it. */
		atomic_store_explicit(&hmm->holds, holds, memory_order_release);
	}
	holds->empty = find_empty(holds);
	*out = holds;
	return 0;
}

int thread_attach(struct hmm *hmm)
{
	struct holds *holds = NULL;
	int err;

	if (self.hmm_id == hmm->id)
		return 0;
	if (!thread_watch_exit())
		return core_error(-ENOMEM,
				  "cannot keep a record of this thread: out of memory "
				  "or of thread keys");
	lists_lock();
	current = hmm;
	err = list_take(hmm, &holds);
	lists_unlock();
	if (err)
		return core_error(err, "cannot map a page for this thread's references: "
				       "raise RLIMIT_AS, or vm.max_map_count");
	self.holds = holds;
	self.hmm_id = hmm->id;
	return 0;
}

void holds_thread_exit(void)
{
	lists_lock();
	if (current && self.hmm_id == current->id) {
		self.holds->idle = current->left;
		current->left = self.holds;
	}
	lists_unlock();
	self.hmm_id = 0;
}

/* The other threads are gone, and may have held the lock; what is held is the parent's. */
void holds_fork_child(void)
{
	pthread_mutex_init(&holds_lock, NULL);
	current = NULL;
	self.hmm_id = 0;
}

int holds_init(struct hmm *hmm)
{
	int err = 0;

	hmm->more = arena_reserve((size_t)hmm->max_slots * sizeof(*hmm->more), &err);
	return err;
}

void holds_fini(struct hmm *hmm)
{
	struct holds *holds, *next;

	lists_lock();
	if (current == hmm)
		current = NULL;
	lists_unlock();
	/* Of a page the first comes last. */
	for (holds = hmm->holds; holds; holds = next) {
		next = holds->next;
		if (!((uintptr_t)holds & (page_size() - 1)))
			arena_free(holds, page_size());
	}
	arena_free(hmm->more, (size_t)hmm->max_slots * sizeof(*hmm->more));
	if (self.hmm_id == hmm->id)
		self.hmm_id = 0;
}

/* ---- taking ---------------------------------------------------------------------- */

/* No place is known to be empty: others may have emptied some. */
uint64_t hold_more(struct hmm *hmm, uint32_t slot)
{
	self.holds->empty = find_empty(self.holds);
	if (self.holds->empty)
		return hold_begin(hmm, slot);
	/* Before the count: who looks at the counts has to know that there are any. */
	atomic_store(&hmm->any_more, true);
	atomic_fetch_add(&hmm->more[slot], 1);
	return 0;
}

/* ---- looking --------------------------------------------------------------------- */

uint64_t holds_look_begin(struct hmm *hmm)
{
	return atomic_fetch_add(&hmm->looks, 1) + 1;
}

static void found(struct hmm *hmm, uint32_t slot, uint64_t look)
{
	_Atomic uint64_t *held = &hmm->cold[slot].held;
	uint64_t before = atomic_load_explicit(held, memory_order_relaxed);

	while (before < look &&
	       !atomic_compare_exchange_weak_explicit(
		       held, &before, look, memory_order_relaxed, memory_order_relaxed))
		;
}

/*
 * @state: only slots with one of these flags. One whose look no barrier came before may ask
 * about valid slots alone, under the lock, so that it says nothing of those that another
 * one is about to release.
 */
void holds_look(struct hmm *hmm, uint64_t look, uint32_t state)
{
	const struct holds *h = atomic_load_explicit(&hmm->holds, memory_order_acquire);

	for (; h; h = h->next) {
		uint32_t used = atomic_load_explicit(&h->used, memory_order_acquire);

		for (uint32_t i = 0; i < used; i++) {
			uint32_t n =
				atomic_load_explicit(&h->slot[i], memory_order_acquire);

			if (n && (LOAD(hmm->slots[n].state) & state))
				found(hmm, n, look);
		}
	}
}

/* After the look. */
bool hold_found(struct hmm *hmm, uint32_t slot, uint64_t look)
{
	if (atomic_load_explicit(&hmm->cold[slot].held, memory_order_relaxed) >= look)
		return true;
	return atomic_load(&hmm->any_more) && atomic_load(&hmm->more[slot]);
}
