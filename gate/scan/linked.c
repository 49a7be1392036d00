// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When does what an earlier scan found out as a whole still hold?
 *
 * When no file of the tree, no line of the policy and not the program has changed: who is
 * in which module and who consumes what are then read back instead of being worked out
 * again. One file beside that of the facts (cache.c), with a sum over it: one that is
 * damaged is made anew.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "cache.h"

#define MAGIC   "exportgate linked 1"
#define NO_TEXT 0 /* where a text may be missing; others begin at 1 */

struct linked_head {
	char magic[24];
	u64 sum; /* of all that follows this field */
	u64 build, policy, tree, texts;
	u32 files, modules, members, exports, consumers, defs, unnamed, unbuilt;
};

struct linked_module {
	u32 name, builtin;
};

struct linked_export {
	u32 name, ns, via, kind, file, line, source, source_line, judged, consumers;
};

struct linked_consumer {
	u32 module, file, line, through, note;
};

struct linked_def {
	u32 file, line, str;
};

struct linked_unnamed {
	u32 file, text;
};

static u64 tree_digest(const struct tree *t)
{
	u64 h = t->files.n;
	size_t i;

	for (i = 0; i < t->files.n; i++) {
		const struct file *f = &t->files.v[i];
		u64 id[4] = {h, hash_str(f->path), f->size, f->mtime};

		h = hash_bytes((const char *)id, sizeof(id));
	}
	return h;
}

/* A tree in git has no times, one with changes laid over it is not what lies there. */
static bool is_on_disk(const struct tree *t)
{
	size_t i;

	for (i = 0; i < t->files.n; i++)
		if (t->files.v[i].text)
			return false;
	return !t->repo && !*t->unread;
}

/* ---------------------------------------------------------------- writing ---------- */

struct texts {
	struct buf b;
	struct map at; /* hash of a text -> where it is */
};

static u32 text_at(struct texts *t, const char *s)
{
	u32 *at;

	if (!s)
		return NO_TEXT;
	at = map_get(&t->at, hash_str(s), NO_TEXT);
	if (*at == NO_TEXT) {
		*at = t->b.n;
		buf_add(&t->b, s, strlen(s) + 1);
	}
	return *at;
}

static void add_exports(const struct scan *s, struct buf *b, struct texts *texts)
{
	size_t i;

	for (i = 0; i < s->exports.n; i++) {
		const struct export *e = &s->exports.v[i];
		struct linked_export x = {
			.name = text_at(texts, e->name),
			.ns = text_at(texts, e->ns),
			.via = text_at(texts, e->via),
			.kind = e->kind,
			.file = e->file,
			.line = e->line,
			.source = e->source,
			.source_line = e->source_line,
			.judged = e->judged,
			.consumers = e->nconsumers,
		};

		buf_add(b, &x, sizeof(x));
	}
}

/* Of the definitions, those that somebody consumes through: numbered anew. */
static void add_consumers(const struct scan *s, struct buf *b, struct texts *texts,
			  struct linked_head *head)
{
	struct buf defs = {0};
	struct map number = {0};
	size_t i, k;

	for (i = 0; i < s->exports.n; i++)
		for (k = 0; k < s->exports.v[i].nconsumers; k++) {
			const struct consumer *c = &s->exports.v[i].consumers[k];
			struct linked_consumer x = {.module = c->module,
						    .file = c->file,
						    .line = c->line,
						    .note = text_at(texts, c->note)};
			u32 *at = c->through ? map_get(&number, c->through, 0) : NULL;

			if (at && !*at) {
				const struct def *d = &s->defs.v[c->through - 1];
				struct linked_def y = {
					.file = d->file, .line = d->line, .str = d->str};

				buf_add(&defs, &y, sizeof(y));
				*at = ++head->defs;
			}
			x.through = at ? *at : 0;
			buf_add(b, &x, sizeof(x));
			head->consumers++;
		}
	if (defs.n)
		buf_add(b, defs.s, defs.n);
	buf_free(&defs);
	map_free(&number);
}

static void add_all(const struct scan *s, struct buf *b, struct linked_head *head)
{
	struct texts texts = {0};
	size_t i;

	buf_add(&texts.b, "", 1); /* NO_TEXT */
	for (i = 0; i < s->modules.n; i++) {
		struct linked_module x = {text_at(&texts, s->modules.v[i].name),
					  s->modules.v[i].builtin};

		buf_add(b, &x, sizeof(x));
	}
	buf_add(b, s->first, (s->tree->files.n + 1) * sizeof(u32));
	buf_add(b, s->member, head->members * sizeof(u32));
	add_exports(s, b, &texts);
	add_consumers(s, b, &texts, head);
	for (i = 0; i < s->unnamed.n; i++) {
		struct linked_unnamed x = {s->unnamed.v[i].file,
					   text_at(&texts, s->unnamed.v[i].text)};

		buf_add(b, &x, sizeof(x));
	}
	head->texts = texts.b.n;
	buf_add(b, texts.b.s, texts.b.n);
	while (b->n % 8) /* as the cache's files are long */
		buf_putc(b, 0);
	buf_free(&texts.b);
	map_free(&texts.at);
}

static u64 sum_of(const struct buf *b)
{
	size_t from = offsetof(struct linked_head, build);

	return hash_bytes(b->s + from, b->n - from);
}

void linked_store(const char *dir, const struct scan *s)
{
	struct linked_head head = {.build = cache_build_id(),
				   .policy = s->policy->text,
				   .files = s->tree->files.n,
				   .modules = s->modules.n,
				   .exports = s->exports.n,
				   .unnamed = s->unnamed.n,
				   .unbuilt = s->stats.unbuilt};
	struct buf b = {0};

	if (!is_on_disk(s->tree))
		return;
	memcpy(head.magic, MAGIC, sizeof(MAGIC));
	head.tree = tree_digest(s->tree);
	head.members = s->first[s->tree->files.n];
	buf_add(&b, &head, sizeof(head));
	add_all(s, &b, &head);
	memcpy(b.s, &head, sizeof(head));
	head.sum = sum_of(&b);
	memcpy(b.s, &head, sizeof(head));
	cache_write(dir, s, "linked", &b);
	buf_free(&b);
}

/* ---------------------------------------------------------------- reading ---------- */

/* The next `n` things of `size` bytes in what was read. */
struct reader {
	const char *at;
	size_t left;
};

static const void *take(struct reader *r, size_t n, size_t size)
{
	const void *p = r->at;

	if (size && n > r->left / size) {
		r->left = 0;
		return NULL;
	}
	r->at += n * size;
	r->left -= n * size;
	return p;
}

struct tables {
	const struct linked_module *modules;
	const u32 *first, *member;
	const struct linked_export *exports;
	const struct linked_consumer *consumers;
	const struct linked_def *defs;
	const struct linked_unnamed *unnamed;
	const char *texts;
};

static bool find_tables(const struct linked_head *h, struct reader r, struct tables *t)
{
	t->modules = take(&r, h->modules, sizeof(*t->modules));
	t->first = take(&r, h->files + 1, sizeof(u32));
	t->member = take(&r, h->members, sizeof(u32));
	t->exports = take(&r, h->exports, sizeof(*t->exports));
	t->consumers = take(&r, h->consumers, sizeof(*t->consumers));
	t->defs = take(&r, h->defs, sizeof(*t->defs));
	t->unnamed = take(&r, h->unnamed, sizeof(*t->unnamed));
	t->texts = take(&r, h->texts, 1);
	return t->texts && h->texts;
}

static const char *text_of(struct scan *s, const struct tables *t, u32 at)
{
	const char *text = t->texts + at;

	return at == NO_TEXT ? NULL : arena_strndup(&s->arena, text, strlen(text));
}

static struct consumer *restore_consumers(struct scan *s, const struct tables *t,
					  const struct linked_consumer *from, u32 n)
{
	struct consumer *c = xcalloc(n + 1, sizeof(*c));
	u32 i;

	for (i = 0; i < n; i++)
		c[i] = (struct consumer){.module = from[i].module,
					 .file = from[i].file,
					 .line = from[i].line,
					 .through = from[i].through,
					 .note = text_of(s, t, from[i].note)};
	return c;
}

static void restore_exports(struct scan *s, const struct linked_head *h,
			    const struct tables *t)
{
	const struct linked_consumer *next = t->consumers;
	u32 i;

	for (i = 0; i < h->exports; i++) {
		const struct linked_export *x = &t->exports[i];
		struct export e = {
			.name = text_of(s, t, x->name),
			.ns = text_of(s, t, x->ns),
			.via = text_of(s, t, x->via),
			.kind = x->kind,
			.file = x->file,
			.line = x->line,
			.source = x->source,
			.source_line = x->source_line,
			.judged = x->judged,
			.consumers = restore_consumers(s, t, next, x->consumers),
			.nconsumers = x->consumers,
			.added = -1,
			.consumed = -1,
		};

		next += x->consumers;
		vec_push(&s->exports, e);
	}
}

static void restore(struct scan *s, const struct linked_head *h, const struct tables *t)
{
	u32 i;

	for (i = 0; i < h->modules; i++)
		scan_module(s, t->texts + t->modules[i].name, t->modules[i].builtin);
	s->first = xcalloc(h->files + 1, sizeof(u32));
	memcpy(s->first, t->first, (h->files + 1) * sizeof(u32));
	s->member = xcalloc(h->members + 1, sizeof(u32));
	memcpy(s->member, t->member, h->members * sizeof(u32));
	restore_exports(s, h, t);
	for (i = 0; i < h->defs; i++) {
		struct def d = {.file = t->defs[i].file,
				.line = t->defs[i].line,
				.str = t->defs[i].str};

		vec_push(&s->defs, d);
	}
	for (i = 0; i < h->unnamed; i++) {
		struct unnamed u = {t->unnamed[i].file, text_of(s, t, t->unnamed[i].text)};

		vec_push(&s->unnamed, u);
	}
	s->stats.unbuilt = h->unbuilt;
}

/* Was it written by this program, of this very tree and policy, and is it whole? */
static bool still_holds(const struct linked_head *h, const struct scan *s,
			const struct buf *b)
{
	return !memcmp(h->magic, MAGIC, sizeof(MAGIC)) && h->sum == sum_of(b) &&
	       h->build == cache_build_id() && h->policy == s->policy->text &&
	       h->files == s->tree->files.n && h->tree == tree_digest(s->tree);
}

bool linked_load(const char *dir, struct scan *s)
{
	struct linked_head head = {0};
	struct tables tables;
	struct buf b = {0};
	bool ok = false;

	if (!is_on_disk(s->tree) || !cache_read(dir, s, "linked", &b))
		return false;
	if (b.n > sizeof(head)) {
		memcpy(&head, b.s, sizeof(head));
		ok = still_holds(&head, s, &b) &&
		     find_tables(&head,
				 (struct reader){b.s + sizeof(head), b.n - sizeof(head)},
				 &tables);
	}
	if (ok)
		restore(s, &head, &tables);
	buf_free(&b);
	return ok;
}
