// SPDX-License-Identifier: GPL-2.0-or-later
/* How is what was found shown to people and to other programs? */
#include <jansson.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "report.h"
#include "text.h"

static const char *module_name(const struct scan *s, u32 file)
{
	return s->first[file] < s->first[file + 1]
		       ? s->modules.v[s->member[s->first[file]]].name
		       : "-";
}

static const char *consumer_name(const struct scan *s, const struct consumer *c)
{
	return c->note ? "(implicit)" : s->modules.v[c->module].name;
}

void report_consumers(const struct scan *s, const struct export *e, struct buf *b)
{
	u32 i;

	if (!e->nconsumers) {
		buf_puts(b, e->waiver ? "none (waived)" : "none");
		return;
	}
	for (i = 0; i < e->nconsumers && i < 3; i++)
		buf_printf(b, "%s%s", i ? ", " : "", consumer_name(s, &e->consumers[i]));
	if (e->nconsumers > 3)
		buf_printf(b, " and %u more", e->nconsumers - 3);
}

static bool has_verdict(const struct export *e)
{
	int i;

	for (i = 0; i < RULE_COUNT; i++)
		if (e->verdict[i].level != LEVEL_OFF)
			return true;
	return false;
}

static void print_rules(const struct export *e)
{
	const char *sep = "";
	int i;

	for (i = 0; i < RULE_COUNT; i++)
		if (e->verdict[i].level != LEVEL_OFF) {
			printf("%s%s%s", sep, rule_texts[i].name,
			       e->verdict[i].level == LEVEL_WARN ? "?" : "");
			sep = ",";
		}
	if (!*sep)
		printf("%s", e->judged ? "ok" : "not judged");
}

static u32 home_of(const struct export *e)
{
	return e->source != NO_FILE ? e->source : e->file;
}

void report_table(const struct scan *s, const struct judgement *j, bool all)
{
	size_t i, shown = 0, unused = 0, judged = 0;
	struct buf b = {0};

	for (i = 0; i < s->exports.n; i++) {
		const struct export *e = &s->exports.v[i];
		char *path;

		judged += e->judged;
		unused += e->judged && !e->nconsumers;
		if (!all && !has_verdict(e))
			continue;
		if (!shown++)
			printf("%-36s %-10s %-28s %s\n", "SYMBOL", "KIND", "VERDICT",
			       "MODULE  PLACE  CONSUMERS");
		printf("%-36s %-10s ", e->name, export_kind_name(e->kind));
		print_rules(e);
		b.n = 0;
		report_consumers(s, e, &b);
		path = text_of(scan_path(s, e->file));
		printf("  %s  %s:%u  %s%s%s\n", module_name(s, home_of(e)), path, e->line,
		       *e->ns ? "ns=" : "", e->ns, *e->ns ? " " : "");
		printf("%-36s   used by %s\n", "", b.s);
		free(path);
	}
	printf("%zu exports, %zu judged, %zu without consumer; %zu failures, %zu "
	       "warnings\n",
	       s->exports.n, judged, unused, j->failures, j->warnings);
	buf_free(&b);
}

void report_violations(const struct judgement *j)
{
	size_t i;

	for (i = 0; i < j->violations.n; i++) {
		const struct violation *v = &j->violations.v[i];
		char *file = text_of(v->file), *symbol = text_of(v->symbol);
		char *reason = text_of(v->reason);

		printf("%s:%u: %s: %s: %s: %s; %s\n", file, v->line,
		       v->level == LEVEL_ON ? "error" : "warning", rule_texts[v->rule].name,
		       symbol, reason, rule_texts[v->rule].remedy);
		free(file);
		free(symbol);
		free(reason);
	}
}

void report_stats(const struct scan *s)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	fprintf(stderr,
		"scan: %u files, %u read, %.1f MB; walk %.2f s, headers %.2f s, sources "
		"%.2f s, "
		"link %.2f s; %zu modules, %u sources in none; %ld MiB of memory at most\n",
		s->stats.files, s->stats.read, s->stats.bytes / 1e6, s->stats.walk,
		s->stats.headers, s->stats.sources, s->stats.link, s->modules.n,
		s->stats.unbuilt, ru.ru_maxrss / 1024);
}

/* ---------------------------------------------------------------- JSON ------------- */

static json_t *json_consumer(const struct scan *s, const struct consumer *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "module", json_text(consumer_name(s, c)));
	if (c->note) {
		json_object_set_new(o, "reason", json_text(c->note));
		return o;
	}
	json_object_set_new(o, "file", json_text(scan_path(s, c->file)));
	json_object_set_new(o, "line", json_integer(c->line));
	if (c->through) {
		const struct def *d = &s->defs.v[c->through - 1];
		char *at = xasprintf("%s (%s:%u)",
				     facts_str(&s->tree->files.v[d->file].facts, d->str),
				     scan_path(s, d->file), d->line);

		json_object_set_new(o, "through", json_text(at));
		free(at);
	}
	return o;
}

static json_t *json_export(const struct scan *s, const struct export *e)
{
	json_t *o = json_object(), *consumers = json_array(), *rules = json_object();
	json_t *modules = json_array();
	u32 i, home = home_of(e);

	json_object_set_new(o, "symbol", json_text(e->name));
	json_object_set_new(o, "kind", json_text(export_kind_name(e->kind)));
	json_object_set_new(o, "via", json_text(e->via));
	if (*e->ns)
		json_object_set_new(o,
				    e->kind & EXP_NS_MODULES ? "for_modules" : "namespace",
				    json_text(e->ns));
	json_object_set_new(o, "file", json_text(scan_path(s, e->file)));
	json_object_set_new(o, "line", json_integer(e->line));
	if (e->source != NO_FILE) {
		json_object_set_new(o, "source", json_text(scan_path(s, e->source)));
		json_object_set_new(o, "source_line", json_integer(e->source_line));
	}
	for (i = s->first[home]; i < s->first[home + 1]; i++)
		json_array_append_new(modules, json_text(s->modules.v[s->member[i]].name));
	json_object_set_new(o, "modules", modules);
	for (i = 0; i < e->nconsumers; i++)
		json_array_append_new(consumers, json_consumer(s, &e->consumers[i]));
	json_object_set_new(o, "consumers", consumers);
	json_object_set_new(o, "judged", json_boolean(e->judged));
	if (e->kind & EXP_CONDITIONAL)
		json_object_set_new(o, "conditional", json_true());
	for (i = 0; i < RULE_COUNT; i++)
		if (e->verdict[i].level != LEVEL_OFF)
			json_object_set_new(rules, rule_texts[i].name,
					    json_text(e->verdict[i].reason));
	json_object_set_new(o, "violations", rules);
	if (e->waiver)
		json_object_set_new(o, "waiver", json_text(e->waiver));
	return o;
}

/* An export a line, and one at a time: all of a large tree's would take gigabytes. */
void report_json(const struct scan *s, const struct judgement *j, bool all)
{
	const char *between = "\n";
	size_t i;

	fputs("{\"exports\": [", stdout);
	for (i = 0; i < s->exports.n; i++) {
		json_t *o;

		if (!all && !has_verdict(&s->exports.v[i]))
			continue;
		fputs(between, stdout);
		o = json_export(s, &s->exports.v[i]);
		json_dumpf(o, stdout, JSON_PRESERVE_ORDER);
		json_decref(o);
		between = ",\n";
	}
	printf("\n],\n\"total\": %zu,\n\"failures\": %zu,\n\"warnings\": %zu}\n",
	       s->exports.n, j->failures, j->warnings);
}

/* ---------------------------------------------------------------- SARIF ------------ */

static json_t *sarif_rules(void)
{
	json_t *rules = json_array();
	int i;

	for (i = 0; i < RULE_COUNT; i++)
		json_array_append_new(rules,
				      json_pack("{s:s, s:{s:s}, s:{s:s}}", "id",
						rule_texts[i].name, "shortDescription",
						"text", rule_texts[i].asks, "help", "text",
						rule_texts[i].remedy));
	return rules;
}

static json_t *sarif_result(const struct violation *v)
{
	char *text = xasprintf("%s: %s", v->symbol, v->reason), *uri = text_uri(v->file);
	json_t *o = json_pack("{s:s, s:i, s:s, s:{s:o}, s:[{s:{s:{s:s}, s:{s:i}}}]}",
			      "ruleId", rule_texts[v->rule].name, "ruleIndex", (int)v->rule,
			      "level", v->level == LEVEL_ON ? "error" : "warning",
			      "message", "text", json_text(text), "locations",
			      "physicalLocation", "artifactLocation", "uri", uri, "region",
			      "startLine", v->line ? (int)v->line : 1);

	free(text);
	free(uri);
	return o;
}

void report_sarif(const struct judgement *j)
{
	json_t *results = json_array(), *root;
	size_t i;

	for (i = 0; i < j->violations.n; i++)
		json_array_append_new(results, sarif_result(&j->violations.v[i]));
	root = json_pack("{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}}, s:o}]}", "$schema",
			 "https://json.schemastore.org/sarif-2.1.0.json", "version",
			 "2.1.0", "runs", "tool", "driver", "name", "exportgate", "version",
			 EXPORTGATE_VERSION, "rules", sarif_rules(), "results", results);
	json_dumpf(root, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(root);
}

/* ---------------------------------------------------------------- explain ---------- */

static void explain_consumer(const struct scan *s, const struct consumer *c)
{
	const struct def *d;

	if (c->note) {
		printf("    %s\n", c->note);
		return;
	}
	printf("    %s:%u  in %s", scan_path(s, c->file), c->line,
	       s->modules.v[c->module].name);
	if (c->through) {
		d = &s->defs.v[c->through - 1];
		printf(", through %s (%s:%u)",
		       facts_str(&s->tree->files.v[d->file].facts, d->str),
		       scan_path(s, d->file), d->line);
	}
	putchar('\n');
}

static void explain_verdicts(const struct scan *s, const struct export *e)
{
	static const char *const levels[] = {"off", "warning", "failure"};
	int i;

	for (i = 0; i < RULE_COUNT; i++) {
		if (!e->verdict[i].reason)
			continue;
		printf("  %s (%s): %s\n    asks that %s\n    to do: %s\n",
		       rule_texts[i].name, levels[e->verdict[i].level],
		       e->verdict[i].reason, rule_texts[i].asks, rule_texts[i].remedy);
	}
	if (!e->judged)
		printf("  not judged: the policy's judge-node does not name %s\n", e->via);
	else if (e->waiver)
		printf("  waived: %s\n", e->waiver);
}

/* Uses of the name in the exporting module: they are why a reader thinks it is used. */
static void explain_own_uses(struct scan *s, const struct export *e)
{
	u64 name = hash_str(e->name);
	u32 i, k, m, home = home_of(e), shown = 0;

	for (i = 0; i < s->tree->files.n; i++) {
		const struct facts *f = &s->tree->files.v[i].facts;
		const struct fact_use *use = f->a[FA_USE];
		bool own = false;

		if (!s->tree->files.v[i].has_facts)
			continue;
		for (m = s->first[home]; m < s->first[home + 1]; m++)
			own |= scan_file_in(s, i, s->member[m]);
		for (k = 0; own && k < f->n[FA_USE] && shown < 10; k++)
			if (use[k].name == name)
				printf("%s    %s:%u  in its own module\n",
				       shown++ ? "" : "  does not count:\n",
				       scan_path(s, i), use[k].line);
	}
}

bool report_explain(struct scan *s, const struct judgement *j, const char *symbol)
{
	bool found = false;
	size_t i;
	u32 k;

	for (i = 0; i < s->exports.n; i++) {
		const struct export *e = &s->exports.v[i];

		if (strcmp(e->name, symbol) != 0)
			continue;
		found = true;
		printf("%s: exported by %s at %s:%u, in module %s\n", e->name, e->via,
		       scan_path(s, e->file), e->line, module_name(s, home_of(e)));
		if (e->source != NO_FILE)
			printf("  defined at %s:%u\n", scan_path(s, e->source),
			       e->source_line);
		if (*e->ns)
			printf("  %s: %s\n",
			       e->kind & EXP_NS_MODULES ? "only for modules" : "namespace",
			       e->ns);
		printf("  %u consumer%s\n", e->nconsumers, e->nconsumers == 1 ? "" : "s");
		for (k = 0; k < e->nconsumers && k < 20; k++)
			explain_consumer(s, &e->consumers[k]);
		if (e->nconsumers > 20)
			printf("    and %u more\n", e->nconsumers - 20);
		if (!e->nconsumers)
			explain_own_uses(s, e);
		explain_verdicts(s, e);
	}
	return found;
}
