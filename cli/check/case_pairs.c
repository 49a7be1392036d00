// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: is an address range that one thread has vacated another's as soon as that
 * one's call has returned (Y3)?
 *
 * Every vacating call (kit/vacates.c) runs against every occupying call (kit/occupies.c)
 * for a while; kit/pair.c says how two threads meet. Where both calls pass the library by,
 * the contract has a limit: there the odds are told, and nothing else may be wrong.
 */
#include "cases.h"

#include "../../kit/places.h"

#include <stdio.h>
#include <string.h>

static const char *way_name(unsigned int way)
{
	for (unsigned int i = 0; i < NR_WAYS; i++) {
		if (way == 1u << i)
			return kit_way_names[i];
	}
	return "?";
}

/* What was run, and of the pairs that a limit allows to go wrong, how often they did. */
struct sums {
	struct kit_pair_counts all, limited;
	unsigned int pairs, limits;
	char wrong[96], worst[96]; /* the first that is wrong; of the limits, the worst */
	struct kit_pair_counts odds;
};

static void name_pair(const struct kit_pair *pair, char *out, size_t size)
{
	snprintf(out, size, "%s (%s), then %s (%s)", pair->vacate->name,
		 way_name(pair->vacate->way), pair->occupy->name,
		 way_name(pair->occupy->way));
}

static void add(struct kit_pair_counts *all, const struct kit_pair_counts *one)
{
	all->rounds += one->rounds;
	all->met += one->met;
	all->stale += one->stale;
	all->lost += one->lost;
	all->elsewhere += one->elsewhere;
	all->errors += one->errors;
	all->wrong += one->wrong;
}

/* Nothing of the library's is called by either of the two, and nobody else tells of the
 * second in time: a limit that the contract has. */
static bool is_limit(const struct check_run *run, const struct kit_pair *pair)
{
	bool late = !kit_interposed();

	if (run->env->dev->usual)
		return false;
	/* L3: only perf would tell whoever uses the place as it is. */
	if (!run->env->perf && pair->vacate->flags & V_RECORD &&
	    pair->occupy->flags & O_TOUCH)
		return late || pair->vacate->flags & V_UNSEEN;
	if (!late && !(pair->vacate->flags & V_UNSEEN && pair->occupy->flags & O_UNSEEN))
		return false;
	/* Of a mapping that appears perf has a record before the call returns. */
	return !(run->env->perf && pair->occupy->flags & O_RECORD);
}

static void tell_pair(const struct kit_pair *pair, const struct kit_pair_counts *counts,
		      bool limit)
{
	char name[96];

	name_pair(pair, name, sizeof(name));
	fprintf(stderr,
		"%s: %lu rounds, %lu met, %lu stale, %lu lost, %lu elsewhere, %lu "
		"refused%s\n",
		name, counts->rounds, counts->met, counts->stale, counts->lost,
		counts->elsewhere, counts->errors, limit ? " (L4)" : "");
}

static void account(struct sums *sums, const struct kit_pair *pair, bool limit,
		    const struct kit_pair_counts *counts)
{
	unsigned long wrong = counts->wrong;

	sums->pairs += counts->rounds != 0;
	sums->limits += limit && wrong;
	add(limit ? &sums->limited : &sums->all, counts);
	if (wrong && !limit && !sums->wrong[0])
		name_pair(pair, sums->wrong, sizeof(sums->wrong));
	/* As fractions: wrong of met. */
	if (limit && wrong &&
	    wrong * (sums->odds.met + 1) > sums->odds.wrong * (counts->met + 1)) {
		name_pair(pair, sums->worst, sizeof(sums->worst));
		sums->odds = *counts;
	}
}

static void give_verdict(struct check_run *run, const struct sums *sums)
{
	const struct kit_pair_counts *all = &sums->all, *limited = &sums->limited;
	int len;

	if (all->wrong) {
		check_stale(
			run,
			"%s and perhaps others: %lu rounds, %lu met, %lu stale, %lu lost, "
			"%lu elsewhere, %lu refused",
			sums->wrong, all->rounds, all->met, all->stale, all->lost,
			all->elsewhere, all->errors);
		return;
	}
	len = snprintf(
		run->result->detail, sizeof(run->result->detail),
		"%u pairs, %lu rounds, %lu met, 0 wrong; both unseen: %lu rounds, %lu "
		"met, %lu stale, %lu lost, %lu elsewhere",
		sums->pairs, all->rounds, all->met, limited->rounds, limited->met,
		limited->stale, limited->lost, limited->elsewhere);
	if (!limited->wrong)
		return;
	snprintf(run->result->detail + len, sizeof(run->result->detail) - (size_t)len,
		 ", at most %lu of %lu: %s", sums->odds.wrong, sums->odds.met, sums->worst);
	check_limit(run, 4);
}

static unsigned int count_pairs(void)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < kit_nr_vacates * kit_nr_occupies; i++)
		nr += kit_pair_applies(&kit_vacates[i / kit_nr_occupies],
				       &kit_occupies[i % kit_nr_occupies]);
	return nr;
}

static void run_pairs(struct check_run *run)
{
	struct kit_pair pair = {.device = {&run->env->use, check_beat},
				.seconds = check_options.pairs_seconds / count_pairs()};
	struct sums sums = {0};

	for (unsigned int i = 0; i < kit_nr_vacates * kit_nr_occupies; i++) {
		struct kit_pair_counts counts = {0};
		bool limit;

		pair.vacate = &kit_vacates[i / kit_nr_occupies];
		pair.occupy = &kit_occupies[i % kit_nr_occupies];
		if (!kit_pair_applies(pair.vacate, pair.occupy))
			continue;
		limit = is_limit(run, &pair);
		if (kit_pair_run(&pair, &counts)) {
			check_fail(run, "no thread could be started");
			return;
		}
		account(&sums, &pair, limit, &counts);
		if (check_options.verbose || (counts.wrong && !limit))
			tell_pair(&pair, &counts, limit);
	}
	give_verdict(run, &sums);
}

static void with_attr(struct check_run *run, const struct hmm_attr *attr)
{
	/* Translations of whole blocks: whatever part of one is given away meets one. */
	struct hmm_mirror_attr mattr = {.size = sizeof(mattr), .granule = 2 * KIT_BLOCK};
	struct check_env env, *before = run->env;
	int err;

	kit_places_init();
	err = check_env_open(&env, before->dev, attr, &mattr);
	if (err) {
		check_skip(run, "the device does not open: %s", hmm_error());
		return;
	}
	run->env = &env;
	run_pairs(run);
	run->env = before;
	err = check_env_close(&env);
	if (err)
		check_fail(run, "closing: %d, %s", err, hmm_error());
}

void case_pairs(struct check_run *run)
{
	with_attr(run, NULL);
}

void case_pairs_no_perf(struct check_run *run)
{
	struct hmm_attr attr = {.size = sizeof(attr), .flags = HMM_NO_PERF};

	with_attr(run, &attr);
}
