/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What does every part of exportgate need that libc does not give? */
#ifndef GATE_UTIL_H
#define GATE_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF(f, a)  __attribute__((format(printf, f, a)))

/* Exit codes of the command; the man page lists the same. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_VIOLATIONS = 1,
	EXIT_USAGE = 2,
	EXIT_TROUBLE = 3,
};

/* Reports "exportgate: ..." on stderr and ends the program with EXIT_TROUBLE. */
void die(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));
void warn(const char *fmt, ...) PRINTF(1, 2);

/* These never return NULL: a checker that runs out of memory can only stop. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);

/* A growing array: struct { T *v; size_t n, cap; }. */
#define VEC(type)              \
	struct {               \
		type *v;       \
		size_t n, cap; \
	}
#define vec_push(vec, item)                                                            \
	do {                                                                           \
		if ((vec)->n == (vec)->cap)                                            \
			(vec)->v = vec_grow((vec)->v, &(vec)->cap, sizeof(*(vec)->v)); \
		(vec)->v[(vec)->n++] = (item);                                         \
	} while (0)
#define vec_free(vec)                             \
	do {                                      \
		free((vec)->v);                   \
		memset((vec), 0, sizeof(*(vec))); \
	} while (0)
void *vec_grow(void *v, size_t *cap, size_t size);
void *vec_reserve(void *v, size_t *cap, size_t need, size_t size);

/* Memory that is given back all at once. One thread at a time. */
struct arena {
	struct arena_block *last;
};
void *arena_alloc(struct arena *a, size_t n);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
/* Everything in `from` lives as long as `to` from now on. */
void arena_join(struct arena *to, struct arena *from);
void arena_free(struct arena *a);

/* A growing text. */
struct buf {
	char *s;
	size_t n, cap;
};
void buf_add(struct buf *b, const void *s, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_free(struct buf *b);

/*
 * Names are compared by a 64-bit hash of their bytes. Among the five million names of a
 * kernel tree the chance of one collision is below one in a million; it would show as a
 * consumer too many, never as a crash.
 */
u64 hash_bytes(const char *s, size_t n);
static inline u64 hash_str(const char *s)
{
	return hash_bytes(s, strlen(s));
}

/* An open-addressing map from such a hash to a number; 0 is no valid hash. */
struct map {
	u64 *key;
	u32 *val;
	size_t n, mask;
};
u32 *map_find(const struct map *m, u64 key);
/* The value of the key, made with the value `fresh` if it was absent. */
u32 *map_get(struct map *m, u64 key, u32 fresh);
void map_free(struct map *m);

/* The whole file with 64 zero bytes after its end, or NULL with errno set. */
char *read_file(const char *path, size_t *size);
/* Like read_file, in a buffer that is reused from call to call. */
int read_into(struct buf *b, int dirfd, const char *path);

/*
 * Does the path match the pattern? '*' matches within one component, '**' across them,
 * a pattern that ends in '/' matches everything below, one without any '/' matches the
 * last component.
 */
bool path_match(const char *pattern, const char *path);
bool str_match(const char *pattern, const char *s);
bool has_suffix(const char *s, const char *suffix);
bool has_prefix(const char *s, const char *prefix);

double now_seconds(void);
unsigned int cpu_count(void);
/* Runs fn(arg, worker) on `n` threads, the caller's among them, and waits for all. */
void run_workers(unsigned int n, void (*fn)(void *arg, unsigned int worker), void *arg);

#endif
