// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: what does libc do to an address space by itself?
 *
 * free, realloc, malloc_trim, the end of a thread and dlclose unmap, move and discard by
 * calls inside of libc, which no wrapper of libc's functions sees.
 */
#include "changes.h"
#include "kinds.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool is_mapped(const struct kit_region *r)
{
	unsigned char there[KIT_MAX_PAGES];

	return !mincore(r->addr, r->len, there);
}

/* Plain anonymous memory where the region was. */
static int map_there(struct kit_act *act)
{
	struct kit_region *r = act->r;
	void *p = mmap(r->addr, r->len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED && errno == EEXIST)
		return act_skip(act, "the address was taken meanwhile");
	if (p == MAP_FAILED)
		return act_fail(act, "mmap: %s", strerror(errno));
	act->data = p;
	return 0;
}

/* ---- malloc ---------------------------------------------------------------------------
 */

int apply_free(struct kit_act *act)
{
	free(act->r->handle);
	act->r->handle = NULL;
	if (is_mapped(act->r))
		return act_skip(act, "free did not unmap the block");
	return 0;
}

int restore_free(struct kit_act *act)
{
	void *p = malloc(act->r->handle_len);
	bool same = p && (uint8_t *)p < act->r->addr &&
		    (uint8_t *)p + act->r->handle_len >= act->r->addr + act->r->len;

	act->r->handle = p;
	if (!same)
		return act_skip(act, "malloc gave another address");
	return 0;
}

int apply_realloc(struct kit_act *act)
{
	struct kit_region *r = act->r;
	size_t offset = (size_t)(r->addr - (uint8_t *)r->handle);
	uint8_t *p = realloc(r->handle, (size_t)32 << 20);

	if (!p)
		return act_skip(act, "realloc: %s", strerror(errno));
	r->handle = p;
	if (p + offset == r->addr || is_mapped(r))
		return act_skip(act, "realloc did not move the block");
	act->moved = p + offset;
	act->moved_len = r->len;
	return 0;
}

int restore_realloc(struct kit_act *act)
{
	return map_there(act);
}

void cleanup_realloc(struct kit_act *act)
{
	if (act->data)
		munmap(act->data, act->r->len);
	/* unmake_heap gives the block back; the region is not there to be protected. */
	act->moved = NULL;
}

int apply_trim(struct kit_act *act)
{
	void *above = malloc(64); /* so that the block is not at the heap's top */

	act->data = above;
	free(act->r->handle);
	act->r->handle = NULL;
	malloc_trim(0);
	return 0;
}

int apply_brk_trim(struct kit_act *act)
{
	struct kit_region *r = act->r;
	uint8_t *top = sbrk(0);
	void *more = malloc((size_t)KIT_PAGES * KIT_PAGE_MAX * 4 - 56 * 1024);

	free(more);
	free(r->handle);
	r->handle = NULL;
	if ((uint8_t *)sbrk(0) >= top || is_mapped(r))
		malloc_trim(0);
	if (is_mapped(r))
		return act_skip(act, "libc did not trim the heap's top");
	return 0;
}

static bool covers(const struct kit_region *r)
{
	return (uint8_t *)r->handle < r->addr &&
	       (uint8_t *)r->handle + r->handle_len >= r->addr + r->len;
}

/* Blocks in other places are put back when the right one was found. */
int restore_heap(struct kit_act *act)
{
	struct kit_region *r = act->r;
	void *others[64];
	unsigned int nr = 0;
	bool found;

	r->handle = malloc(r->handle_len);
	while (r->handle && !covers(r) && nr < 64) {
		others[nr++] = r->handle;
		r->handle = malloc(r->handle_len);
	}
	found = r->handle && covers(r);
	while (nr)
		free(others[--nr]);
	if (!found)
		return act_skip(act, "malloc gave another address");
	return 0;
}

void cleanup_heap(struct kit_act *act)
{
	free(act->data);
}

/* ---- threads and libraries
 * --------------------------------------------------------------- */

int apply_thread_exit(struct kit_act *act)
{
	thread_stack_end(act->r);
	/* libc keeps small stacks for threads to come, with what they hold. */
	if (is_mapped(act->r))
		act->effect.access = KIT_ANY;
	return 0;
}

int restore_thread(struct kit_act *act)
{
	struct kit_region *r = act->r;
	uint8_t *addr = r->addr;

	if (!is_mapped(r))
		return map_there(act);
	if (make_thread_small(r))
		return act_skip(act, "%s", r->reason);
	if (r->addr != addr)
		return act_skip(act, "the next thread got another stack");
	return 0;
}

int apply_dlclose(struct kit_act *act)
{
	dlclose(act->r->handle);
	act->r->handle = NULL;
	if (is_mapped(act->r))
		return act_skip(act, "dlclose left the library where it is");
	return 0;
}

int restore_there(struct kit_act *act)
{
	return map_there(act);
}

void cleanup_there(struct kit_act *act)
{
	if (act->data)
		munmap(act->data, act->r->len);
}
