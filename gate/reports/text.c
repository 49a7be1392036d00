// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How do names that anybody may have chosen get into a report?
 *
 * A file's name may hold a newline, a terminal's escape sequence, or bytes that are no
 * UTF-8. Such bytes are written as a backslash and three octal digits, as git writes them.
 */
#include <stdlib.h>

#include "text.h"

/* How many bytes the UTF-8 character at s has; 0 if it is none. */
static size_t utf8_length(const char *s)
{
	u8 c = (u8)*s;
	size_t n = c < 0x80   ? 1
		   : c < 0xc2 ? 0
		   : c < 0xe0 ? 2
		   : c < 0xf0 ? 3
		   : c < 0xf5 ? 4
			      : 0;
	size_t i;

	for (i = 1; i < n; i++)
		if (((u8)s[i] & 0xc0) != 0x80)
			return 0;
	/* longer than need be, a surrogate, or beyond the last character */
	if ((c == 0xe0 && (u8)s[1] < 0xa0) || (c == 0xed && (u8)s[1] > 0x9f) ||
	    (c == 0xf0 && (u8)s[1] < 0x90) || (c == 0xf4 && (u8)s[1] > 0x8f))
		return 0;
	return n;
}

static void add_text(struct buf *b, const char *s, bool controls)
{
	size_t n;

	buf_add(b, "", 0);
	for (; *s; s += n ? n : 1) {
		n = utf8_length(s);
		if (!n || (controls && ((u8)*s < 0x20 || *s == 0x7f)))
			buf_printf(b, "\\%03o", (u8)*s);
		else
			buf_add(b, s, n);
	}
}

char *text_of(const char *s)
{
	struct buf b = {0};

	add_text(&b, s, true);
	return b.s;
}

json_t *json_text(const char *s)
{
	struct buf b = {0};
	json_t *o;

	add_text(&b, s, false);
	o = json_string(b.s);
	buf_free(&b);
	return o;
}

char *text_uri(const char *path)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"-._~/+,=@";
	struct buf b = {0};

	buf_add(&b, "", 0);
	for (; *path; path++)
		if (strchr(plain, *path))
			buf_putc(&b, *path);
		else
			buf_printf(&b, "%%%02X", (u8)*path);
	return b.s;
}
