// SPDX-License-Identifier: GPL-2.0-or-later
/* What do the mails of a mailbox change, and does that apply? */
#include <ctype.h>
#include <stdlib.h>

#include "patch.h"

/* ---------------------------------------------------------------- messages --------- */

/* "Key: value" at the start of a line, with a key such as Signed-off-by. */
static const char *trailer_colon(const char *p, const char *nl)
{
	const char *c = p;

	while (c < nl && (isalnum((u8)*c) || *c == '-'))
		c++;
	return c > p && c + 1 < nl && *c == ':' && isspace((u8)c[1]) ? c : NULL;
}

static const char *line_end(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', end - p);

	return nl ? nl : end;
}

static bool is_blank(const char *p, const char *nl)
{
	while (p < nl && isspace((u8)*p))
		p++;
	return p == nl;
}

/* A trailer that only git's own commands and mail tools write. */
static bool is_surely_trailer(const char *p, const char *nl)
{
	static const char *const names[] = {
		"Signed-off-by:",   "Acked-by:",
		"Reviewed-by:",     "Tested-by:",
		"Reported-by:",     "Cc:",
		"Fixes:",           "Link:",
		"Consumer:",        "Suggested-by:",
		"Co-developed-by:", "(cherry picked from commit "};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if ((size_t)(nl - p) >= strlen(names[i]) &&
		    !strncasecmp(p, names[i], strlen(names[i])))
			return true;
	return false;
}

/*
 * Where the trailers begin, by the rule of git's interpret-trailers: they are the message's
 * last paragraph, if it is not its first and holds nothing else, or if one of it is surely
 * a trailer and a quarter of its lines may be.
 */
static const char *trailers_begin(const char *text, const char *end)
{
	const char *p, *nl, *last = NULL;
	u32 lines = 0, trailers = 0, sure = 0;
	bool blank = true;

	for (p = text; p < end; p = nl + (nl < end)) {
		nl = line_end(p, end);
		if (is_blank(p, nl)) {
			blank = true;
			continue;
		}
		if (blank)
			last = p;
		blank = false;
	}
	for (p = last; p && p < end; p = nl + (nl < end)) {
		nl = line_end(p, end);
		if (is_blank(p, nl) || isspace((u8)*p))
			continue; /* goes on */
		lines++;
		sure += is_surely_trailer(p, nl);
		trailers += is_surely_trailer(p, nl) || trailer_colon(p, nl);
	}
	if (!last || !trailers || (trailers < lines && !(sure && trailers * 4 >= lines)))
		return end;
	return last;
}

static size_t trimmed(const char **p, size_t n)
{
	while (n && isspace((u8) * *p))
		++*p, n--;
	while (n && isspace((u8)(*p)[n - 1]))
		n--;
	return n;
}

void change_set_message(struct changes *cs, struct change *c, const char *text, size_t len)
{
	const char *end = text + len, *first = trailers_begin(text, end), *nl, *p, *colon;
	struct buf body = {0};

	for (p = text; p < end; p = nl + 1) {
		struct trailer t;
		const char *v;
		size_t n;

		nl = line_end(p, end);
		colon = p >= first ? trailer_colon(p, nl) : NULL;
		if (!colon) {
			buf_add(&body, p, nl - p);
			buf_putc(&body, '\n');
			continue;
		}
		v = colon + 1;
		n = trimmed(&v, nl - v);
		t.key = arena_strndup(&cs->arena, p, colon - p);
		t.value = arena_strndup(&cs->arena, v, n);
		vec_push(&c->trailers, t);
	}
	buf_add(&body, "", 0);
	c->message = arena_strndup(&cs->arena, body.s, body.n);
	buf_free(&body);
}

/* "[PATCH v2 1/3] mm: add x" becomes "mm: add x". */
static const char *bare_title(const char *subject)
{
	const char *close;

	while (*subject == '[' && (close = strchr(subject, ']')))
		subject = close + 1 + strspn(close + 1, " ");
	return subject;
}

/* ---------------------------------------------------------------- diffs ------------ */

struct reader {
	const char *p, *end;
	u32 line;
};

static size_t line_length(const struct reader *r)
{
	const char *nl = memchr(r->p, '\n', r->end - r->p);

	return nl ? (size_t)(nl - r->p) : (size_t)(r->end - r->p);
}

static void next_line(struct reader *r)
{
	r->p += line_length(r);
	if (r->p < r->end)
		r->p++;
	r->line++;
}

static bool starts(const struct reader *r, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(r->end - r->p) >= n && !memcmp(r->p, word, n);
}

/* "--- a/dir/file<tab>date"; NULL for /dev/null. */
static const char *diff_path(struct changes *cs, const struct reader *r, size_t skip,
			     bool prefixed)
{
	const char *s = r->p + skip, *slash;
	size_t n = line_length(r) - skip;
	const char *tab = memchr(s, '\t', n);

	if (tab)
		n = tab - s;
	n = trimmed(&s, n);
	if (n >= 2 && *s == '"') {
		s++;
		n -= 2;
	}
	if (n == 9 && !memcmp(s, "/dev/null", 9))
		return NULL;
	slash = memchr(s, '/', n);
	if (prefixed && slash) {
		n -= slash + 1 - s;
		s = slash + 1;
	}
	return arena_strndup(&cs->arena, s, n);
}

static bool is_safe_path(const char *p)
{
	return !p || (*p && *p != '/' && strcmp(p, "..") != 0 && !has_prefix(p, "../") &&
		      !strstr(p, "/../") && !has_suffix(p, "/.."));
}

static bool read_number(const char **p, u32 *out)
{
	u64 v = 0;

	if (!isdigit((u8) * *p))
		return false;
	while (isdigit((u8) * *p) && v < 1u << 30)
		v = v * 10 + (u64)(*(*p)++ - '0');
	*out = (u32)v;
	return v < 1u << 30;
}

static bool read_range(const char **p, char sign, u32 *start, u32 *lines)
{
	*lines = 1;
	if (**p != sign)
		return false;
	++*p;
	if (!read_number(p, start))
		return false;
	if (**p == ',') {
		++*p;
		return read_number(p, lines);
	}
	return true;
}

static const char *read_hunk(struct reader *r, struct file_change *f)
{
	struct hunk h = {.line = r->line};
	const char *p = r->p + 3;
	u32 old_left, new_left;

	if (!read_range(&p, '-', &h.old_start, &h.old_lines) || *p++ != ' ' ||
	    !read_range(&p, '+', &h.new_start, &h.new_lines) || !starts(r, "@@ "))
		return "the line that begins a hunk ('@@ -a,b +c,d @@') is broken";
	next_line(r);
	h.text = r->p;
	old_left = h.old_lines;
	new_left = h.new_lines;
	while (old_left || new_left) {
		char c = r->p < r->end ? *r->p : '\0';

		if (r->p >= r->end)
			return "the patch is cut off in the middle of a hunk";
		/* mailers strip the blank of an empty context line */
		if ((c == ' ' || c == '\n') && old_left && new_left) {
			old_left--;
			new_left--;
		} else if (c == '-' && old_left) {
			old_left--;
		} else if (c == '+' && new_left) {
			new_left--;
		} else if (c != '\\') {
			return "a hunk has not the lines that its head announces; was it "
			       "wrapped "
			       "by the mailer?";
		}
		next_line(r);
	}
	if (starts(r, "\\ No newline"))
		next_line(r);
	h.len = r->p - h.text;
	vec_push(&f->hunks, h);
	return NULL;
}

/* "diff --git a/x b/x": the paths, for changes that have no ---/+++ lines. */
static void paths_of_git_line(struct changes *cs, const struct reader *r,
			      struct file_change *f)
{
	size_t n = line_length(r);
	const char *b = memmem(r->p, n, " b/", 3);

	if (!b || n < 14)
		return;
	f->old_path = arena_strndup(&cs->arena, r->p + 13, b - r->p - 13);
	f->new_path = arena_strndup(&cs->arena, b + 3, r->p + n - b - 3);
}

static void read_extended(struct changes *cs, struct reader *r, struct file_change *f)
{
	if (starts(r, "rename from "))
		f->old_path = diff_path(cs, r, 12, false);
	else if (starts(r, "rename to "))
		f->new_path = diff_path(cs, r, 10, false);
	else if (starts(r, "new file mode"))
		f->old_path = NULL;
	else if (starts(r, "deleted file mode"))
		f->new_path = NULL;
	else if (starts(r, "GIT binary patch") || starts(r, "Binary files "))
		f->binary = true;
}

static const char *read_file_diff(struct changes *cs, struct reader *r,
				  struct file_change *f)
{
	bool git = starts(r, "diff --git ");
	const char *err;

	if (git) {
		paths_of_git_line(cs, r, f);
		next_line(r);
		while (r->p < r->end && !starts(r, "--- ") && !starts(r, "diff --git ") &&
		       !starts(r, "-- \n")) {
			read_extended(cs, r, f);
			next_line(r);
		}
	}
	if (starts(r, "--- ")) {
		f->old_path = diff_path(cs, r, 4, true);
		next_line(r);
		if (!starts(r, "+++ "))
			return "a '---' line is not followed by a '+++' line";
		f->new_path = diff_path(cs, r, 4, true);
		next_line(r);
		while (starts(r, "@@ ")) {
			err = read_hunk(r, f);
			if (err)
				return err;
		}
	}
	if (!is_safe_path(f->old_path) || !is_safe_path(f->new_path))
		return "it names a path outside the tree";
	if (!f->old_path && !f->new_path)
		return "it names no file";
	return NULL;
}

static bool at_diff(const struct reader *r)
{
	const char *nl;

	if (starts(r, "diff --git a/"))
		return true;
	if (!starts(r, "--- "))
		return false;
	nl = memchr(r->p, '\n', r->end - r->p);
	return nl && r->end - nl > 5 && !memcmp(nl + 1, "+++ ", 4);
}

const char *change_parse_diff(struct changes *cs, struct change *c, const char *text,
			      size_t len, u32 *line)
{
	struct reader r = {text, text + len, 1};
	const char *err;

	while (r.p < r.end) {
		struct file_change f = {0};

		if (!at_diff(&r)) {
			next_line(&r);
			continue;
		}
		err = read_file_diff(cs, &r, &f);
		vec_push(&c->files, f);
		*line = r.line;
		if (err)
			return err;
	}
	return NULL;
}

/* ---------------------------------------------------------------- mailboxes -------- */

/*
 * "From sender ... 10:20:30 2026" begins a mail, as git's mailsplit takes it: at the end of
 * the line is a time and a year. A paragraph may begin with "From " as well.
 */
static bool begins_mail(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', end - p), *colon;
	unsigned long year = 0;

	if (!nl)
		nl = end;
	if (nl - p < 20 || memcmp(p, "From ", 5) != 0)
		return false;
	colon = memrchr(p + 5, ':', nl - p - 5);
	if (!colon || colon - p < 10 || nl - colon < 5)
		return false;
	if (!isdigit((u8)colon[-4]) || !isdigit((u8)colon[-2]) || !isdigit((u8)colon[-1]) ||
	    !isdigit((u8)colon[1]) || !isdigit((u8)colon[2]))
		return false;
	for (colon += 3; colon < nl && *colon == ' '; colon++)
		;
	for (; colon < nl && isdigit((u8)*colon) && year < 100000; colon++)
		year = year * 10 + (unsigned long)(*colon - '0');
	return year > 90;
}

static const char *next_mail(const char *p, const char *end)
{
	while (p < end) {
		const char *nl = memchr(p, '\n', end - p);

		if (!nl || nl + 1 >= end)
			return end;
		p = nl + 1;
		if (begins_mail(p, end))
			return p;
	}
	return end;
}

static const char *read_mail(struct changes *out, struct change *c, const char *raw,
			     size_t len, u32 *line)
{
	struct reader r;
	struct mail m;
	const char *err, *stop;

	*line = 0;
	if (len > MAX_MAIL)
		return "it is larger than 64 MiB; give such a change as a commit range";
	err = mail_decode(&out->arena, raw, len, &m);
	c->title = bare_title(m.subject);
	c->author = m.from;
	c->message = "";
	if (err)
		return err;
	r = (struct reader){m.text, m.text + m.len, 1};
	/* In-body "From:" is the true author */
	if (starts(&r, "From: ")) {
		c->author = arena_strndup(&out->arena, r.p + 6, line_length(&r) - 6);
		next_line(&r);
	}
	stop = r.p;
	while (r.p < r.end && !at_diff(&r) && !starts(&r, "---\n")) {
		next_line(&r);
	}
	change_set_message(out, c, stop, r.p - stop);
	return change_parse_diff(out, c, r.p, r.end - r.p, line);
}

int mbox_read(struct changes *out, const char *name, const char *text, size_t len,
	      struct buf *errors)
{
	const char *p = text, *end = text + len, *next, *nl, *err;
	u32 at = 1, line;
	int bad = 0;

	if (len < 5 || (memcmp(p, "From ", 5) != 0 && !memmem(p, len, ":", 1))) {
		buf_printf(errors, "%s:1: this is no mailbox: no mail begins in it\n",
			   name);
		return 1;
	}
	for (; p < end; p = next) {
		struct change c = {.line = at};
		const char *from = p;

		next = next_mail(p, end);
		if (end - p > 5 && !memcmp(p, "From ", 5)) {
			nl = memchr(p, '\n', next - p);
			p = nl ? nl + 1 : next;
		}
		err = read_mail(out, &c, p, next - p, &line);
		if (err) {
			buf_printf(errors, "%s:%u: mail \"%s\"", name, at, c.title);
			if (line)
				buf_printf(errors, ", line %u of its diff", line);
			buf_printf(errors, ": %s\n", err);
			bad++;
		}
		vec_push(out, c);
		for (; from < next; from++)
			at += *from == '\n';
	}
	return bad;
}

void changes_free(struct changes *cs)
{
	size_t i, k;

	for (i = 0; i < cs->n; i++) {
		for (k = 0; k < cs->v[i].files.n; k++)
			free(cs->v[i].files.v[k].hunks.v);
		free(cs->v[i].files.v);
		free(cs->v[i].trailers.v);
	}
	free(cs->v);
	arena_free(&cs->arena);
}

/* ---------------------------------------------------------------- applying --------- */

/* Do the hunk's old lines stand at `at`? Returns the end of them, or NULL. */
static const char *matches(const struct hunk *h, const char *at, const char *end)
{
	struct reader r = {h->text, h->text + h->len, 0};

	for (; r.p < r.end; next_line(&r)) {
		size_t n = line_length(&r);
		const char *s = r.p + (n > 0);

		if (n && (*r.p == '+' || *r.p == '\\'))
			continue;
		n -= n > 0;
		if ((size_t)(end - at) < n || memcmp(at, s, n) != 0)
			return NULL;
		at += n;
		if (at < end && *at != '\n')
			return NULL;
		if (at < end)
			at++;
	}
	return at;
}

static const char *to_line(const char *text, const char *end, u32 line)
{
	const char *nl;

	for (; line > 1 && text < end; line--) {
		nl = memchr(text, '\n', end - text);
		text = nl ? nl + 1 : end;
	}
	return text;
}

/* Where the hunk fits: at its line, else at the first place after `from`. */
static const char *find_place(const struct hunk *h, const char *text, const char *from,
			      const char *end, const char **after)
{
	const char *at = to_line(text, end, h->old_start);

	if (!at || !from)
		return NULL;
	if (at >= from && (*after = matches(h, at, end)))
		return at;
	for (at = from; at < end; at = to_line(at, end, 2)) {
		*after = matches(h, at, end);
		if (*after)
			return at;
	}
	return NULL;
}

static void put_new_lines(const struct hunk *h, struct buf *out)
{
	struct reader r = {h->text, h->text + h->len, 0};
	char last = 0;

	for (; r.p < r.end; next_line(&r)) {
		size_t n = line_length(&r);
		char c = n ? *r.p : ' ';

		if (c == '\\' && last != '-' && out->n)
			out->s[--out->n] = '\0';
		if (c == ' ' || c == '+') {
			buf_add(out, r.p + (n > 0), n - (n > 0));
			buf_putc(out, '\n');
		}
		last = c;
	}
}

const char *change_apply(struct arena *a, const struct file_change *f, const char *old,
			 size_t len, struct buf *out)
{
	const char *end = old + len, *from = old, *at, *after = NULL;
	size_t i;

	out->n = 0;
	buf_add(out, "", 0);
	for (i = 0; i < f->hunks.n; i++) {
		const struct hunk *h = &f->hunks.v[i];

		at = h->old_lines ? find_place(h, old, from, end, &after)
				  : to_line(old, end, h->old_start + 1);
		if (!at || at < from)
			return arena_printf(
				a,
				"hunk %zu (@@ -%u,%u +%u,%u @@) does not apply to %s: "
				"the tree has other lines there; is it the right base?",
				i + 1, h->old_start, h->old_lines, h->new_start,
				h->new_lines, f->old_path ? f->old_path : f->new_path);
		buf_add(out, from, at - from);
		put_new_lines(h, out);
		from = h->old_lines ? after : at;
	}
	buf_add(out, from, end - from);
	return NULL;
}
