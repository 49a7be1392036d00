// SPDX-License-Identifier: GPL-2.0-or-later
/* What does series print? */
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "command.h"
#include "scan/run.h"
#include "changes/series.h"
#include "reports/text.h"

static void print_changes(const struct series *s)
{
	size_t i, k;

	for (i = 0; i < s->v.n; i++) {
		const struct series_change *sc = &s->v.v[i];

		printf("%s (%s)\n", sc->c->title, sc->c->author);
		for (k = 0; k < sc->exports.n; k++) {
			const struct series_export *e = &sc->exports.v[k];

			printf("  %c %s  %s  %s:%u\n", e->added ? '+' : '-', e->name,
			       export_kind_name(e->kind), e->file, e->line);
		}
		if (!sc->exports.n)
			puts("  no export added or removed");
	}
}

/* Each rule's verdict on the series: fails, or is kept by all added exports. */
static void print_verdicts(const struct series *s, const struct judgement *j)
{
	static const char *const levels[] = {"off", "warn", "on"};
	size_t i, n;
	int r;

	for (r = 0; r < RULE_COUNT; r++) {
		for (i = n = 0; i < j->violations.n; i++)
			n += j->violations.v[i].rule == (enum rule)r;
		printf("rule %-24s %-5s ", rule_texts[r].name, levels[s->policy->level[r]]);
		if (s->policy->level[r] == LEVEL_OFF)
			puts("-");
		else if (n)
			printf("%zu violation%s\n", n, n == 1 ? "" : "s");
		else if (!s->history && (r == RULE_DEADLINE || r == RULE_NO_NEW))
			puts("not judged: the tree has no release tags");
		else
			puts("kept");
	}
}

static void print_json(const struct series *s, const struct judgement *j)
{
	json_t *root = json_object(), *changes = json_array(), *bad = json_array();
	size_t i, k;

	for (i = 0; i < s->v.n; i++) {
		const struct series_change *sc = &s->v.v[i];
		json_t *o = json_object(), *exports = json_array();

		for (k = 0; k < sc->exports.n; k++) {
			const struct series_export *e = &sc->exports.v[k];

			json_array_append_new(
				exports,
				json_pack("{s:s, s:s, s:s, s:s, s:i}", "change",
					  e->added ? "added" : "removed", "symbol", e->name,
					  "kind", export_kind_name(e->kind), "file",
					  e->file, "line", (int)e->line));
		}
		json_object_set_new(o, "title", json_text(sc->c->title));
		json_object_set_new(o, "exports", exports);
		json_array_append_new(changes, o);
	}
	for (i = 0; i < j->violations.n; i++) {
		const struct violation *v = &j->violations.v[i];

		json_array_append_new(bad, json_pack("{s:s, s:s, s:s, s:i, s:s}", "rule",
						     rule_texts[v->rule].name, "symbol",
						     v->symbol, "file", v->file, "line",
						     (int)v->line, "reason", v->reason));
	}
	json_object_set_new(root, "changes", changes);
	json_object_set_new(root, "violations", bad);
	json_dumpf(root, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(root);
}

int cmd_series(struct options *o)
{
	struct judgement j;
	struct series s;
	struct policy p;
	struct stat st;
	bool good;
	int status;

	if (o->nargs != 1) {
		fprintf(stderr, "exportgate: series needs one RANGE (A..B) or one MBOX\n");
		return EXIT_USAGE;
	}
	policy_load(&p, o->tree, o->policy);
	if (!stat(o->args[0], &st))
		good = series_from_mbox(&s, o->tree, o->args[0], &p);
	else if (strstr(o->args[0], ".."))
		good = series_from_range(&s, o->tree, o->args[0], &p);
	else
		die("'%s' is neither a mailbox nor a range of commits (FIRST..LAST)",
		    o->args[0]);
	if (!good) {
		series_free(&s);
		policy_free(&p);
		return EXIT_TROUBLE;
	}
	series_judge(&s, &j);
	if (o->json) {
		print_json(&s, &j);
	} else if (o->sarif) {
		report_sarif(&j);
	} else {
		print_changes(&s);
		print_verdicts(&s, &j);
		report_violations(&j);
	}
	status = j.failures ? EXIT_VIOLATIONS : EXIT_OK;
	judgement_free(&j);
	series_free(&s);
	policy_free(&p);
	return status;
}
