// SPDX-License-Identifier: GPL-2.0-or-later
/* What do scan, check and explain do with one tree? */
#include <stdlib.h>

#include "command.h"
#include "scan/run.h"
#include "changes/history.h"

struct scan *command_scan(struct options *o, const char *dir, struct policy *p,
			  struct judgement *j)
{
	struct scan_options so = {.cache = o->cache, .refresh = o->refresh};
	struct strings releases = {0};
	struct scan *s;
	bool known;

	policy_load(p, dir, o->policy);
	s = scan_dir(dir, p, &so);
	known = history_of_tree(s, &releases);
	judge(s, known ? &releases : NULL, j);
	free(releases.v);
	if (!s->stats.files)
		die("%s holds no source that exportgate reads; is it the right folder?",
		    dir);
	if (o->stats)
		report_stats(s);
	return s;
}

/* What could not be read, or was given up, is never taken for kept. */
static bool says_what_is_unknown(const struct scan *s)
{
	size_t i;

	for (i = 0; i < s->given_up.n; i++)
		warn("%s", s->given_up.v[i]);
	if (*s->tree->unread)
		warn("%u files or folders could not be read, so nobody knows; mend that",
		     *s->tree->unread);
	return s->given_up.n || *s->tree->unread;
}

static int finish(struct scan *s, struct policy *p, struct judgement *j)
{
	int status = j->failures ? EXIT_VIOLATIONS : EXIT_OK;

	fflush(stdout);
	if (says_what_is_unknown(s))
		status = EXIT_TROUBLE;
	judgement_free(j);
	scan_free(s);
	policy_free(p);
	return status;
}

/* What was not understood, and what to do about it. */
static void say_notes(const struct scan *s)
{
	size_t i;

	for (i = 0; i < s->notes.n; i++)
		fprintf(stderr, "exportgate: note: %s\n", s->notes.v[i]);
}

/*
 * Nothing to judge is no clean bill: status 3, and what to put into the policy.
 */
static bool nothing_to_judge(const struct scan *s)
{
	size_t i;

	for (i = 0; i < s->exports.n; i++)
		if (s->exports.v[i].judged)
			return false;
	if (s->exports.n)
		warn("none of %zu exports is judged: no [exports] judge-node of the policy "
		     "fits "
		     "the nodes that they are in",
		     s->exports.n);
	else
		warn("no export was found: there is nothing to judge. If the tree has any, "
		     "say in "
		     "its policy (%s) how: [tree] kind = linux or library; [exports] "
		     "version-script = FILE, export-list = FILE, attribute = WORD or macro "
		     "= NAME "
		     "plain; 'exportgate init' writes one to begin with",
		     POLICY_FILE);
	return true;
}

int cmd_scan(struct options *o)
{
	struct judgement j;
	struct policy p;
	struct scan *s;
	bool nothing;
	int status;

	if (o->nargs > 1 || (!o->nargs && !o->elf)) {
		fprintf(stderr, "exportgate: scan needs one TREE, or --elf DIR\n");
		return EXIT_USAGE;
	}
	if (o->elf)
		return elf_command(o);
	s = command_scan(o, o->args[0], &p, &j);
	if (o->json)
		report_json(s, &j, true);
	else if (o->sarif)
		report_sarif(&j);
	else
		report_table(s, &j, o->all);
	fflush(stdout);
	say_notes(s);
	nothing = nothing_to_judge(s);
	status = finish(s, &p, &j);
	return nothing ? EXIT_TROUBLE : status;
}

int cmd_check(struct options *o)
{
	const char *dir = o->nargs ? o->args[0] : o->tree;
	struct judgement j;
	struct policy p;
	struct scan *s;
	bool nothing;
	int status;

	if (o->nargs > 1) {
		fprintf(stderr, "exportgate: check takes one TREE at most\n");
		return EXIT_USAGE;
	}
	s = command_scan(o, dir, &p, &j);
	if (o->json)
		report_json(s, &j, false);
	else if (o->sarif)
		report_sarif(&j);
	else
		report_violations(&j);
	fflush(stdout);
	fprintf(stderr, "exportgate: %zu exports, %zu failures, %zu warnings\n",
		s->exports.n, j.failures, j.warnings);
	nothing = nothing_to_judge(s);
	status = finish(s, &p, &j);
	return nothing ? EXIT_TROUBLE : status;
}

int cmd_explain(struct options *o)
{
	struct judgement j;
	struct policy p;
	struct scan *s;
	bool found;

	if (o->nargs < 1 || o->nargs > 2) {
		fprintf(stderr,
			"exportgate: explain needs a SYMBOL, and may have a TREE\n");
		return EXIT_USAGE;
	}
	s = command_scan(o, o->nargs == 2 ? o->args[1] : o->tree, &p, &j);
	found = report_explain(s, &j, o->args[0]);
	if (!found)
		fprintf(stderr, "exportgate: %s is no export of this tree\n", o->args[0]);
	finish(s, &p, &j);
	return found ? EXIT_OK : EXIT_VIOLATIONS;
}
