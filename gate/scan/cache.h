/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of an earlier scan still holds? */
#ifndef GATE_CACHE_H
#define GATE_CACHE_H

#include "model/scan.h"

/* cache.c */
struct cache;
struct cache *cache_load(const char *dir, const struct tree *t, u64 policy_digest);
bool cache_take(struct cache *c, struct tree *t, bool headers, u64 digest);
void cache_store(const char *dir, const struct tree *t, u64 policy_digest, u64 digest);
void cache_free(struct cache *c);
/* Of this very program: what another build found is of no use. */
u64 cache_build_id(void);
/* A file of the cache as a whole, for the scan's tree and policy. */
void cache_write(const char *dir, const struct scan *s, const char *what, struct buf *b);
bool cache_read(const char *dir, const struct scan *s, const char *what, struct buf *b);
/* linked.c */
bool linked_load(const char *dir, struct scan *s);
void linked_store(const char *dir, const struct scan *s);

#endif
