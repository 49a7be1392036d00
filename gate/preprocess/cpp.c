// SPDX-License-Identifier: GPL-2.0-or-later
/* In which order do a source's tokens come, through its includes and conditions? */
#include <stdlib.h>

#include "cpp.h"
#include "policy/policy.h"

/* A source that does not end by then is one that was made to harm. */
#define MAX_WORK     (60ull * 1000 * 1000)
#define MAX_INCLUDES 60

void cpp_init(struct cpp *p, const struct tree *t)
{
	struct cname none = {.s = ""};

	memset(p, 0, sizeof(*p));
	p->tree = t;
	p->files = xcalloc(t->files.n + 1, sizeof(*p->files));
	vec_push(&p->names, none);
	cpp_index_headers(p);
}

void cpp_free(struct cpp *p)
{
	size_t i;

	for (i = 0; i < p->tree->files.n; i++)
		free(p->files[i].t);
	free(p->files);
	free(p->macro);
	free(p->next_base);
	free(p->marked);
	map_free(&p->by_base);
	map_free(&p->name_index);
	vec_free(&p->names);
	vec_free(&p->touched);
	vec_free(&p->marks);
	arena_free(&p->arena);
	arena_free(&p->unit);
}

static void open_file(struct cpp *p, u32 file)
{
	const struct cfile *f = cpp_file(p, file);

	p->includes++;
	cpp_push(p, f->t, f->n, 0, file);
}

void cpp_begin(struct cpp *p, u32 file, const struct strings *incs)
{
	size_t i;

	for (i = 0; i < p->touched.n; i++)
		p->macro[p->touched.v[i]] = (struct cmacro){0};
	p->touched.n = 0;
	p->marks.n = 0;
	p->nmarked = 0;
	arena_free(&p->unit);
	p->incs = incs;
	p->nstream = p->base = p->nconds = p->includes = p->unsure = 0;
	p->raw = p->gave_up = p->unknown_header = false;
	p->work = 0;
	cpp_platform(p);
	open_file(p, file);
}

void cpp_define(struct cpp *p, const char *flag)
{
	const char *eq = strchr(flag, '=');
	struct ctoken *t = NULL, *copy;
	char *text =
		arena_printf(&p->unit, "%.*s %s", (int)(eq ? eq - flag : (int)strlen(flag)),
			     flag, eq ? eq + 1 : "1");
	u32 n = cpp_lex(p, text, strlen(text), NO_FILE, &t);

	if (!n) {
		free(t);
		return;
	}
	copy = arena_alloc(&p->unit, n * sizeof(*copy));
	memcpy(copy, t, n * sizeof(*copy));
	free(t);
	cpp_read_define(p, copy, copy + n);
}

void cpp_absent(struct cpp *p, const char *flag)
{
	u32 id = cpp_name(p, flag, strcspn(flag, "=("));
	struct cmacro *m = cpp_macro(p, id);

	if (m->state == MAC_DEFINED)
		return;
	m->state = MAC_ABSENT;
	vec_push(&p->touched, id);
}

/* ---------------------------------------------------------------- conditions ------- */

static bool reading(const struct cpp *p)
{
	return !p->nconds || p->cond[p->nconds - 1].active;
}

static void mark(struct cpp *p, u8 kind, u8 what)
{
	struct ctoken t = {.s = "", .kind = kind, .punct = what};

	vec_push(&p->marks, t);
}

static void branch(struct cpp *p, struct ccond *c, enum truth truth)
{
	if (c->taken || truth == TRUTH_NO) {
		c->active = false;
		return;
	}
	c->active = true;
	if (truth == TRUTH_YES)
		c->taken = true;
	if (truth == TRUTH_YES && !c->unsure)
		return;
	mark(p, CT_BRANCH, c->unsure ? BRANCH_NEXT : BRANCH_BEGIN);
	if (!c->unsure)
		p->unsure++;
	c->unsure = true;
}

static void begin_condition(struct cpp *p, enum truth truth)
{
	struct ccond c = {.outside = !reading(p)};

	if (p->nconds == CPP_MAX_CONDS) {
		p->gave_up = true;
		return;
	}
	if (!c.outside)
		branch(p, &c, truth);
	p->cond[p->nconds++] = c;
}

static void end_condition(struct cpp *p)
{
	struct ccond *c;

	if (!p->nconds)
		return;
	c = &p->cond[--p->nconds];
	if (!c->unsure)
		return;
	p->unsure--;
	mark(p, CT_BRANCH, BRANCH_END);
}

/* ---------------------------------------------------------------- directives ------- */

static bool is_word(const struct cpp *p, const struct ctoken *t, const char *word)
{
	return t->kind == CT_ID && !strcmp(cpp_text(p, t->id), word);
}

static bool is_open(const struct cpp *p, u32 file)
{
	u32 i;

	for (i = 0; i < p->nstream; i++)
		if (p->stream[i].file == file)
			return true;
	return false;
}

static u32 current_file(const struct cpp *p)
{
	u32 i;

	for (i = p->nstream; i > 0; i--)
		if (p->stream[i - 1].file != NO_FILE)
			return p->stream[i - 1].file;
	return NO_FILE;
}

/* The guard of a header that was read, if only in a branch, means: not again. */
static enum truth guard_truth(struct cpp *p, u32 id)
{
	u32 file = current_file(p);

	if (file != NO_FILE && p->files[file].guard == id)
		return cpp_macro(p, id)->state == MAC_DEFINED ? TRUTH_YES : TRUTH_NO;
	return cpp_defined(p, id);
}

static void include(struct cpp *p, const struct ctoken *t, u32 n)
{
	struct ctoken *full;
	struct buf path = {0};
	bool quoted;
	u32 file, i, from = current_file(p);

	if (n && t->kind == CT_ID) {
		n = cpp_expand_list(p, t, n, &full);
		t = full;
	}
	if (!n || from == NO_FILE || p->includes > MAX_INCLUDES)
		return;
	quoted = t->kind == CT_STR;
	if (quoted)
		buf_add(&path, t->s + 1, t->len > 2 ? t->len - 2 : 0);
	for (i = 1; ctoken_punct(t, '<') && i < n && !ctoken_punct(&t[i], '>'); i++)
		buf_add(&path, t[i].s, t[i].len);
	file = path.n ? cpp_find_header(p, from, path.s, quoted) : NO_FILE;
	buf_free(&path);
	p->unknown_header |= quoted && file == NO_FILE;
	if (file == NO_FILE || (is_open(p, file) && p->includes > 20))
		return;
	open_file(p, file);
}

static void undefine(struct cpp *p, const struct ctoken *t)
{
	const struct file *f = &p->tree->files.v[t->file];
	struct cmacro *m;

	if (t->kind != CT_ID)
		return;
	m = cpp_macro(p, t->id);
	vec_push(&p->touched, t->id);
	/* what configure writes instead is its own affair */
	if (f->kind == FILE_TEMPLATE) {
		if (m->state == MAC_NONE)
			m->state = MAC_MAYBE;
		return;
	}
	if (p->unsure && m->state == MAC_DEFINED) {
		m->unsure = true;
		return;
	}
	*m = (struct cmacro){.state = MAC_ABSENT, .busy = m->busy};
}

static void pragma(struct cpp *p, const struct ctoken *t, u32 n)
{
	u32 i;

	if (n < 3 || !is_word(p, t, "GCC") || !is_word(p, &t[1], "visibility"))
		return;
	if (is_word(p, &t[2], "pop"))
		mark(p, CT_VISIBILITY, '<');
	for (i = 3; i < n && is_word(p, &t[2], "push"); i++)
		if (t[i].kind == CT_ID)
			mark(p, CT_VISIBILITY, cpp_text(p, t[i].id)[0]);
}

static void conditional(struct cpp *p, const struct ctoken *t, u32 n)
{
	struct ccond *c = p->nconds ? &p->cond[p->nconds - 1] : NULL;
	enum truth truth = TRUTH_UNKNOWN;

	if (is_word(p, t, "endif")) {
		end_condition(p);
	} else if (is_word(p, t, "else")) {
		if (c && !c->outside)
			branch(p, c, c->unsure ? TRUTH_UNKNOWN : TRUTH_YES);
	} else if (is_word(p, t, "elif")) {
		if (c && !c->outside)
			branch(p, c, c->taken ? TRUTH_NO : cpp_condition(p, t + 1, n - 1));
	} else {
		if (reading(p) && n > 1 && t[1].kind == CT_ID && is_word(p, t, "ifdef"))
			truth = cpp_defined(p, t[1].id);
		else if (reading(p) && n > 1 && t[1].kind == CT_ID &&
			 is_word(p, t, "ifndef"))
			truth = guard_truth(p, t[1].id) == TRUTH_UNKNOWN
					? TRUTH_UNKNOWN
					: TRUTH_YES - guard_truth(p, t[1].id);
		else if (reading(p) && is_word(p, t, "if"))
			truth = cpp_condition(p, t + 1, n - 1);
		begin_condition(p, truth);
	}
}

static bool is_conditional(const struct cpp *p, const struct ctoken *t)
{
	return is_word(p, t, "if") || is_word(p, t, "ifdef") || is_word(p, t, "ifndef") ||
	       is_word(p, t, "elif") || is_word(p, t, "else") || is_word(p, t, "endif");
}

/* A directive's tokens, without '#' and the line's end. */
static void directive(struct cpp *p, const struct ctoken *t, u32 n)
{
	if (!n || t->kind != CT_ID)
		return;
	if (is_conditional(p, t)) {
		conditional(p, t, n);
		return;
	}
	if (!reading(p))
		return;
	if (is_word(p, t, "define"))
		cpp_read_define(p, t + 1, t + n);
	else if (is_word(p, t, "cmakedefine") || is_word(p, t, "mesondefine") ||
		 (is_word(p, t, "undef") && n > 1))
		undefine(p, t + (n > 1));
	else if (is_word(p, t, "include") || is_word(p, t, "include_next"))
		include(p, t + 1, n - 1);
	else if (is_word(p, t, "pragma"))
		pragma(p, t + 1, n - 1);
}

static void read_directive(struct cpp *p, struct cstream *s)
{
	const struct ctoken *from = ++s->t;

	while (s->t < s->end && s->t->kind != CT_EOL)
		s->t++;
	p->work += s->t - from;
	if (s->t < s->end)
		s->t++;
	/* the stack of streams may move on: s is not looked at again */
	directive(p, from, s->t - from - (s->t > from && s->t[-1].kind == CT_EOL));
}

/* ---------------------------------------------------------------- tokens ----------- */

static void pop(struct cpp *p)
{
	struct cstream *s = &p->stream[--p->nstream];

	if (s->macro)
		cpp_macro(p, s->macro)->busy = false;
	if (s->file == NO_FILE)
		return;
	p->includes--;
	while (p->nconds > s->conds)
		end_condition(p);
}

void cpp_raw_next(struct cpp *p, struct ctoken *t)
{
	for (;;) {
		struct cstream *s;

		if (p->marks.n) {
			*t = p->marks.v[0];
			memmove(p->marks.v, p->marks.v + 1, --p->marks.n * sizeof(*t));
			return;
		}
		if (p->nstream <= p->base || p->gave_up || p->work > MAX_WORK) {
			p->gave_up |= p->work > MAX_WORK;
			*t = (struct ctoken){.s = "", .kind = CT_EOF};
			return;
		}
		s = &p->stream[p->nstream - 1];
		if (s->t >= s->end) {
			pop(p);
			continue;
		}
		p->work++;
		if (s->file != NO_FILE && s->t->kind == CT_HASH) {
			read_directive(p, s);
			continue;
		}
		*t = *s->t++;
		p->from_macro = s->file == NO_FILE;
		if (s->file == NO_FILE || reading(p))
			return;
	}
}

void cpp_next(struct cpp *p, struct ctoken *t)
{
	do {
		cpp_raw_next(p, t);
		if (t->kind != CT_ID || t->no_macro || (p->raw && !p->from_macro))
			return;
		if (cpp_macro(p, t->id)->busy)
			t->no_macro = 1;
	} while (!t->no_macro && cpp_expand(p, t));
}
