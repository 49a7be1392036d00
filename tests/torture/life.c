// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: how does a region begin a life of some kind of memory,
 * and how does it leave nothing behind?
 */
#include "mutate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

const char *const kind_names[KINDS] = {
	"anon",  "thp",  "shared", "memfd", "sysv", "pfile",
	"sfile", "heap", "stack",  "dax",   "pdax",
};
const char *file_folder, *dax_folders[2];

void change_failed(const char *what, const struct span *s)
{
	fprintf(stderr, "torture: %s of %p + %zu: %s\n", what, s ? (void *)s->at : NULL,
		s ? s->len : 0, strerror(errno));
	abort();
}

int life_init(struct life *l, struct region *r)
{
	memset(l, 0, sizeof(*l));
	l->region = r;
	l->fd = l->shmid = -1;
	l->pages = calloc((size_t)r->pages * WINDOWS, sizeof(*l->pages));
	l->file = calloc(r->pages, sizeof(*l->file));
	return l->pages && l->file ? 0 : -ENOMEM;
}

void life_fini(struct life *l)
{
	free(l->pages);
	free(l->file);
}

struct span span_of(const struct life *l, unsigned int win, unsigned int first,
		    unsigned int nr)
{
	const struct region *r = l->region;

	return (struct span){
		.win = win,
		.first = first,
		.nr = nr,
		.page = win * r->pages + first,
		.at = r->window[win] + (size_t)first * PAGE,
		.len = (size_t)nr * PAGE,
	};
}

/* What the CPU may do there, which is what a device may. */
unsigned int page_access(const struct life *l, unsigned int page)
{
	const struct page_state *p = &l->pages[page];

	if (!p->mapped || (p->file >= 0 && (unsigned int)p->file >= l->file_pages))
		return 0;
	if (p->prot & PROT_WRITE)
		return CAN_READ | CAN_WRITE;
	return p->prot & PROT_READ ? CAN_READ : 0;
}

/* The pages of a shared object: one backing each, held by the object itself. */
static void share_pages(struct life *l)
{
	struct region *r = l->region;

	for (unsigned int i = 0; i < r->pages; i++) {
		l->file[i].backing = model_backing(r);
		model_hold(r, l->file[i].backing, 1);
		model_value(r, l->file[i].backing, l->file[i].gen, l->file[i].page, true);
	}
}

static int open_file(struct life *l)
{
	const char *folder = file_folder;
	char name[256];

	if (l->kind == KIND_MEMFD)
		return memfd_create("torture", MFD_CLOEXEC);
	if (l->kind == KIND_DAX || l->kind == KIND_PDAX)
		folder = dax_folders[dax_folders[1] ? l->region->id / 2 % 2 : 0];
	snprintf(name, sizeof(name), "%s/torture-XXXXXX", folder);
	l->fd = mkostemp(name, O_CLOEXEC);
	if (l->fd >= 0)
		unlink(name);
	return l->fd;
}

static void begin_file(struct life *l, struct mutator *m)
{
	struct region *r = l->region;
	uint32_t gen = model_gen(r);

	l->fd = open_file(l);
	if (l->fd < 0)
		change_failed("a new file", NULL);
	l->file_pages = r->pages;
	/* In one piece, so that it may be mapped by huge pages. */
	if (l->kind == KIND_DAX && fallocate(l->fd, 0, 0, (off_t)r->pages * PAGE))
		change_failed("fallocate of a new file", NULL);
	for (unsigned int i = 0; i < r->pages; i++) {
		l->file[i].gen = gen;
		l->file[i].page = i;
		stamp_fill(m->scratch, r->id, i, 0, PAGE, gen);
		if (pwrite(l->fd, m->scratch, PAGE, (off_t)i * PAGE) != PAGE)
			change_failed("write to a new file", NULL);
	}
	if (!kind_shows_file(l->kind))
		return;
	model_begin(r);
	share_pages(l);
	model_started(r);
	model_commit(r);
}

static void begin_sysv(struct life *l)
{
	struct region *r = l->region;

	l->shmid = shmget(IPC_PRIVATE, (size_t)r->pages * PAGE, 0600);
	if (l->shmid < 0)
		change_failed("shmget", NULL);
	l->file_pages = r->pages;
	memset(l->file, 0, r->pages * sizeof(*l->file));
	model_begin(r);
	share_pages(l);
	model_started(r);
	model_commit(r);
}

void life_begin(struct life *l, struct mutator *m, enum kind kind)
{
	struct region *r = l->region;

	l->kind = kind;
	l->steps = 5 + rnd_below(&m->rng, kind == KIND_STACK ? 8 : 60);
	memset(l->pages, 0, (size_t)r->pages * WINDOWS * sizeof(*l->pages));
	if (kind == KIND_HEAP) {
		heap_begin(l, m);
	} else if (kind == KIND_STACK) {
		stack_begin(l, m);
	} else if (kind_is_file(kind)) {
		begin_file(l, m);
	} else if (kind == KIND_SYSV) {
		begin_sysv(l);
	}
	if (kind_is_exclusive(kind))
		return;
	for (unsigned int w = 0; w < WINDOWS; w++) {
		atomic_store(&r->usable[w], (size_t)r->pages * PAGE);
		change_map(l, m, span_of(l, w, 0, r->pages));
	}
	change_stamp(l, m, span_of(l, 0, 0, r->pages < 32 ? r->pages : 32));
}

void life_end(struct life *l)
{
	struct region *r = l->region;
	bool shared = l->kind == KIND_SYSV || kind_shows_file(l->kind);

	if (l->kind == KIND_HEAP)
		heap_end(l);
	else if (l->kind == KIND_STACK)
		stack_end(l);
	else
		for (unsigned int w = 0; w < WINDOWS; w++)
			change_unmap(l, NULL, span_of(l, w, 0, r->pages));
	if (shared) {
		model_begin(r);
		for (unsigned int i = 0; i < r->pages; i++)
			model_hold(r, l->file[i].backing, -1);
		model_started(r);
		model_commit(r);
	}
	if (l->fd >= 0)
		close(l->fd);
	if (l->shmid >= 0)
		shmctl(l->shmid, IPC_RMID, NULL);
	l->fd = l->shmid = -1;
}
