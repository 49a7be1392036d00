// SPDX-License-Identifier: GPL-2.0-or-later
/* What does the tree's own policy file ask for? */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "policy.h"

const struct rule_text rule_texts[RULE_COUNT] = {
	[RULE_GPL_ONLY] = {"gpl-only", "every export is GPL-only",
			   "export it with the _GPL form, or in a node that the policy's "
			   "gpl-node names"},
	[RULE_CONSUMED] =
		{"consumed",
		 "every export has a consumer in the tree, outside the module that "
		 "exports it",
		 "remove the export, or add its consumer"},
	[RULE_DEADLINE] =
		{"deadline",
		 "a new export's consumer arrives in the same release or the next",
		 "revert the export, add its consumer, or add a waiver with a "
		 "reason, an owner and an expiry"},
	[RULE_NO_NEW] = {"no-new-while-dangling",
			 "a subsystem with unconsumed exports past their deadline adds no "
			 "new ones",
			 "first consume, revert or waive the subsystem's exports that are "
			 "overdue"},
	[RULE_POSTED] =
		{"posted-together",
		 "the change that adds an export contains its consumer, or links to it",
		 "post the consumer in the same series, or add a trailer "
		 "'Consumer: LINK' to the change"},
	[RULE_MOTIVATION] =
		{"motivation",
		 "the change that adds an export says why it is needed, and who "
		 "will use it",
		 "explain in the commit message why the export is needed, and name "
		 "the module that will use it"},
	[RULE_ACK] = {"consumer-ack",
		      "the maintainer of the consumer acked, reviewed or signed it off",
		      "get an Acked-by or Reviewed-by from a maintainer of the consumer"},
	[RULE_WAIVER] = {"waiver",
			 "a waiver has a reason, an owner and an expiry in the future",
			 "renew the waiver with its owner's consent, or remove the export"},
};

void policy_init(struct policy *p)
{
	int i;

	memset(p, 0, sizeof(*p));
	for (i = 0; i < RULE_COUNT; i++)
		p->level[i] = LEVEL_ON;
	p->level[RULE_GPL_ONLY] = LEVEL_WARN;
	p->depth = 2;
	p->tags = "v*";
	p->grace = 1;
	p->last = 8;
	p->waivers = ".exportgate-waivers";
	p->min_words = 15;
}

void policy_free(struct policy *p)
{
	free(p->skip.v);
	free(p->macros.v);
	free(p->attributes.v);
	free(p->scripts.v);
	free(p->lists.v);
	free(p->judge.v);
	free(p->gpl.v);
	free(p->consumers.v);
	free(p->not_consumers.v);
	free(p->implicit.v);
	free(p->modules.v);
	free(p->subsystems.v);
	free(p->maintainers.v);
	free(p->link_trailers.v);
	arena_free(&p->arena);
}

/* ---------------------------------------------------------------- values ----------- */

/* Setters return NULL, or what is wrong with the value. */
static const char *set_kind(struct policy *p, void *field, const char *v)
{
	enum project_kind *k = field;

	if (!strcmp(v, "linux"))
		*k = KIND_LINUX;
	else if (!strcmp(v, "library"))
		*k = KIND_LIBRARY;
	else if (!strcmp(v, "auto"))
		*k = KIND_AUTO;
	else
		return "the kind is linux, library or auto";
	return NULL;
}

static const char *bad_pattern(const char *v)
{
	unsigned int stars = 0;

	for (; *v; v++)
		stars += *v == '*' && v[1] != '*';
	return stars > 6 ? "a pattern has at most 6 stars" : NULL;
}

static const char *add_pattern(struct policy *p, void *field, const char *v)
{
	struct strings *s = field;

	vec_push(s, v);
	return bad_pattern(v);
}

static const char *set_string(struct policy *p, void *field, const char *v)
{
	*(const char **)field = v;
	return NULL;
}

static const char *set_number(struct policy *p, void *field, const char *v)
{
	char *end;
	unsigned long n = strtoul(v, &end, 10);

	if (!isdigit((u8)*v) || *end || n > 1000)
		return "the value is a number from 0 to 1000";
	*(unsigned int *)field = n;
	return NULL;
}

/* "PATTERN and then text": the pattern ends at the first blank. */
static const char *add_pair(struct policy *p, void *field, const char *v)
{
	struct pairs *pairs = field;
	size_t n = strcspn(v, " \t");
	struct pair pair = {arena_strndup(&p->arena, v, n), v + n + strspn(v + n, " \t")};

	if (!*pair.value)
		return "a second word is missing: the value is NAME and then what it "
		       "stands for";
	vec_push(pairs, pair);
	return bad_pattern(pair.pattern);
}

static const char *add_macro(struct policy *p, void *field, const char *v)
{
	const char *err = add_pair(p, field, v), *what;
	struct pairs *pairs = field;

	if (err)
		return err;
	what = pairs->v[pairs->n - 1].value;
	if (!has_prefix(what, "gpl") && !has_prefix(what, "plain"))
		return "a macro is NAME plain or NAME gpl, and may have ns=ARGUMENT after "
		       "it";
	return NULL;
}

static const struct {
	const char *section, *key;
	const char *(*set)(struct policy *p, void *field, const char *value);
	size_t field;
} keys[] = {
	{"tree", "kind", set_kind, offsetof(struct policy, kind)},
	{"tree", "skip", add_pattern, offsetof(struct policy, skip)},
	{"exports", "macro", add_macro, offsetof(struct policy, macros)},
	{"exports", "attribute", add_pattern, offsetof(struct policy, attributes)},
	{"exports", "version-script", add_pattern, offsetof(struct policy, scripts)},
	{"exports", "export-list", add_pattern, offsetof(struct policy, lists)},
	{"exports", "judge-node", add_pattern, offsetof(struct policy, judge)},
	{"exports", "gpl-node", add_pattern, offsetof(struct policy, gpl)},
	{"consumers", "path", add_pattern, offsetof(struct policy, consumers)},
	{"consumers", "not", add_pattern, offsetof(struct policy, not_consumers)},
	{"consumers", "implicit", add_pair, offsetof(struct policy, implicit)},
	{"subsystems", "depth", set_number, offsetof(struct policy, depth)},
	{"releases", "tags", set_string, offsetof(struct policy, tags)},
	{"releases", "last", set_number, offsetof(struct policy, last)},
	{"releases", "grace", set_number, offsetof(struct policy, grace)},
	{"waivers", "file", set_string, offsetof(struct policy, waivers)},
	{"maintainers", "file", set_string, offsetof(struct policy, maintainers_file)},
	{"motivation", "min-words", set_number, offsetof(struct policy, min_words)},
	{"posted", "link-trailer", add_pattern, offsetof(struct policy, link_trailers)},
};

/* ---------------------------------------------------------------- lines ------------ */

static const char *set_rule(struct policy *p, const char *key, const char *value)
{
	static const char *const names[] = {"off", "warn", "on"};
	int i, k;

	for (i = 0; i < RULE_COUNT; i++) {
		if (strcmp(rule_texts[i].name, key) != 0)
			continue;
		for (k = 0; k < 3; k++)
			if (!strcmp(names[k], value)) {
				p->level[i] = k;
				return NULL;
			}
		return "a rule is on, off or warn";
	}
	return "there is no such rule; exportgate(1) lists them";
}

static const char *set_key(struct policy *p, const char *section, const char *key,
			   const char *value)
{
	struct pairs *pairs = !strcmp(section, "modules")       ? &p->modules
			      : !strcmp(section, "subsystems")  ? &p->subsystems
			      : !strcmp(section, "maintainers") ? &p->maintainers
								: NULL;
	struct pair pair = {key, value};
	size_t i;

	if (!strcmp(section, "rules"))
		return set_rule(p, key, value);
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].section, section) && !strcmp(keys[i].key, key))
			return keys[i].set(p, (char *)p + keys[i].field, value);
	if (!pairs)
		return "the section has no such key; exportgate(1) lists them";
	vec_push(pairs, pair);
	return bad_pattern(key);
}

static bool known_section(const char *name)
{
	size_t i;

	if (!strcmp(name, "rules") || !strcmp(name, "modules"))
		return true;
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].section, name))
			return true;
	return false;
}

static char *trim(char *s)
{
	char *end;

	while (isspace((u8)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((u8)end[-1]))
		*--end = '\0';
	return s;
}

static const char *parse_line(struct policy *p, const char **section, char *line)
{
	char *eq, *key, *value;

	if (*line == '[') {
		value = strchr(line, ']');
		if (!value || value[1])
			return "a section is a name in brackets, alone on its line";
		*value = '\0';
		*section = trim(line + 1);
		return known_section(*section) ? NULL : "there is no such section";
	}
	eq = strchr(line, '=');
	if (!eq)
		return "the line is no 'key = value', no section and no comment (#)";
	*eq = '\0';
	key = trim(line);
	value = trim(eq + 1);
	if (!**section)
		return "the first line must be a section, such as [rules]";
	if (!*key || !*value)
		return "key or value is empty";
	return set_key(p, *section, key, value);
}

int policy_parse(struct policy *p, const char *name, const char *text, size_t len,
		 struct buf *errors)
{
	const char *section = "", *end = text + len, *nl, *err;
	int line = 0, bad = 0;

	for (; text < end; text = nl + 1) {
		char *s;

		line++;
		nl = memchr(text, '\n', end - text);
		if (!nl)
			nl = end;
		if (memchr(text, '\0', nl - text)) {
			buf_printf(errors, "%s:%d: a zero byte: this is no text\n", name,
				   line);
			return bad + 1;
		}
		s = trim(arena_strndup(&p->arena, text, nl - text));
		if (!*s || *s == '#')
			continue;
		err = parse_line(p, &section, s);
		if (err) {
			buf_printf(errors, "%s:%d: %s\n", name, line, err);
			bad++;
		}
	}
	return bad;
}

void policy_load(struct policy *p, const char *tree, const char *path)
{
	char *name = path ? xstrdup(path) : xasprintf("%s/%s", tree, POLICY_FILE);
	struct buf errors = {0};
	size_t len;
	char *text = read_file(name, &len);

	policy_init(p);
	if (!text && (path || (errno != ENOENT && errno != ENOTDIR)))
		die("cannot read policy %s: %s", name, strerror(errno));
	if (text) {
		p->found = true;
		p->text = hash_bytes(text, len);
		if (policy_parse(p, name, text, len, &errors)) {
			fputs(errors.s, stderr);
			die("policy %s has errors; mend the lines above", name);
		}
	}
	free(text);
	free(name);
	buf_free(&errors);
}

/* ---------------------------------------------------------------- questions -------- */

bool strings_match(const struct strings *s, const char *path)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (path_match(s->v[i], path))
			return true;
	return false;
}

const char *pairs_match(const struct pairs *p, const char *path)
{
	size_t i;

	for (i = p->n; i-- > 0;)
		if (path_match(p->v[i].pattern, path))
			return p->v[i].value;
	return NULL;
}

const char *policy_subsystem(struct policy *p, const char *path)
{
	const char *named = pairs_match(&p->subsystems, path), *s = path, *last = path;
	unsigned int i;

	if (named)
		return named;
	for (i = 0; i < p->depth && (s = strchr(s, '/')); i++)
		last = s++;
	if (last == path)
		return ".";
	return arena_strndup(&p->arena, path, last - path);
}

static u64 mix_strings(u64 h, const struct strings *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		h = (h ^ hash_str(s->v[i])) * 0x9fb21c651e98df25ull;
	return h + 1;
}

static u64 mix_pairs(u64 h, const struct pairs *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		h = (h ^ hash_str(p->v[i].pattern) ^ (hash_str(p->v[i].value) << 1)) *
		    0x9fb21c651e98df25ull;
	return h + 1;
}

u64 policy_digest(const struct policy *p)
{
	u64 h = p->kind + 77;

	h = mix_strings(h, &p->skip);
	h = mix_pairs(h, &p->macros);
	h = mix_strings(h, &p->attributes);
	return h;
}
