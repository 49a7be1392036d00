// SPDX-License-Identifier: GPL-2.0-or-later
/* Which rules does each export keep? */
#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#include "judge.h"

/* EXPORTGATE_TODAY lets a test stand on any day. */
const char *today(void)
{
	static char text[16];
	const char *set = getenv("EXPORTGATE_TODAY");
	time_t now = time(NULL);
	struct tm tm;

	if (set)
		return set;
	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d", &tm);
	return text;
}

/* ---------------------------------------------------------------- waivers ---------- */

static bool is_date(const char *s)
{
	return strlen(s) == 10 && s[4] == '-' && s[7] == '-' && isdigit((u8)s[0]) &&
	       strspn(s, "0123456789-") == 10;
}

/* A date or what may be a release's name; "never" and dates of other forms are neither. */
static bool is_expiry(const char *s)
{
	size_t digits = strspn(s, "0123456789");
	bool like_date = digits && (s[digits] == '-' || s[digits] == '/' ||
				    (digits == 2 && s[2] == '.' && strlen(s) == 10));

	return is_date(s) || (!like_date && strpbrk(s, "0123456789") && !strchr(s, ' '));
}

static void end_waiver(struct waivers *w, struct waiver *one, const char *day,
		       const struct strings *releases)
{
	size_t i;

	if (one->symbol) {
		one->complete = one->reason && one->owner && one->expires &&
				is_expiry(one->expires);
		if (one->expires && is_date(one->expires))
			one->expired = strcmp(one->expires, day) <= 0;
		for (i = 0; one->expires && releases && i < releases->n; i++)
			one->expired |= !strcmp(one->expires, releases->v[i]);
		vec_push(w, *one);
	}
	memset(one, 0, sizeof(*one));
}

static const char *value_of(struct waivers *w, const char *line, size_t n, const char *key)
{
	size_t k = strlen(key);

	if (n <= k || strncasecmp(line, key, k) != 0)
		return NULL;
	line += k;
	n -= k;
	while (n && isspace((u8)*line))
		line++, n--;
	while (n && isspace((u8)line[n - 1]))
		n--;
	return n ? arena_strndup(&w->arena, line, n) : NULL;
}

void waivers_parse(struct waivers *w, const char *path, const char *text, size_t len,
		   const char *day, const struct strings *releases)
{
	const char *end = text + len, *nl, *v;
	struct waiver one = {0};
	u32 line = 0;

	w->path = path;
	for (; text < end; text = nl + 1) {
		size_t n;

		line++;
		nl = memchr(text, '\n', end - text);
		if (!nl)
			nl = end;
		n = nl - text;
		if (n && *text == '#')
			continue;
		v = value_of(w, text, n, "symbol:");
		if (v || !n)
			end_waiver(w, &one, day, releases);
		if (v) {
			one.symbol = v;
			one.line = line;
		} else if ((v = value_of(w, text, n, "reason:"))) {
			one.reason = v;
		} else if ((v = value_of(w, text, n, "owner:"))) {
			one.owner = v;
		} else if ((v = value_of(w, text, n, "expires:"))) {
			one.expires = v;
		}
	}
	end_waiver(w, &one, day, releases);
}

void waivers_load(struct waivers *w, const struct scan *s, const struct strings *releases)
{
	char *path = xasprintf("%s/%s", s->tree->root, s->policy->waivers);
	size_t len;
	char *text = s->tree->repo ? NULL : read_file(path, &len);

	if (text)
		waivers_parse(w, s->policy->waivers, text, len, today(), releases);
	free(text);
	free(path);
}

void waivers_free(struct waivers *w)
{
	free(w->v);
	arena_free(&w->arena);
}

static struct waiver *find_waiver(struct waivers *w, const char *symbol)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->v[i].complete && !w->v[i].expired &&
		    str_match(w->v[i].symbol, symbol))
			return &w->v[i];
	return NULL;
}

/* ---------------------------------------------------------------- rules ------------ */

void judge_add(struct judgement *j, enum rule rule, enum level level, const char *file,
	       u32 line, const char *symbol, const char *reason)
{
	struct violation v = {rule, level, file, line, symbol, reason};

	if (level == LEVEL_OFF)
		return;
	if (level == LEVEL_ON)
		j->failures++;
	else
		j->warnings++;
	vec_push(&j->violations, v);
}

static void violate(struct scan *s, struct judgement *j, struct export *e, enum rule rule,
		    const char *reason)
{
	e->verdict[rule] = (struct verdict){s->policy->level[rule], reason};
	judge_add(j, rule, s->policy->level[rule], scan_path(s, e->file), e->line, e->name,
		  reason);
}

static bool is_overdue(const struct scan *s, const struct export *e,
		       const struct strings *releases)
{
	return releases && e->judged && !e->nconsumers && !e->waiver && e->added >= 0 &&
	       e->added + (int)s->policy->grace <= (int)releases->n - 1;
}

/* Not in the newest release: it is being added. */
static bool is_new(const struct export *e, const struct strings *releases)
{
	return releases && releases->n && (e->added < 0 || e->added >= (int)releases->n);
}

static const char *own_modules(struct judgement *j, const struct scan *s,
			       const struct export *e)
{
	u32 file = e->source != NO_FILE ? e->source : e->file;
	u32 i = s->first[file];

	if (i == s->first[file + 1])
		return "(no module)";
	if (i + 1 == s->first[file + 1])
		return s->modules.v[s->member[i]].name;
	return arena_printf(&j->arena, "%s and others", s->modules.v[s->member[i]].name);
}

static void judge_export(struct scan *s, struct judgement *j, struct export *e,
			 const struct strings *releases)
{
	bool gpl = (e->kind & EXP_KIND_MASK) == EXP_GPL;
	struct waiver *w;

	if (!e->judged)
		return;
	if (!gpl && !(e->kind & EXP_TESTS))
		violate(s, j, e, RULE_GPL_ONLY,
			arena_printf(&j->arena, "exported by %s, to modules of any licence",
				     e->via));
	if (e->nconsumers)
		return;
	w = find_waiver(&j->waivers, e->name);
	if (w) {
		w->used = true;
		e->waiver = w->reason;
		return;
	}
	if (is_overdue(s, e, releases))
		violate(s, j, e, RULE_DEADLINE,
			arena_printf(
				&j->arena,
				"added in %s, no consumer in it nor in the %u release%s "
				"after it; a revert is due",
				releases->v[e->added], s->policy->grace,
				s->policy->grace == 1 ? "" : "s"));
	violate(s, j, e, RULE_CONSUMED,
		arena_printf(&j->arena, "nothing in the tree outside %s uses it",
			     own_modules(j, s, e)));
}

static void judge_new_ones(struct scan *s, struct judgement *j,
			   const struct strings *releases)
{
	struct map overdue = {0}; /* subsystem -> 1 + an export */
	size_t i;
	u32 *at;

	for (i = 0; i < s->exports.n; i++)
		if (is_overdue(s, &s->exports.v[i], releases))
			map_get(&overdue,
				hash_str(policy_subsystem(
					s->policy, scan_path(s, s->exports.v[i].file))),
				i + 1);
	for (i = 0; i < s->exports.n; i++) {
		struct export *e = &s->exports.v[i];
		const char *sub;

		if (!e->judged || !is_new(e, releases))
			continue;
		sub = policy_subsystem(s->policy, scan_path(s, e->file));
		at = map_find(&overdue, hash_str(sub));
		if (at)
			violate(s, j, e, RULE_NO_NEW,
				arena_printf(
					&j->arena,
					"subsystem %s has exports past their deadline, "
					"such as %s",
					sub, s->exports.v[*at - 1].name));
	}
	map_free(&overdue);
}

static void judge_waivers(struct scan *s, struct judgement *j)
{
	size_t i;

	for (i = 0; i < j->waivers.n; i++) {
		const struct waiver *w = &j->waivers.v[i];
		const char *why = NULL;

		if (!w->complete)
			why = arena_printf(&j->arena, "the waiver has no %s",
					   !w->reason  ? "reason"
					   : !w->owner ? "owner"
						       : "expiry that is a date "
							 "(YYYY-MM-DD) or a release");
		else if (w->expired)
			why = arena_printf(&j->arena, "the waiver of %s expired (%s)",
					   w->owner, w->expires);
		if (why)
			judge_add(j, RULE_WAIVER, s->policy->level[RULE_WAIVER],
				  j->waivers.path, w->line, w->symbol, why);
	}
}

static int by_place(const void *a, const void *b)
{
	const struct violation *x = a, *y = b;
	int d = strcmp(x->file, y->file);

	if (d)
		return d;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->rule != y->rule)
		return x->rule < y->rule ? -1 : 1;
	return strcmp(x->symbol, y->symbol);
}

void judge(struct scan *s, const struct strings *releases, struct judgement *j)
{
	size_t i;

	memset(j, 0, sizeof(*j));
	waivers_load(&j->waivers, s, releases);
	for (i = 0; i < s->exports.n; i++)
		judge_export(s, j, &s->exports.v[i], releases);
	if (releases)
		judge_new_ones(s, j, releases);
	judge_waivers(s, j);
	if (j->violations.n)
		qsort(j->violations.v, j->violations.n, sizeof(*j->violations.v), by_place);
}

void judgement_free(struct judgement *j)
{
	free(j->violations.v);
	waivers_free(&j->waivers);
	arena_free(&j->arena);
}
