/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is a driver's licence known to be compatible with the GPL?
 *
 * It is an SPDX licence expression (SPDX specification, annex "SPDX license expressions"):
 *
 *	either  = both { "OR" both }		compatible if one of them is
 *	both    = one { "AND" one }		compatible if all of them are
 *	one     = "(" either ")" | id [ "WITH" exception ]
 *
 * or one of the names that the kernel's MODULE_LICENSE() has.
 */
#include <string.h>
#include <strings.h>

#include "core/core.h"

static const char *const kernel_names[] = {
	"GPL",          "GPL v2",       "GPL and additional rights",
	"Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};

/* Of the list at https://www.gnu.org/licenses/license-list.html, by their SPDX ids. */
static const char *const ids[] = {
	"0BSD",
	"AGPL-3.0-only",
	"AGPL-3.0-or-later",
	"Apache-2.0",
	"BSD-2-Clause",
	"BSD-3-Clause",
	"CC0-1.0",
	"GPL-2.0",
	"GPL-2.0+",
	"GPL-2.0-only",
	"GPL-2.0-or-later",
	"GPL-3.0",
	"GPL-3.0+",
	"GPL-3.0-only",
	"GPL-3.0-or-later",
	"ISC",
	"LGPL-2.1",
	"LGPL-2.1+",
	"LGPL-2.1-only",
	"LGPL-2.1-or-later",
	"LGPL-3.0-only",
	"LGPL-3.0-or-later",
	"MIT",
	"MPL-2.0",
	"Unlicense",
	"X11",
	"Zlib",
};

#define DEPTH_MAX 16 /* parentheses in one another */
#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))

struct parser {
	const char *at; /* the next token begins here */
	size_t len;     /* of it; 0: the end */
	unsigned int depth;
	bool wrong;
};

static void next(struct parser *p)
{
	p->at += p->len;
	p->at += strspn(p->at, " \t");
	p->len = strcspn(p->at, " \t()");
	if (!p->len && *p->at)
		p->len = 1; /* a parenthesis */
}

/* Operators are in capitals; ids are the same in any case. */
static bool take(struct parser *p, const char *token)
{
	if (p->len != strlen(token) || strncmp(p->at, token, p->len) != 0)
		return false;
	next(p);
	return true;
}

static bool take_id(struct parser *p)
{
	bool known = false;

	p->wrong |= !p->len || strchr("()", *p->at);
	for (size_t i = 0; i < COUNT(ids); i++)
		known |= strlen(ids[i]) == p->len && !strncasecmp(ids[i], p->at, p->len);
	next(p);
	return known;
}

static bool either(struct parser *p);

static bool one(struct parser *p)
{
	bool good;

	if (take(p, "(")) {
		p->wrong |= ++p->depth > DEPTH_MAX;
		good = !p->wrong && either(p);
		p->wrong |= !take(p, ")");
		p->depth--;
		return good;
	}
	good = take_id(p);
	/* An exception only adds permissions. */
	if (take(p, "WITH"))
		take_id(p);
	return good;
}

static bool both(struct parser *p)
{
	bool good = one(p);

	while (!p->wrong && take(p, "AND"))
		good &= one(p);
	return good;
}

static bool either(struct parser *p)
{
	bool good = both(p);

	while (!p->wrong && take(p, "OR"))
		good |= both(p);
	return good;
}

bool licence_gpl_compatible(const char *expression)
{
	struct parser p = {.at = expression};
	bool good;

	if (!expression)
		return false;
	for (size_t i = 0; i < COUNT(kernel_names); i++)
		if (!strcmp(expression, kernel_names[i]))
			return true;
	next(&p);
	good = either(&p);
	return good && !p.wrong && !p.len;
}
