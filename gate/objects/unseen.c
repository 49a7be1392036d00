// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Why does no line of the source export what was built?
 *
 * Asked only for what a comparison with built objects leaves, so it may look at texts
 * again.
 */
#include <ctype.h>
#include <stdlib.h>

#include "built.h"
#include "unseen.h"

/* May the file be a program that is run to build the module? */
static bool may_write_for(const struct scan *s, u32 file, const char *module)
{
	const char *path = scan_path(s, file), *slash = strrchr(module, '/');

	if (s->tree->files.v[file].kind != FILE_C)
		return false;
	return s->first[file] == s->first[file + 1] ||
	       (slash && !strncmp(path, module, slash + 1 - module));
}

bool unseen_is_generated(const struct scan *s, const char *symbol, const char *module)
{
	char *wanted = xasprintf("(%s)", symbol);
	struct buf b = {0};
	bool found = false;
	const char *text;
	size_t i, len;

	for (i = 0; i < s->tree->files.n && !found; i++) {
		const struct file *f = &s->tree->files.v[i];

		if (!may_write_for(s, i, module))
			continue;
		text = tree_read(s->tree, f, &b, &len);
		found = text && memmem(text, len, "EXPORT_SYMBOL", 13) &&
			memmem(text, len, wanted, strlen(wanted));
	}
	free(wanted);
	buf_free(&b);
	return found;
}

/* The next word of "a_b(c)": letters and digits. */
static const char *next_word(const char **p, size_t *len)
{
	const char *word;

	while (**p && !isalnum((u8) * *p))
		++*p;
	word = *p;
	while (isalnum((u8) * *p))
		++*p;
	*len = *p - word;
	return *len ? word : NULL;
}

/* What stands in the innermost parentheses: the macro's argument. */
static const char *innermost(const char *text)
{
	const char *open = strrchr(text, '(');

	return open ? open + 1 : text;
}

/* Do the words of the text stand in the symbol, in that order? */
static bool words_fit(const char *text, const char *symbol)
{
	const char *p = innermost(text), *q = symbol, *word, *other;
	size_t n, m;

	if (!(word = next_word(&p, &n)))
		return false;
	while ((other = next_word(&q, &m))) {
		if (m != n || memcmp(word, other, n) != 0)
			continue;
		if (!(word = next_word(&p, &n)))
			return true;
	}
	return false;
}

static bool is_in_module(const struct scan *s, u32 file, const char *module)
{
	u32 i;

	for (i = s->first[file]; i < s->first[file + 1]; i++)
		if (same_module(s->modules.v[s->member[i]].name, module))
			return true;
	return !strcmp(module, "vmlinux");
}

/* #define other symbol, where "other" is exported. */
static bool is_other_name(const struct scan *s, u64 symbol)
{
	struct map exported = {0};
	bool found = false;
	size_t i;
	u32 k;

	for (i = 0; i < s->exports.n; i++)
		map_get(&exported, hash_str(s->exports.v[i].name), 1);
	for (i = 0; i < s->tree->files.n && !found; i++) {
		const struct facts *f = &s->tree->files.v[i].facts;
		const struct fact_call *call = f->a[FA_CALL];

		for (k = 0; k < f->n[FA_CALL] && !found; k++)
			found = call[k].callee == symbol &&
				!strcmp(facts_str(f, call[k].args), "=") &&
				map_find(&exported,
					 FACTS(f, struct fact_def, FA_DEF)[call[k].owner]
						 .name);
	}
	map_free(&exported);
	return found;
}

bool unseen_is_renamed(const struct scan *s, const char *symbol, const char *module)
{
	size_t i;

	for (i = 0; i < s->unnamed.n; i++)
		if (is_in_module(s, s->unnamed.v[i].file, module) &&
		    words_fit(s->unnamed.v[i].text, symbol))
			return true;
	return is_other_name(s, hash_str(symbol));
}
