// SPDX-License-Identifier: GPL-2.0-or-later
/* What does every part of exportgate need that libc does not give? */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

static void report(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("exportgate: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fmt, ap);
	va_end(ap);
	exit(EXIT_TROUBLE);
}

void warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fmt, ap);
	va_end(ap);
}

void *xrealloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (!p)
		die("out of memory (%zu bytes asked); scan a smaller part of the tree", n);
	return p;
}

void *xmalloc(size_t n)
{
	return xrealloc(NULL, n);
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		die("out of memory (%zu bytes asked); scan a smaller part of the tree",
		    n * size);
	return p;
}

char *xstrndup(const char *s, size_t n)
{
	char *p = xmalloc(n + 1);

	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		die("out of memory");
	va_end(ap);
	return s;
}

void *vec_grow(void *v, size_t *cap, size_t size)
{
	*cap = *cap ? *cap * 2 : 16;
	return xrealloc(v, *cap * size);
}

void *vec_reserve(void *v, size_t *cap, size_t need, size_t size)
{
	if (need <= *cap)
		return v;
	while (*cap < need)
		*cap = *cap ? *cap * 2 : 16;
	return xrealloc(v, *cap * size);
}

struct arena_block {
	struct arena_block *prev;
	size_t used, size;
	char data[];
};

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->last;
	size_t size;
	void *p;

	n = (n + 7) & ~(size_t)7;
	if (!b || b->size - b->used < n) {
		size = n > (1u << 18) ? n : (1u << 18);
		b = xmalloc(sizeof(*b) + size);
		b->prev = a->last;
		b->used = 0;
		b->size = size;
		a->last = b;
	}
	p = b->data + b->used;
	b->used += n;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s, *p;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		die("out of memory");
	va_end(ap);
	p = arena_strndup(a, s, strlen(s));
	free(s);
	return p;
}

void arena_join(struct arena *to, struct arena *from)
{
	struct arena_block *b = from->last;

	if (!b)
		return;
	while (b->prev)
		b = b->prev;
	b->prev = to->last;
	to->last = from->last;
	from->last = NULL;
}

void arena_free(struct arena *a)
{
	struct arena_block *b, *prev;

	for (b = a->last; b; b = prev) {
		prev = b->prev;
		free(b);
	}
	a->last = NULL;
}

void buf_add(struct buf *b, const void *s, size_t n)
{
	b->s = vec_reserve(b->s, &b->cap, b->n + n + 1, 1);
	if (n)
		memcpy(b->s + b->n, s, n);
	b->n += n;
	b->s[b->n] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("out of memory");
	buf_add(b, s, n);
	free(s);
}

void buf_free(struct buf *b)
{
	free(b->s);
	memset(b, 0, sizeof(*b));
}

u64 hash_bytes(const char *s, size_t n)
{
	u64 h = 0x9e3779b97f4a7c15ull ^ (n * 0xff51afd7ed558ccdull), w;

	for (; n >= 8; s += 8, n -= 8) {
		memcpy(&w, s, 8);
		h = (h ^ w) * 0x9fb21c651e98df25ull;
		h ^= h >> 32;
	}
	if (n) {
		w = 0;
		memcpy(&w, s, n);
		h = (h ^ w) * 0x9fb21c651e98df25ull;
		h ^= h >> 32;
	}
	h *= 0xd6e8feb86659fd93ull;
	h ^= h >> 29;
	return h ? h : 1;
}

/* Keys may be anything but 0, so the place is made from all of their bits. */
static inline size_t map_place(u64 key, size_t mask)
{
	return ((key * 0x9e3779b97f4a7c15ull) >> 20) & mask;
}

u32 *map_find(const struct map *m, u64 key)
{
	size_t i;

	if (!m->n)
		return NULL;
	for (i = map_place(key, m->mask); m->key[i]; i = (i + 1) & m->mask)
		if (m->key[i] == key)
			return &m->val[i];
	return NULL;
}

static void map_rehash(struct map *m)
{
	size_t size = m->mask ? (m->mask + 1) * 2 : 64, i, j;
	u64 *key = xcalloc(size, sizeof(*key));
	u32 *val = xcalloc(size, sizeof(*val));

	for (i = 0; m->key && i <= m->mask; i++) {
		if (!m->key[i])
			continue;
		for (j = map_place(m->key[i], size - 1); key[j]; j = (j + 1) & (size - 1))
			;
		key[j] = m->key[i];
		val[j] = m->val[i];
	}
	free(m->key);
	free(m->val);
	m->key = key;
	m->val = val;
	m->mask = size - 1;
}

u32 *map_get(struct map *m, u64 key, u32 fresh)
{
	size_t i;

	if (!m->key || m->n * 2 > m->mask)
		map_rehash(m);
	for (i = map_place(key, m->mask); m->key[i]; i = (i + 1) & m->mask)
		if (m->key[i] == key)
			return &m->val[i];
	m->key[i] = key;
	m->val[i] = fresh;
	m->n++;
	return &m->val[i];
}

void map_free(struct map *m)
{
	free(m->key);
	free(m->val);
	memset(m, 0, sizeof(*m));
}

#define PAD 64

int read_into(struct buf *b, int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got;
	int err = 0;

	if (fd < 0)
		return -errno;
	b->n = 0;
	do {
		b->s = vec_reserve(b->s, &b->cap, b->n + 65536 + PAD, 1);
		got = read(fd, b->s + b->n, b->cap - PAD - b->n);
		if (got > 0)
			b->n += got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		err = -errno;
	close(fd);
	memset(b->s + b->n, 0, PAD);
	return err;
}

char *read_file(const char *path, size_t *size)
{
	struct buf b = {0};
	int err = read_into(&b, AT_FDCWD, path);

	if (err) {
		buf_free(&b);
		errno = -err;
		return NULL;
	}
	if (size)
		*size = b.n;
	return b.s;
}

/* '*' stops at '/' when `path` is set; '**' never does. */
static bool match_here(const char *p, const char *s, bool path)
{
	for (; *p; p++, s++) {
		if (*p == '*') {
			bool deep = p[1] == '*' || !path;

			while (*p == '*')
				p++;
			if (deep && path && *p == '/' && match_here(p + 1, s, path))
				return true;
			for (;; s++) {
				if (match_here(p, s, path))
					return true;
				if (!*s || (*s == '/' && !deep))
					return false;
			}
		}
		if (!*s || (*p == '?' ? path && *s == '/' : *p != *s))
			return false;
	}
	return !*s;
}

bool str_match(const char *pattern, const char *s)
{
	return match_here(pattern, s, false);
}

bool path_match(const char *pattern, const char *path)
{
	size_t n = strlen(pattern);
	const char *base = strrchr(path, '/');
	char *deep;
	bool hit;

	if (!n)
		return false;
	if (pattern[n - 1] == '/') {
		deep = xasprintf("%s**", pattern);
		hit = match_here(deep, path, true);
		free(deep);
		return hit;
	}
	if (!strchr(pattern, '/') && match_here(pattern, base ? base + 1 : path, true))
		return true;
	return match_here(pattern, path, true);
}

bool has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !memcmp(s + n - m, suffix, m);
}

bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

unsigned int cpu_count(void)
{
	cpu_set_t set;
	int n = 1;

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > 16 ? 16 : n;
}

struct worker {
	pthread_t thread;
	void (*fn)(void *arg, unsigned int worker);
	void *arg;
	unsigned int i;
	bool started;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	w->fn(w->arg, w->i);
	return NULL;
}

void run_workers(unsigned int n, void (*fn)(void *arg, unsigned int worker), void *arg)
{
	struct worker *w = xcalloc(n, sizeof(*w));
	unsigned int i;

	for (i = 1; i < n; i++) {
		w[i] = (struct worker){.fn = fn, .arg = arg, .i = i};
		w[i].started = !pthread_create(&w[i].thread, NULL, worker_main, &w[i]);
	}
	fn(arg, 0);
	for (i = 1; i < n; i++) {
		if (w[i].started)
			pthread_join(w[i].thread, NULL);
		else
			fn(arg, i);
	}
	free(w);
}
