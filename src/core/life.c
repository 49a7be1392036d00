/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How does the core of a struct hmm begin and end, and what is left of it after a fork? */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/core.h"
#include "util/arena.h"

_Atomic uint32_t core_fence_word;

#define SEQ_FIRST 2 /* even, and not the 0 that the child of a fork finds */

int core_create(const struct core_attr *attr, struct hmm **out)
{
	static _Atomic uint64_t ids;
	struct hmm *hmm;
	int err = 0;

	hmm = arena_reserve(sizeof(*hmm), &err);
	if (!hmm)
		goto err_none;
	hmm->wiped = arena_reserve_wiped(page_size(), &err);
	if (!hmm->wiped)
		goto err_hmm;
	err = slots_init(hmm, attr->max_translations);
	if (err)
		goto err_wiped;
	err = index_init(&hmm->index, attr->max_translations);
	if (err)
		goto err_slots;
	hmm->id = atomic_fetch_add(&ids, 1) + 1;
	hmm->ops = attr->ops;
	hmm->source = attr->source;
	hmm->fences = !attr->ops->barrier;
	hmm->wait_ms = attr->wait_ms;
	atomic_store(&hmm->refs, 1);
	pthread_mutex_init(&hmm->lock, NULL);
	atomic_store(&hmm->wiped->seq, SEQ_FIRST);
	*out = hmm;
	return 0;

err_slots:
	slots_fini(hmm);
err_wiped:
	arena_free(hmm->wiped, page_size());
err_hmm:
	arena_free(hmm, sizeof(*hmm));
err_none:
	return core_error(err,
			  "cannot reserve the library's own memory for %u translations: "
			  "raise RLIMIT_AS or lower max_translations",
			  attr->max_translations);
}

void core_stop(struct hmm *hmm)
{
	core_lock(hmm);
	hmm->stop = true;
	event_count_wake_locked(&hmm->work);
	core_unlock(hmm);
}

void core_destroy(struct hmm *hmm)
{
	/* What nobody was woken for; there is no mirror left that could be asked. */
	holds_fini(hmm);
	mirrors_fini(hmm);
	index_fini(&hmm->index);
	slots_fini(hmm);
	arena_free(hmm->wiped, page_size());
	pthread_mutex_destroy(&hmm->lock);
	arena_free(hmm, sizeof(*hmm));
}

void core_get(struct hmm *hmm)
{
	atomic_fetch_add(&hmm->refs, 1);
}

bool core_put(struct hmm *hmm)
{
	return atomic_fetch_sub(&hmm->refs, 1) == 1;
}

void core_count(struct hmm *hmm, enum core_count which)
{
	atomic_fetch_add_explicit(&hmm->counters[which], 1, memory_order_relaxed);
}

/* ---- fork -------------------------------------------------------------------------- */

void core_fork_child(struct hmm *hmm)
{
	/* Kernels without MADV_WIPEONFORK, and clones that share nothing else. */
	atomic_store(&hmm->wiped->seq, 0);
	holds_fork_child();
}

bool core_dead(const struct hmm *hmm)
{
	return atomic_load_explicit(&hmm->wiped->seq, memory_order_relaxed) == 0;
}

const char *hmm_version(void)
{
	return HMM_VERSION_TEXT;
}
