// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does each change of a series keep the rules of merge staging?
 *
 * The exports of a change are the difference between what the files that it touches
 * export before and after it, so a moved export is neither added nor removed. Who uses
 * them is asked of the whole tree after the last change: posted together means anywhere
 * in the series.
 */
#include <ctype.h>
#include <stdlib.h>

#include "buildfiles/members.h"
#include "series.h"

/* ---------------------------------------------------------------- exports ---------- */

struct names {
	struct map index;
	VEC(struct series_export) v;
};

struct collector {
	struct series *s;
	struct names *names;
	const char *path;
};

static void add_name(struct collector *c, const char *name, u32 kind, u32 line)
{
	struct series_export e = {.file = c->path, .kind = kind, .line = line};
	u64 key = hash_str(name) ^ ((u64)(kind & EXP_TRACEPOINT) << 20);
	u32 *at = map_get(&c->names->index, key, UINT32_MAX);

	if (*at != UINT32_MAX)
		return;
	*at = c->names->v.n;
	e.name = arena_strndup(&c->s->arena, name, strlen(name));
	vec_push(&c->names->v, e);
}

static void add_script_name(void *arg, const char *name, const char *node, u32 line)
{
	struct collector *c = arg;
	const struct policy *p = c->s->policy;
	u32 kind = EXP_LIBRARY;
	bool judged = !p->judge.n;
	size_t i;

	for (i = 0; i < p->judge.n; i++)
		judged |= str_match(p->judge.v[i], node);
	for (i = 0; i < p->gpl.n; i++)
		if (str_match(p->gpl.v[i], node))
			kind |= EXP_GPL;
	if (judged)
		add_name(c, name, kind, line);
}

static bool is_script(const struct policy *p, const char *path)
{
	if (p->scripts.n || p->lists.n)
		return strings_match(&p->scripts, path) || strings_match(&p->lists, path);
	return file_kind_of(path) == FILE_SCRIPT;
}

static void collect(struct series *s, struct names *names, const char *path,
		    const char *text, size_t len)
{
	struct collector c = {s, names, path};
	enum file_kind kind = file_kind_of(path);
	const struct fact_export *e;
	struct extractor *x;
	struct facts f;
	u32 i;

	if (!text)
		return;
	if (is_script(s->policy, path)) {
		if (s->scan->kind == KIND_LIBRARY)
			library_script_names(text, len, add_script_name, &c);
		return;
	}
	if (kind != FILE_C && kind != FILE_ASM && kind != FILE_HEADER)
		return;
	x = extractor_create(&s->scan->prims);
	if (kind != FILE_HEADER)
		extractor_use_templates(x, &s->scan->templates);
	facts_extract(x,
		      kind == FILE_C     ? TEXT_SOURCE
		      : kind == FILE_ASM ? TEXT_ASM
					 : TEXT_HEADER,
		      text, len, &s->arena, &f);
	e = f.a[FA_EXPORT];
	for (i = 0; i < f.n[FA_EXPORT]; i++)
		if (!(e[i].kind & EXP_UNNAMED))
			add_name(&c, facts_str(&f, e[i].name), e[i].kind, e[i].line);
	extractor_destroy(x);
}

static void compare(struct series_change *sc, const struct names *a, const struct names *b,
		    bool added)
{
	size_t i;

	for (i = 0; i < b->v.n; i++) {
		struct series_export e = b->v.v[i];
		u64 key = hash_str(e.name) ^ ((u64)(e.kind & EXP_TRACEPOINT) << 20);

		if (map_find(&a->index, key))
			continue;
		e.added = added;
		vec_push(&sc->exports, e);
	}
}

static void note_shifts(struct series_change *sc, const struct names *before,
			const struct names *after)
{
	size_t i;

	for (i = 0; i < after->v.n; i++) {
		const struct series_export *e = &after->v.v[i], *was;
		u64 key = hash_str(e->name) ^ ((u64)(e->kind & EXP_TRACEPOINT) << 20);
		const u32 *at = map_find(&before->index, key);
		struct series_shift x = {
			.name = e->name, .to = e->file, .kind = e->kind, .line = e->line};

		if (!at || !before->v.v)
			continue;
		was = &before->v.v[*at];
		x.from = was->file;
		x.was = was->kind;
		if (strcmp(x.from, x.to) != 0 || x.kind != x.was)
			vec_push(&sc->shifts, x);
	}
}

void series_find_exports(struct series *s)
{
	size_t i, k;

	for (i = 0; i < s->v.n; i++) {
		struct series_change *sc = &s->v.v[i];
		struct names before = {0}, after = {0};

		for (k = 0; k < sc->touched.n; k++) {
			const struct touched *t = &sc->touched.v[k];

			collect(s, &before, t->old_path, t->before, t->before_len);
			collect(s, &after, t->path, t->after, t->after_len);
		}
		compare(sc, &before, &after, true);
		compare(sc, &after, &before, false);
		note_shifts(sc, &before, &after);
		map_free(&before.index);
		map_free(&after.index);
		vec_free(&before.v);
		vec_free(&after.v);
	}
}

/* ---------------------------------------------------------------- rules ------------ */

struct judging {
	struct series *s;
	struct judgement *j;
	const struct series_change *sc;
	const struct series_export *e;
	struct export *final; /* after the last change; NULL if removed again */
};

static void fail(struct judging *g, enum rule rule, const char *reason)
{
	judge_add(g->j, rule, g->s->policy->level[rule], g->e->file, g->e->line, g->e->name,
		  arena_printf(&g->j->arena, "%s (in \"%s\")", reason, g->sc->c->title));
}

static bool is_link(const char *v)
{
	const char *at = *v == '<' ? strchr(v, '@') : NULL;

	if (has_prefix(v, "http://") || has_prefix(v, "https://"))
		return v[strcspn(v, ":") + 3] != '\0' &&
		       !isspace((u8)v[strcspn(v, ":") + 3]);
	/* <message-id>; a bare address is a person's */
	return at && at > v + 1 && strchr(at, '>');
}

/* As a word of its own, and not as a part of another. */
static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);
	const char *p;

	for (p = text; (p = strcasestr(p, word)); p++)
		if ((p == text || !(isalnum((u8)p[-1]) || p[-1] == '_')) &&
		    !(isalnum((u8)p[n]) || p[n] == '_'))
			return true;
	return false;
}

/* "Consumer: LINK", a trailer that the policy names, or "Link: LINK # consumer ...". */
static bool links_to_consumer(const struct judging *g)
{
	const struct strings *names = &g->s->policy->link_trailers;
	size_t i, k;

	for (i = 0; i < g->sc->c->trailers.n; i++) {
		const struct trailer *t = &g->sc->c->trailers.v[i];
		const char *note = strchr(t->value, '#');
		bool named = !strcasecmp(t->key, "Consumer");

		for (k = 0; k < names->n; k++)
			named |= !strcasecmp(t->key, names->v[k]);
		if (!strcasecmp(t->key, "Link") && note)
			named |= has_word(note, "consumer") || has_word(note, "user") ||
				 has_word(note, g->e->name);
		if (named && is_link(t->value))
			return true;
	}
	return false;
}

/* The words stand there, and not behind a "no": there are no users. */
static bool says(const char *text, const char *words)
{
	static const char *const denials[] = {"no ",           "not ",      "nor ",
					      "without ",      "never ",    "any ",
					      "zero ",         "no other ", "not yet ",
					      "currently no ", "isn't ",    "aren't "};
	const char *p;
	size_t i, n;

	for (p = text; (p = strcasestr(p, words)); p++) {
		bool denied = p > text && (isalnum((u8)p[-1]) || p[-1] == '_');

		for (i = 0; i < ARRAY_SIZE(denials); i++) {
			n = strlen(denials[i]);
			denied |= (size_t)(p - text) >= n &&
				  !strncasecmp(p - n, denials[i], n);
		}
		if (!denied)
			return true;
	}
	return false;
}

static void judge_motivation(struct judging *g)
{
	const char *p = g->sc->c->message, *word;
	static const char *const uses[] = {"used by",    "use by",    "needed by",
					   "users",      "user of",   "consumer",
					   "uses it",    "will use",  "needs it",
					   "caller",     "called by", "required by",
					   "called from"};
	unsigned int words = 0;
	bool named = false;
	size_t i;
	u32 k;

	while (*p) {
		p += strspn(p, " \t\n.,;:()");
		word = p;
		p += strcspn(p, " \t\n.,;:()");
		words += p > word && isalpha((u8)*word);
	}
	if (words < g->s->policy->min_words) {
		fail(g, RULE_MOTIVATION,
		     arena_printf(&g->j->arena,
				  "its message says why in %u word%s, %u are asked", words,
				  words == 1 ? "" : "s", g->s->policy->min_words));
		return;
	}
	p = g->sc->c->message;
	for (i = 0; i < ARRAY_SIZE(uses); i++)
		named |= says(p, uses[i]);
	for (k = 0; g->final && k < g->final->nconsumers && !named; k++) {
		const struct consumer *c = &g->final->consumers[k];
		const char *name = c->note ? NULL : g->s->scan->modules.v[c->module].name;
		const char *slash = name ? strrchr(name, '/') : NULL;

		named = name && strcasestr(p, slash ? slash + 1 : name);
	}
	if (!named)
		fail(g, RULE_MOTIVATION,
		     "its message does not say who will use the export");
}

static bool is_ack(const struct trailer *t)
{
	return !strcasecmp(t->key, "Acked-by") || !strcasecmp(t->key, "Reviewed-by") ||
	       !strcasecmp(t->key, "Signed-off-by");
}

static bool acked_by_any(const struct change *c, const struct strings *people)
{
	size_t i, k;

	for (i = 0; i < c->trailers.n; i++)
		for (k = 0; is_ack(&c->trailers.v[i]) && k < people->n; k++)
			if (same_person(c->trailers.v[i].value, people->v[k]))
				return true;
	return false;
}

static void judge_ack(struct judging *g)
{
	struct strings people = {0};
	u32 k;

	for (k = 0; g->final && k < g->final->nconsumers; k++)
		if (!g->final->consumers[k].note)
			maintainers_of(&g->s->maintainers,
				       scan_path(g->s->scan, g->final->consumers[k].file),
				       &people);
	if (g->final && g->final->nconsumers && !people.n)
		fail(g, RULE_ACK, "nobody is known to maintain its consumer");
	else if (people.n && !acked_by_any(g->sc->c, &people))
		fail(g, RULE_ACK,
		     arena_printf(&g->j->arena, "no ack, review or sign-off of %s",
				  people.v[0]));
	free(people.v);
}

static const struct waiver *waiver_of(struct judging *g)
{
	size_t i;

	for (i = 0; i < g->j->waivers.n; i++)
		if (str_match(g->j->waivers.v[i].symbol, g->e->name))
			return &g->j->waivers.v[i];
	return NULL;
}

static void judge_consumer(struct judging *g)
{
	const struct waiver *w = waiver_of(g);

	if (g->final && g->final->nconsumers)
		return;
	if (w && w->complete && !w->expired)
		return;
	if (w)
		fail(g, RULE_WAIVER,
		     w->expired ? "its waiver has expired"
				: "its waiver lacks reason, owner or expiry");
	if (links_to_consumer(g))
		return;
	fail(g, RULE_POSTED,
	     "neither the series nor a link in the change holds its consumer");
	fail(g, RULE_CONSUMED, "nothing outside its module uses it after the last change");
}

static bool is_waived(const struct judgement *j, const char *symbol)
{
	size_t i;

	for (i = 0; i < j->waivers.n; i++)
		if (j->waivers.v[i].complete && !j->waivers.v[i].expired &&
		    str_match(j->waivers.v[i].symbol, symbol))
			return true;
	return false;
}

static bool is_overdue(const struct series *s, const struct judgement *j,
		       const struct export *e)
{
	return !is_waived(j, e->name) && s->history && e->judged && !e->nconsumers &&
	       e->added >= 0 && e->added + (int)s->policy->grace <= (int)s->releases.n - 1;
}

static void judge_subsystem(struct judging *g)
{
	struct scan *sc = g->s->scan;
	const char *sub = policy_subsystem(g->s->policy, g->e->file);
	char *own = xstrdup(sub);
	size_t i;

	for (i = 0; i < sc->exports.n; i++) {
		const struct export *e = &sc->exports.v[i];

		if (!is_overdue(g->s, g->j, e) ||
		    strcmp(policy_subsystem(g->s->policy, scan_path(sc, e->file)), own) !=
			    0)
			continue;
		fail(g, RULE_NO_NEW,
		     arena_printf(&g->j->arena,
				  "subsystem %s still has %s, past its deadline", own,
				  e->name));
		break;
	}
	free(own);
}

/* Overdue exports of files that the series touches: it could have mended them. */
static void judge_deadlines(struct series *s, struct judgement *j)
{
	size_t i, k, n;

	for (i = 0; i < s->scan->exports.n; i++) {
		const struct export *e = &s->scan->exports.v[i];
		const char *path = scan_path(s->scan, e->file);
		bool touched = false;

		if (!is_overdue(s, j, e))
			continue;
		for (k = 0; k < s->v.n; k++)
			for (n = 0; n < s->v.v[k].touched.n; n++)
				touched |= !strcmp(s->v.v[k].touched.v[n].path, path);
		if (touched)
			judge_add(
				j, RULE_DEADLINE, s->policy->level[RULE_DEADLINE], path,
				e->line, e->name,
				arena_printf(&j->arena,
					     "added in %s and unconsumed since; the series "
					     "touches its file and leaves it so",
					     s->releases.v[e->added]));
	}
}

static struct export *find_export(struct series *s, const char *name, const char *file)
{
	size_t i;

	for (i = 0; i < s->scan->exports.n; i++) {
		struct export *x = &s->scan->exports.v[i];

		if (!strcmp(x->name, name) && !strcmp(scan_path(s->scan, x->file), file))
			return x;
	}
	return NULL;
}

/* After the last change. A later change may have moved it, or renamed its file. */
static struct export *find_final(struct series *s, const char *name, const char *file,
				 size_t change)
{
	size_t i, k;

	for (i = change + 1; i < s->v.n; i++)
		for (k = 0; k < s->v.v[i].shifts.n; k++) {
			const struct series_shift *x = &s->v.v[i].shifts.v[k];

			if (!strcmp(x->name, name) && !strcmp(x->from, file)) {
				file = x->to;
				break;
			}
		}
	return find_export(s, name, file);
}

static bool is_for_any_licence(u32 kind)
{
	return (kind & EXP_KIND_MASK) != EXP_GPL && !(kind & EXP_TESTS);
}

/* An export that was there and that the change opens to modules of any licence. */
static void judge_opened(struct judging *g, size_t change)
{
	size_t i;

	for (i = 0; i < g->sc->shifts.n; i++) {
		const struct series_shift *x = &g->sc->shifts.v[i];
		struct series_export e = {
			.name = x->name, .file = x->to, .kind = x->kind, .line = x->line};
		const struct export *final = find_final(g->s, x->name, x->to, change);

		if (is_for_any_licence(x->was) || !is_for_any_licence(x->kind) || !final ||
		    !is_for_any_licence(final->kind))
			continue;
		g->e = &e;
		fail(g, RULE_GPL_ONLY,
		     "it was exported to modules of GPL only and is now to those of any "
		     "licence");
	}
	g->e = NULL;
}

static void judge_one(struct judging *g)
{
	if (is_for_any_licence(g->e->kind))
		fail(g, RULE_GPL_ONLY, "it is exported to modules of any licence");
	judge_consumer(g);
	judge_motivation(g);
	judge_ack(g);
	judge_subsystem(g);
}

void series_judge(struct series *s, struct judgement *j)
{
	struct judging g = {.s = s, .j = j};
	size_t i, k;

	memset(j, 0, sizeof(*j));
	if (s->waivers)
		waivers_parse(&j->waivers, s->policy->waivers, s->waivers, s->waivers_len,
			      today(), s->history ? &s->releases : NULL);
	for (i = 0; i < s->v.n; i++) {
		g.sc = &s->v.v[i];
		for (k = 0; k < g.sc->exports.n; k++) {
			g.e = &g.sc->exports.v[k];
			g.final = find_final(s, g.e->name, g.e->file, i);
			if (g.e->added && g.final)
				judge_one(&g);
		}
		judge_opened(&g, i);
	}
	judge_deadlines(s, j);
}
