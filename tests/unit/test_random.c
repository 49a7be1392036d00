// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Does the core do what a naive second model does, step by step, for long?
 *
 * The model is a list of translations, each alive or not, with a count of its holders.
 * HMM_UNIT_SEED and HMM_UNIT_SCALE choose another run and a longer one.
 */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define AREA  48u
#define KNOWN 4096u
#define HELD  40u

struct model {
	unsigned int page, n, access;
	uint32_t key, holders;
	bool alive;
};

static struct fake fake;
static struct fake_device dev;
static struct hmm_mirror *mirror;
static struct model model[KNOWN];
static unsigned int nr_model;
static struct {
	struct hmm_translation t;
	struct model *of;
} held[HELD];
static uint64_t seed, released;

static unsigned int pick(unsigned int n)
{
	return (unsigned int)(fake_random(&seed) % n);
}

/* ---- the model --------------------------------------------------------------------------
 */

static int expect_translate(unsigned int page, unsigned int n, unsigned int access)
{
	int err = 0;

	for (unsigned int i = page; i < page + n; i++) {
		if (!fake.pages[i].id)
			return -EFAULT;
		if (access & ~fake.pages[i].access)
			err = -EACCES;
	}
	return err;
}

static bool fits(const struct model *m, unsigned int page, unsigned int n,
		 unsigned int access)
{
	return m->alive && m->page <= page && m->page + m->n >= page + n &&
	       (m->access & access) == access;
}

static struct model *find_key(uint32_t key)
{
	for (unsigned int i = nr_model; i-- > 0;)
		if (model[i].key == key && (model[i].alive || model[i].holders))
			return &model[i];
	return NULL;
}

static unsigned int allowed(unsigned int page, unsigned int n)
{
	unsigned int access = HMM_READ | HMM_WRITE;

	for (unsigned int i = page; i < page + n; i++)
		access &= fake.pages[i].access;
	return access;
}

static void model_change(unsigned int page, unsigned int n)
{
	for (unsigned int i = 0; i < nr_model; i++)
		if (model[i].alive && model[i].page < page + n &&
		    model[i].page + model[i].n > page)
			model[i].alive = false;
}

/* Those that are over for good make room. */
static void model_compact(void)
{
	unsigned int to = 0;

	for (unsigned int i = 0; i < nr_model; i++) {
		struct model *m = &model[i];

		if (!m->alive && !m->holders) {
			released++;
			continue;
		}
		for (unsigned int h = 0; h < HELD; h++)
			if (held[h].of == m)
				held[h].of = &model[to];
		model[to++] = *m;
	}
	nr_model = to;
}

/* ---- steps ------------------------------------------------------------------------------
 */

static void new_model(unsigned int page, unsigned int n, const struct hmm_translation *t)
{
	CHECK(nr_model < KNOWN);
	model[nr_model++] = (struct model){
		.page = page,
		.n = n,
		.access = allowed(page, n),
		.key = t->key,
		.alive = true,
	};
	CHECK(dev.entries[t->key].mapping.access == allowed(page, n));
}

static void translate(void)
{
	unsigned int h = pick(HELD), n = 1 + pick(8), page = pick(AREA - n);
	unsigned int access = 1 + pick(3);
	uint64_t maps = dev.maps;
	bool known = false;
	int err;

	if (held[h].of)
		return;
	for (unsigned int i = 0; i < nr_model; i++)
		known |= fits(&model[i], page, n, access);
	err = hmm_translate(mirror, fake_ptr(page), n * FAKE_PAGE, access, &held[h].t);
	if (known) { /* alive, so the mappings are as they were */
		CHECK(!err && dev.maps == maps);
		held[h].of = find_key(held[h].t.key);
		CHECK(held[h].of && fits(held[h].of, page, n, access));
	} else {
		if (err != expect_translate(page, n, access))
			fprintf(stderr, "%d, not %d: %s\n", err,
				expect_translate(page, n, access), hmm_error());
		CHECK(err == expect_translate(page, n, access));
		CHECK(dev.maps == maps + !err);
		if (err)
			return;
		CHECK(!find_key(held[h].t.key)); /* Y4 */
		new_model(page, n, &held[h].t);
		held[h].of = &model[nr_model - 1];
	}
	held[h].of->holders++;
}

static void put(void)
{
	unsigned int h = pick(HELD);

	if (!held[h].of)
		return;
	CHECK(!hmm_translation_put(&held[h].t));
	held[h].of->holders--;
	held[h].of = NULL;
}

static void change(void)
{
	unsigned int n = 1 + pick(6), page = pick(AREA - n), access = 1 + pick(3);

	switch (pick(6)) {
	case 0:
		fake_munmap(&fake, page, n);
		break;
	case 1:
		fake_mmap_over(&fake, page, n, access);
		break;
	case 2:
		fake_munmap_interposed(&fake, page, n);
		break;
	case 3:
		fake_mmap_over_interposed(&fake, page, n, access);
		break;
	case 4:
		fake_mprotect(&fake, page, n, access);
		break;
	case 5:
		fake_dontneed(&fake, page, n);
		break;
	}
	/* Memory that was never asked for is not watched: nothing to tell, nothing known.
	 */
	model_change(page, n);
}

/* ---- compare
 * ------------------------------------------------------------------------------ */

static void compare_holders(void)
{
	for (unsigned int h = 0; h < HELD; h++)
		if (held[h].of)
			CHECK(hmm_translation_valid(&held[h].t) == held[h].of->alive);
}

static void compare_table(void)
{
	uint32_t cover[FAKE_PAGES] = {0};

	for (unsigned int i = 0; i < nr_model; i++)
		for (unsigned int p = 0; model[i].alive && p < model[i].n; p++)
			cover[model[i].page + p]++;
	pthread_mutex_lock(&dev.lock);
	CHECK(!memcmp(cover, dev.table, sizeof(cover)));
	pthread_mutex_unlock(&dev.lock);
}

static void compare_stats(void)
{
	uint64_t alive = 0, dying = 0;
	struct hmm_stats stats;

	for (unsigned int i = 0; i < nr_model; i++) {
		alive += model[i].alive;
		dying += !model[i].alive && model[i].holders;
	}
	CHECK(hmm_quiesce(fake.hmm, dying ? 0 : 5000) == (dying ? -ETIMEDOUT : 0));
	/* The worker may be at it just now. */
	for (int i = 0; i < 5000; i++) {
		CHECK(!hmm_stats_read(fake.hmm, mirror, &stats, sizeof(stats)));
		if (stats.revoking == dying)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	CHECK(stats.translations == alive && stats.revoking == dying);
	CHECK(stats.released == released && dev.releases == released);
}

static void drain_records(void)
{
	struct hmm_translation t;

	/* Any translation looks at the poll word; one of a hole gives nothing. */
	CHECK(hmm_translate(mirror, fake_ptr(AREA + 1), 1, HMM_READ, &t) == -EFAULT);
}

static void run(const int *modes)
{
	unsigned int scale =
		getenv("HMM_UNIT_SCALE") ? (unsigned int)atoi(getenv("HMM_UNIT_SCALE")) : 1;

	nr_model = 0;
	released = 0;
	fake_start(&fake, KNOWN, 10000);
	fake_start_reader(&fake);
	fake_device_open(&fake, &dev, modes);
	mirror = fake_mirror(&dev, NULL);
	for (unsigned int i = 0; i < 30000 * scale; i++) {
		unsigned int what = pick(16);

		if (what < 8)
			translate();
		else if (what < 15)
			put();
		else
			change();
		if (i % 16 == 0) {
			drain_records();
			compare_holders();
			compare_table();
		}
		if (i % 128 == 0) {
			model_compact();
			compare_stats();
		}
	}
	for (unsigned int h = 0; h < HELD; h++)
		if (held[h].of)
			CHECK(!hmm_translation_put(&held[h].t));
	memset(held, 0, sizeof(held));
	CHECK(!hmm_mirror_destroy(mirror));
	fake_device_close(&dev);
	fake_stop(&fake);
}

static void direct(void)
{
	run(only_direct);
}

int main(void)
{
	const char *text = getenv("HMM_UNIT_SEED");

	seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 2654435761u | 1;
	fprintf(stderr, "HMM_UNIT_SEED=%#lx\n", seed);
	RUN(direct);
	return 0;
}
