// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What does a mail say, once its encodings are taken off?
 *
 * Patches come as plain text, quoted-printable or base64, in some character set, at times
 * as one part of several. Only what lists accept is read: a text part. What is broken is
 * said, not guessed.
 */
#include <ctype.h>
#include <iconv.h>
#include <stdlib.h>

#include "patch.h"

struct headers {
	char *subject, *from, *type, *encoding;
};

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

/* `q`: the header form, where '_' is a space. */
static const char *unquote(struct buf *out, const char *s, size_t n, bool q)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (q && s[i] == '_') {
			buf_putc(out, ' ');
		} else if (s[i] != '=') {
			buf_putc(out, s[i]);
		} else if (i + 1 < n && s[i + 1] == '\n') {
			i++;
		} else if (i + 2 < n && s[i + 1] == '\r' && s[i + 2] == '\n') {
			i += 2;
		} else if (i + 2 < n && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
			buf_putc(out, (char)(hex(s[i + 1]) * 16 + hex(s[i + 2])));
			i += 2;
		} else if (i + 1 < n) {
			return "its quoted-printable text has a '=' that begins no code";
		}
	}
	return NULL;
}

static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

static const char *unbase64(struct buf *out, const char *s, size_t n)
{
	u32 bits = 0, have = 0, digits = 0, pad = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		int v = base64_value(s[i]);

		if (isspace((u8)s[i]))
			continue;
		if (s[i] == '=') {
			pad++;
			continue;
		}
		if (v < 0 || pad)
			return "its base64 text has a character that is none of base64";
		bits = bits << 6 | (u32)v;
		have += 6;
		digits++;
		if (have >= 8) {
			have -= 8;
			buf_putc(out, (char)(bits >> have));
		}
	}
	return digits % 4 == 1 || (digits + pad) % 4 ? "its base64 text is cut off" : NULL;
}

/* To UTF-8; text without a known set stays as it is. */
static const char *recode(struct buf *text, const char *charset)
{
	struct buf out = {0};
	char *in = text->s, chunk[4096], *to;
	size_t left = text->n, room;
	iconv_t cd;

	if (!strcasecmp(charset, "utf-8") || !strcasecmp(charset, "us-ascii"))
		return NULL;
	cd = iconv_open("UTF-8", charset);
	if (cd == (iconv_t)-1)
		return "its character set is unknown to iconv";
	while (left) {
		to = chunk;
		room = sizeof(chunk);
		if (iconv(cd, &in, &left, &to, &room) == (size_t)-1 && to == chunk) {
			iconv_close(cd);
			buf_free(&out);
			return "its text does not fit the character set that it names";
		}
		buf_add(&out, chunk, to - chunk);
	}
	iconv_close(cd);
	buf_add(&out, "", 0);
	free(text->s);
	*text = out;
	return NULL;
}

/* ---------------------------------------------------------------- headers ---------- */

/* =?charset?q?text?= words, as far as they are well formed; others stay as written. */
static char *decode_words(const char *s)
{
	struct buf out = {0};
	const char *p, *set, *enc, *text, *end;

	buf_add(&out, "", 0);
	while ((p = strstr(s, "=?"))) {
		struct buf word = {0};
		const char *err;
		char *charset;

		set = p + 2;
		enc = strchr(set, '?');
		text = enc ? strchr(enc + 1, '?') : NULL;
		end = text ? strstr(text + 1, "?=") : NULL;
		if (!end)
			break;
		buf_add(&word, "", 0);
		if (tolower((u8)enc[1]) == 'q')
			err = unquote(&word, text + 1, end - text - 1, true);
		else
			err = unbase64(&word, text + 1, end - text - 1);
		charset = xstrndup(set, enc - set);
		if (!err)
			err = recode(&word, charset);
		free(charset);
		/* blanks between two encoded words are no part of the text */
		if (p > s && !(out.n && strspn(s, " \t") == (size_t)(p - s)))
			buf_add(&out, s, p - s);
		buf_add(&out, err ? p : word.s, err ? (size_t)(end + 2 - p) : word.n);
		buf_free(&word);
		s = end + 2;
	}
	buf_puts(&out, s);
	return out.s;
}

static void take_header(struct headers *h, const char *name, size_t n, const char *value)
{
	static const struct {
		const char *name;
		size_t field;
	} known[] = {{"subject", offsetof(struct headers, subject)},
		     {"from", offsetof(struct headers, from)},
		     {"content-type", offsetof(struct headers, type)},
		     {"content-transfer-encoding", offsetof(struct headers, encoding)}};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		char **field = (char **)((char *)h + known[i].field);

		if (strlen(known[i].name) == n && !strncasecmp(name, known[i].name, n)) {
			free(*field);
			*field = decode_words(value);
		}
	}
}

/* Returns where the body begins, or NULL if these are no headers. */
static const char *read_headers(struct headers *h, const char *p, const char *end)
{
	struct buf value = {0};

	while (p < end && *p != '\n' && !(*p == '\r' && p + 1 < end && p[1] == '\n')) {
		const char *nl = memchr(p, '\n', end - p), *colon, *from;

		if (!nl)
			nl = end;
		colon = memchr(p, ':', nl - p);
		if (!colon || isspace((u8)*p)) {
			buf_free(&value);
			return NULL;
		}
		value.n = 0;
		from = colon + 1;
		for (;;) {
			while (from < nl && isspace((u8)*from))
				from++;
			buf_add(&value, from, nl - from);
			if (nl + 1 >= end || (nl[1] != ' ' && nl[1] != '\t'))
				break;
			buf_putc(&value, ' ');
			from = nl + 1;
			nl = memchr(from, '\n', end - from);
			if (!nl)
				nl = end;
		}
		while (value.n && isspace((u8)value.s[value.n - 1]))
			value.s[--value.n] = '\0';
		take_header(h, p, colon - p, value.s);
		p = nl < end ? nl + 1 : end;
	}
	buf_free(&value);
	if (p >= end)
		return end;
	return *p == '\r' ? p + 2 : p + 1;
}

static void free_headers(struct headers *h)
{
	free(h->subject);
	free(h->from);
	free(h->type);
	free(h->encoding);
}

/* name=value or name="value" in a Content-Type; the caller frees it. */
static char *parameter(const char *type, const char *name)
{
	const char *p = type ? strcasestr(type, name) : NULL;
	size_t n;

	if (!p || p[strlen(name)] != '=')
		return NULL;
	p += strlen(name) + 1;
	if (*p == '"') {
		n = strcspn(++p, "\"");
	} else {
		n = strcspn(p, "; \t");
	}
	return n ? xstrndup(p, n) : NULL;
}

/* ---------------------------------------------------------------- bodies ----------- */

static const char *decode_part(struct buf *out, const struct headers *h, const char *p,
			       const char *end)
{
	char *charset = parameter(h->type, "charset");
	const char *err = NULL, *enc = h->encoding ? h->encoding : "7bit";
	struct buf text = {0};

	buf_add(&text, "", 0);
	if (!strncasecmp(enc, "quoted-printable", 16))
		err = unquote(&text, p, end - p, false);
	else if (!strncasecmp(enc, "base64", 6))
		err = unbase64(&text, p, end - p);
	else if (!strncasecmp(enc, "7bit", 4) || !strncasecmp(enc, "8bit", 4) ||
		 !strncasecmp(enc, "binary", 6))
		buf_add(&text, p, end - p);
	else
		err = "its Content-Transfer-Encoding is none that mail knows";
	if (!err && charset)
		err = recode(&text, charset);
	if (!err)
		buf_add(out, text.s, text.n);
	buf_free(&text);
	free(charset);
	return err;
}

static bool holds_patch(const struct buf *b)
{
	return memmem(b->s, b->n, "diff --git ", 11) ||
	       (memmem(b->s, b->n, "--- ", 4) && memmem(b->s, b->n, "\n+++ ", 5));
}

/* A text, or an attachment of whatever type that is a patch. */
static const char *add_part(struct buf *out, const struct headers *h, const char *p,
			    const char *end)
{
	struct buf part = {0};
	const char *err;

	if (!h->type || !strncasecmp(h->type, "text/", 5))
		return decode_part(out, h, p, end);
	buf_add(&part, "", 0);
	err = decode_part(&part, h, p, end);
	if (!err && holds_patch(&part)) {
		if (out->n && out->s[out->n - 1] != '\n')
			buf_putc(out, '\n');
		buf_add(out, part.s, part.n);
	}
	buf_free(&part);
	return err;
}

static const char *decode_multipart(struct buf *out, const char *boundary, const char *p,
				    const char *end)
{
	char *mark = xasprintf("--%s", boundary);
	const char *part = memmem(p, end - p, mark, strlen(mark)), *next, *body,
		   *err = NULL;
	bool closed = false;

	if (!part)
		err = "it says multipart, but its boundary does not occur";
	while (!err && part && !closed) {
		struct headers h = {0};

		part += strlen(mark);
		if (end - part >= 2 && part[0] == '-' && part[1] == '-') {
			closed = true;
			break;
		}
		part = memchr(part, '\n', end - part);
		if (!part)
			break;
		part++;
		next = memmem(part, end - part, mark, strlen(mark));
		body = *part == '\n' ? part + 1 : read_headers(&h, part, next ? next : end);
		if (!body)
			err = "one of its parts has broken headers";
		else
			err = add_part(out, &h, body, next ? next : end);
		free_headers(&h);
		part = next;
	}
	free(mark);
	return err || closed ? err : "it is cut off: its last boundary is missing";
}

static void drop_carriage_returns(struct buf *b)
{
	size_t i, kept = 0;

	for (i = 0; i < b->n; i++)
		if (b->s[i] != '\r' || i + 1 >= b->n || b->s[i + 1] != '\n')
			b->s[kept++] = b->s[i];
	b->n = kept;
	if (b->s)
		b->s[kept] = '\0';
}

const char *mail_decode(struct arena *a, const char *raw, size_t len, struct mail *out)
{
	struct headers h = {0};
	struct buf text = {0};
	const char *body = read_headers(&h, raw, raw + len), *err = NULL;
	char *boundary = NULL;

	memset(out, 0, sizeof(*out));
	buf_add(&text, "", 0);
	if (!body)
		err = "its headers are broken: a line is no 'Name: value'";
	else if (!h.subject || !h.from)
		err = "it has no Subject or no From";
	else if (h.type && !strncasecmp(h.type, "multipart/", 10) &&
		 (boundary = parameter(h.type, "boundary")))
		err = decode_multipart(&text, boundary, body, raw + len);
	else
		err = decode_part(&text, &h, body, raw + len);
	drop_carriage_returns(&text);
	out->subject = arena_strndup(a, h.subject ? h.subject : "(no subject)",
				     strlen(h.subject ? h.subject : "(no subject)"));
	out->from = arena_strndup(a, h.from ? h.from : "", h.from ? strlen(h.from) : 0);
	out->text = arena_strndup(a, text.s, text.n);
	out->len = text.n;
	free(boundary);
	free_headers(&h);
	buf_free(&text);
	return err;
}
