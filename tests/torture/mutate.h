/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The question this file answers: what do those who change memory share?
 *
 * A region lives many lives: each maps one kind of memory into its windows, changes it a
 * while, and leaves nothing. The next life has the same addresses.
 */
#ifndef TORTURE_MUTATE_H
#define TORTURE_MUTATE_H

#include "calls.h"
#include "device.h"

enum kind {
	KIND_ANON,
	KIND_THP,
	KIND_SHARED, /* MAP_SHARED | MAP_ANONYMOUS */
	KIND_MEMFD,
	KIND_SYSV,
	KIND_PFILE, /* private mapping of a file */
	KIND_SFILE, /* shared mapping of a file */
	KIND_HEAP,
	KIND_STACK,
	KIND_DAX,  /* shared mapping of a file on DAX, every other with MAP_SYNC */
	KIND_PDAX, /* private mapping of a file on DAX */
	KINDS
};
extern const char *const kind_names[KINDS];

struct page_state {
	bool mapped;
	int prot;
	int file; /* which page of the file; -1: none */
};

struct file_page {
	int backing;  /* shared kinds: the page itself */
	uint32_t gen; /* private file: what it shows where nothing was written */
	unsigned int page;
};

struct life {
	struct region *region;
	enum kind kind;
	unsigned int steps; /* left */
	int fd, shmid;
	unsigned int file_pages;     /* how long the file is */
	struct page_state *pages;    /* of all windows */
	struct file_page *file;      /* region->pages of them */
	size_t size;                 /* heap, stack: bytes */
	void *memory;                /* heap: what malloc gave */
	struct stack_thread *thread; /* stack */
};

/* A range of pages of one window: [page, page + nr) of all the region's pages. */
struct span {
	unsigned int win, first, nr; /* first: in the window */
	unsigned int page;           /* in the region */
	char *at;
	size_t len;
};

#define MUTATOR_DEVICES 6
struct fork_shared;
struct mutator {
	unsigned int id;
	uint64_t rng;
	_Atomic uint64_t progress;
	const char *_Atomic doing;
	unsigned int nr_devices;
	const struct device *dev[MUTATOR_DEVICES]; /* dev[0]: the CPU */
	void *ctx[MUTATOR_DEVICES];
	char *scratch; /* DEVICE_BUFFER */
	char *copy;    /* of a region, for the child of a fork */
	struct fork_shared *shared;
};

extern _Atomic bool torture_stop;

/* Where something is about to change: devices like to go there. Each by itself. */
struct hint {
	struct region *_Atomic region;
	_Atomic unsigned int win;
	_Atomic size_t off;
};
extern struct hint hint;
extern unsigned int kinds_enabled; /* bits 1 << KIND_x */
extern const char *file_folder, *dax_folders[2];

static inline uint64_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dull >> 11;
}
static inline unsigned int rnd_below(uint64_t *state, unsigned int n)
{
	return (unsigned int)(rnd(state) % n);
}

/* life.c: the beginning and the end of a life. */
int life_init(struct life *l, struct region *r);
void life_fini(struct life *l);
void life_begin(struct life *l, struct mutator *m, enum kind kind);
void life_end(struct life *l);
static inline bool kind_is_file(enum kind k)
{
	return k == KIND_MEMFD || k == KIND_PFILE || k == KIND_SFILE || k == KIND_DAX ||
	       k == KIND_PDAX;
}
static inline bool kind_shows_file(enum kind k)
{
	return kind_is_file(k) && k != KIND_PFILE && k != KIND_PDAX;
}
static inline bool kind_is_private(enum kind k)
{
	return k == KIND_ANON || k == KIND_THP || k == KIND_PFILE || k == KIND_PDAX;
}
static inline bool kind_is_anon(enum kind k)
{
	return k == KIND_ANON || k == KIND_THP;
}
static inline bool kind_is_exclusive(enum kind k)
{
	return k == KIND_HEAP || k == KIND_STACK;
}
unsigned int page_access(const struct life *l, unsigned int page);
struct span span_of(const struct life *l, unsigned int win, unsigned int first,
		    unsigned int nr);
_Noreturn void change_failed(const char *what, const struct span *s);

/* change_map.c: what is mapped where. */
void change_map(struct life *l, struct mutator *m, struct span s);
void change_unmap(struct life *l, struct mutator *m, struct span s);
void change_move(struct life *l, struct mutator *m, struct span s);
void change_resize(struct life *l, struct mutator *m, struct span s);

/* change_page.c: what the pages hold and who may touch them; spans are fully mapped. */
void change_stamp(struct life *l, struct mutator *m, struct span s);
void change_protect(struct life *l, struct mutator *m, struct span s);
void change_discard(struct life *l, struct mutator *m, struct span s);
void change_free(struct life *l, struct mutator *m, struct span s);
void change_remove(struct life *l, struct mutator *m, struct span s);
void change_guard(struct life *l, struct mutator *m, struct span s);
void change_length(struct life *l, struct mutator *m, struct span s);
void change_nothing(struct life *l, struct mutator *m, struct span s);

/* Every device of the library; @m may be NULL: nobody to tell. */
void tell_devices(struct mutator *m, const struct span *s);

/* change_fork.c */
void change_fork(struct life *l, struct mutator *m, struct span s);
int fork_init(struct mutator *m);
void fork_fini(struct mutator *m);

/* heap.c: memory that libc gives and takes. */
void heap_begin(struct life *l, struct mutator *m);
void heap_step(struct life *l, struct mutator *m);
void heap_end(struct life *l);
void stack_begin(struct life *l, struct mutator *m);
void stack_end(struct life *l);
/* An address that was freed lately; NULL: none. */
void *heap_freed(uint64_t *rng, size_t *len);

/* traffic.c: operations of devices. */
bool traffic_hint(struct op *op, uint64_t *rng);
bool traffic_choose(struct op *op, struct region *r, uint64_t *rng);
/* Right after a change: the thread that made it sends operations there, and looks. */
void traffic_probe(struct mutator *m, struct life *l, const struct span *s);
void traffic_write(struct mutator *m, struct life *l, const struct span *s);

/* mutate.c */
void mutate_step(struct mutator *m, struct life *lives, unsigned int nr);

#endif
