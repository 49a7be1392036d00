// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which facts of an earlier scan still hold?
 *
 * The facts of all files lie in one file, as they are in memory, and are mapped back. A
 * file's facts hold while its size and time of change are the same; those of sources also
 * need that the headers' macros make the same names, which a digest tells. One sum stands
 * over the head and the table of files, one over each file's facts: what is damaged, of
 * another version or of another machine is no error, it is made anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"

#define MAGIC "exportgate facts 2\n"

struct cache_head {
	char magic[24];
	u64 sum; /* of the rest of this head and of the table of files after it */
	u64 policy, digest, build;
	u64 size; /* of the whole file */
	u32 nfiles, pad;
};

struct cache_file {
	u64 path; /* hash */
	u64 size, mtime;
	u32 n[FA_COUNT];
	u32 pad;
	u64 offset;
	u64 sum; /* of its facts */
};

struct cache {
	char *map;
	size_t size;
	const struct cache_head *head;
	const struct cache_file *file;
	struct map index; /* hash of path -> file */
};

/* Facts of another build of the extraction are of no use. */
u64 cache_build_id(void)
{
	struct stat st;
	u64 id[3] = {sizeof(struct fact_call), 0, 0};

	if (!stat("/proc/self/exe", &st)) {
		id[1] = st.st_size;
		id[2] = st.st_mtim.tv_sec * 1000000000ull + st.st_mtim.tv_nsec;
	}
	return hash_str(EXPORTGATE_VERSION) ^ hash_bytes((const char *)id, sizeof(id));
}

static char *cache_name(const char *dir, const struct tree *t, u64 policy, const char *what)
{
	char *real = realpath(t->root, NULL);
	char *name =
		xasprintf("%s/%016llx.%s", dir,
			  (unsigned long long)(hash_str(real ? real : t->root) ^ policy),
			  what);

	free(real);
	return name;
}

static u64 facts_sum(const struct facts *f)
{
	u64 h[2] = {0};
	int k;

	for (k = 0; k < FA_COUNT; k++) {
		h[1] = hash_bytes(f->a[k], (size_t)f->n[k] * facts_size[k]);
		h[0] = hash_bytes((const char *)h, sizeof(h));
	}
	return h[0];
}

static u64 table_sum(const struct cache_head *head, const struct cache_file *file)
{
	size_t from = offsetof(struct cache_head, policy);
	u64 h[2] = {hash_bytes((const char *)head + from, sizeof(*head) - from),
		    hash_bytes((const char *)file, head->nfiles * sizeof(*file))};

	return hash_bytes((const char *)h, sizeof(h));
}

static bool is_sound(const struct cache *c, u64 policy)
{
	const struct cache_head *h = c->head;
	u32 i, k;

	if (c->size < sizeof(*h) || memcmp(h->magic, MAGIC, sizeof(MAGIC)) != 0 ||
	    h->policy != policy || h->build != cache_build_id() || h->size != c->size ||
	    h->nfiles > (c->size - sizeof(*h)) / sizeof(struct cache_file) ||
	    h->sum != table_sum(h, c->file))
		return false;
	for (i = 0; i < h->nfiles; i++) {
		u64 end = c->file[i].offset;

		for (k = 0; k < FA_COUNT; k++)
			end += ((u64)c->file[i].n[k] * facts_size[k] + 7) & ~7ull;
		if (c->file[i].offset > c->size || end > c->size || c->file[i].offset & 7)
			return false;
	}
	return true;
}

struct cache *cache_load(const char *dir, const struct tree *t, u64 policy)
{
	char *name = cache_name(dir, t, policy, "facts");
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	struct cache *c = xcalloc(1, sizeof(*c));
	struct stat st;
	u32 i;

	free(name);
	if (fd >= 0 && !fstat(fd, &st) && st.st_size > (off_t)sizeof(struct cache_head)) {
		c->size = st.st_size;
		c->map = mmap(NULL, c->size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (c->map == MAP_FAILED)
			c->map = NULL;
	}
	if (fd >= 0)
		close(fd);
	c->head = (void *)c->map;
	c->file = c->map ? (void *)(c->map + sizeof(*c->head)) : NULL;
	if (!c->map || !is_sound(c, policy)) {
		cache_free(c);
		return NULL;
	}
	for (i = 0; i < c->head->nfiles; i++)
		*map_get(&c->index, c->file[i].path, i) = i;
	return c;
}

static void take_facts(const struct cache *c, const struct cache_file *cf, struct file *f)
{
	const char *p = c->map + cf->offset;
	struct facts facts = {0};
	int k;

	for (k = 0; k < FA_COUNT; k++) {
		facts.n[k] = cf->n[k];
		facts.a[k] = p;
		p += ((u64)cf->n[k] * facts_size[k] + 7) & ~7ull;
	}
	if (facts_sum(&facts) != cf->sum)
		return;
	f->facts = facts;
	f->has_facts = true;
}

bool cache_take(struct cache *c, struct tree *t, bool headers, u64 digest)
{
	size_t i;
	u32 *at;

	if (!headers && digest != c->head->digest)
		return false;
	for (i = 0; i < t->files.n; i++) {
		struct file *f = &t->files.v[i];

		if (f->has_facts || (f->kind == FILE_HEADER) != headers || f->text)
			continue;
		at = map_find(&c->index, hash_str(f->path));
		if (at && c->file[*at].size == f->size && c->file[*at].mtime == f->mtime)
			take_facts(c, &c->file[*at], f);
	}
	return true;
}

struct writer {
	int fd;
	int err;
	struct buf b;
};

static void flush(struct writer *w)
{
	size_t done = 0;
	ssize_t n;

	while (!w->err && done < w->b.n) {
		n = write(w->fd, w->b.s + done, w->b.n - done);
		if (n > 0)
			done += n;
		else if (n < 0 && errno != EINTR)
			w->err = errno;
	}
	w->b.n = 0;
}

static void put(struct writer *w, const void *p, size_t n)
{
	static const char zero[8];

	buf_add(&w->b, p, n);
	buf_add(&w->b, zero, (8 - n % 8) % 8);
	if (w->b.n > (4u << 20))
		flush(w);
}

static bool is_kept(const struct file *f)
{
	return f->has_facts && !f->text;
}

/* Of each file that is kept, where its facts will lie and their sum. */
static struct cache_file *make_table(const struct tree *t, struct cache_head *head)
{
	struct cache_file *table, *cf;
	size_t i;
	int k;

	for (i = 0; i < t->files.n; i++)
		head->nfiles += is_kept(&t->files.v[i]);
	cf = table = xcalloc(head->nfiles + 1, sizeof(*table));
	head->size = sizeof(*head) + (u64)head->nfiles * sizeof(*table);
	for (i = 0; i < t->files.n; i++) {
		const struct file *f = &t->files.v[i];

		if (!is_kept(f))
			continue;
		cf->path = hash_str(f->path);
		cf->size = f->size;
		cf->mtime = f->mtime;
		cf->offset = head->size;
		cf->sum = facts_sum(&f->facts);
		for (k = 0; k < FA_COUNT; k++) {
			cf->n[k] = f->facts.n[k];
			head->size += ((u64)cf->n[k] * facts_size[k] + 7) & ~7ull;
		}
		cf++;
	}
	return table;
}

static void write_all(struct writer *w, const struct tree *t, struct cache_head *head)
{
	struct cache_file *table = make_table(t, head);
	size_t i;
	int k;

	head->sum = table_sum(head, table);
	put(w, head, sizeof(*head));
	put(w, table, head->nfiles * sizeof(*table));
	for (i = 0; i < t->files.n; i++)
		for (k = 0; k < FA_COUNT && is_kept(&t->files.v[i]); k++)
			put(w, t->files.v[i].facts.a[k],
			    (size_t)t->files.v[i].facts.n[k] * facts_size[k]);
	flush(w);
	free(table);
}

/*
 * The unfinished file has one name: what a scan that was killed left behind is written over
 * by the next, and does not add up. Two scans at a time: the second leaves it to the first,
 * which has the lock. -1: errno says why.
 */
static int open_unfinished(const char *tmp)
{
	struct stat ours, named;
	int fd = open(tmp, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return -1;
	/* It may have become the finished file while we were about to lock it. */
	if (!flock(fd, LOCK_EX | LOCK_NB) && !fstat(fd, &ours) && !stat(tmp, &named) &&
	    ours.st_ino == named.st_ino && !ftruncate(fd, 0))
		return fd;
	close(fd);
	errno = EWOULDBLOCK;
	return -1;
}

/* A file that cannot be written costs time, so it is a warning and no error. */
static void store(const char *name, void (*fill)(struct writer *w, void *arg), void *arg)
{
	char *tmp = xasprintf("%s.new", name);
	struct writer w = {.fd = open_unfinished(tmp)};

	if (w.fd < 0) {
		w.err = errno;
	} else {
		fill(&w, arg);
		flush(&w);
		if (!w.err && rename(tmp, name))
			w.err = errno;
		if (w.err)
			unlink(tmp);
		close(w.fd);
	}
	if (w.err && w.err != EWOULDBLOCK)
		warn("cannot write cache %s: %s; the next scan is as slow as this one",
		     name, strerror(w.err));
	buf_free(&w.b);
	free(tmp);
}

struct stored {
	const struct tree *t;
	struct cache_head *head;
};

static void fill_facts(struct writer *w, void *arg)
{
	const struct stored *what = arg;

	write_all(w, what->t, what->head);
}

void cache_store(const char *dir, const struct tree *t, u64 policy, u64 digest)
{
	struct cache_head head = {
		.policy = policy, .digest = digest, .build = cache_build_id()};
	struct stored what = {.t = t, .head = &head};
	char *name;

	if (t->repo)
		return;
	memcpy(head.magic, MAGIC, sizeof(MAGIC));
	name = cache_name(dir, t, policy, "facts");
	store(name, fill_facts, &what);
	free(name);
}

static void fill_whole(struct writer *w, void *arg)
{
	const struct buf *b = arg;

	put(w, b->s, b->n);
}

void cache_write(const char *dir, const struct scan *s, const char *what, struct buf *b)
{
	char *name = cache_name(dir, s->tree, policy_digest(s->policy), what);

	store(name, fill_whole, b);
	free(name);
}

bool cache_read(const char *dir, const struct scan *s, const char *what, struct buf *b)
{
	char *name = cache_name(dir, s->tree, policy_digest(s->policy), what);
	bool there = !read_into(b, AT_FDCWD, name);

	free(name);
	return there;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	if (c->map)
		munmap(c->map, c->size);
	map_free(&c->index);
	free(c);
}
