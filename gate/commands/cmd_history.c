// SPDX-License-Identifier: GPL-2.0-or-later
/* What do history and due print? */
#include <jansson.h>
#include <stdlib.h>

#include "command.h"
#include "changes/history.h"
#include "reports/html.h"
#include "reports/text.h"

static void load(struct options *o, struct history *h, struct policy *p)
{
	const char *dir = o->tree, *eq;

	memset(h, 0, sizeof(*h));
	/* the newest release's policy is the one in force */
	if (o->nargs && (eq = strchr(o->args[o->nargs - 1], '=')))
		dir = eq + 1;
	policy_load(p, dir, o->policy);
	if (o->nargs)
		history_of_folders(h, o->args, o->nargs, p, o->cache);
	else if (!history_of_tags(h, o->tree, p))
		die("%s is no git repository with tags that match '%s'; name the releases "
		    "as "
		    "NAME=DIR, or set tags in the policy's [releases]",
		    o->tree, p->tags);
}

static void print_tally(const struct tally *t)
{
	printf("%-32s %7u %7u %7u %7u %7u %8u %7u %10u %7u\n", t->subsystem, t->exports,
	       t->added, t->in_time, t->late, t->waiting, t->dangling, t->removed,
	       t->unconsumed, t->not_gpl);
}

static void print_exports(const struct history *h)
{
	static const char marks[] = {'.', '+', '-'};
	size_t i, r;

	printf("\n%-40s %-10s %-10s %s\n", "SYMBOL", "ADDED", "CONSUMED",
	       "STATE (. absent, + consumed, - dangling)");
	for (i = 0; i < h->exports.n; i++) {
		const struct past_export *e = &h->exports.v[i];

		printf("%-40s %-10s %-10s ", e->name, h->releases.v[e->added],
		       e->consumed < 0 ? "never" : h->releases.v[e->consumed]);
		for (r = 0; r < h->releases.n; r++)
			putchar(marks[e->state[r]]);
		putchar('\n');
	}
}

static void print_table(const struct history *h, const struct policy *p, bool all)
{
	struct tallies t = {0};
	struct tally total;
	size_t i;

	history_tally(h, p, &t, &total);
	printf("%-32s %7s %7s %7s %7s %7s %8s %7s %10s %7s\n", "SUBSYSTEM", "EXPORTS",
	       "ADDED", "IN TIME", "LATE", "WAITING", "DANGLING", "REMOVED", "UNCONSUMED",
	       "NOT GPL");
	for (i = 0; i < t.n; i++)
		print_tally(&t.v[i]);
	print_tally(&total);
	if (all)
		print_exports(h);
	free(t.v);
}

static json_t *json_of(const struct history *h, const struct past_export *e)
{
	json_t *o = json_object(), *dangled = json_array();
	size_t r;

	json_object_set_new(o, "symbol", json_text(e->name));
	json_object_set_new(o, "subsystem", json_text(e->subsystem));
	json_object_set_new(o, "file", json_text(e->file));
	json_object_set_new(o, "added", json_text(h->releases.v[e->added]));
	json_object_set_new(o, "consumed",
			    e->consumed < 0 ? json_null()
					    : json_text(h->releases.v[e->consumed]));
	for (r = 0; r < h->releases.n; r++)
		if (e->state[r] == STATE_DANGLING)
			json_array_append_new(dangled, json_text(h->releases.v[r]));
	json_object_set_new(o, "dangled", dangled);
	json_object_set_new(o, "gpl", json_boolean(e->gpl));
	return o;
}

static void print_json(const struct history *h)
{
	json_t *root = json_object(), *exports = json_array(), *releases = json_array();
	size_t i;

	for (i = 0; i < h->releases.n; i++)
		json_array_append_new(releases, json_text(h->releases.v[i]));
	for (i = 0; i < h->exports.n; i++)
		json_array_append_new(exports, json_of(h, &h->exports.v[i]));
	json_object_set_new(root, "releases", releases);
	json_object_set_new(root, "exports", exports);
	json_dumpf(root, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(root);
}

int cmd_history(struct options *o)
{
	struct history h;
	struct policy p;

	load(o, &h, &p);
	if (o->html)
		history_html(&h, &p, o->html);
	if (o->json)
		print_json(&h);
	else
		print_table(&h, &p, o->all);
	if (o->stats)
		fprintf(stderr, "history: %zu releases, %zu exports\n", h.releases.n,
			h.exports.n);
	history_free(&h);
	policy_free(&p);
	return EXIT_OK;
}

static const char *waived(const struct waivers *w, const char *symbol)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->v[i].complete && !w->v[i].expired &&
		    str_match(w->v[i].symbol, symbol))
			return w->v[i].reason;
	return NULL;
}

int cmd_due(struct options *o)
{
	const char *dir = o->tree, *eq, *commit;
	struct waivers w = {0};
	struct history h;
	struct policy p;
	size_t i, due = 0, len;
	char *path, *text;

	load(o, &h, &p);
	if (o->nargs && (eq = strchr(o->args[o->nargs - 1], '=')))
		dir = eq + 1;
	path = xasprintf("%s/%s", dir, p.waivers);
	text = read_file(path, &len);
	if (text)
		waivers_parse(&w, p.waivers, text, len, today(), &h.releases);
	for (i = 0; i < h.exports.n; i++) {
		const struct past_export *e = &h.exports.v[i];

		if (!past_export_is_due(&h, e, p.grace) || waived(&w, e->name))
			continue;
		due++;
		commit = history_find_commit(&h, e);
		printf("%s: added in %s at %s:%u, no consumer until %s; revert %s\n",
		       e->name, h.releases.v[e->added], e->file, e->line,
		       h.releases.v[h.releases.n - 1],
		       commit   ? commit
		       : h.repo ? "(the commit is not between the two tags)"
				: "(commit unknown: these releases are folders)");
	}
	fprintf(stderr, "exportgate: %zu reverts are due\n", due);
	free(text);
	free(path);
	waivers_free(&w);
	history_free(&h);
	policy_free(&p);
	return due ? EXIT_VIOLATIONS : EXIT_OK;
}
