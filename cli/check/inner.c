// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what does libc do to an address space by itself?
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

static bool is_mapped(const struct check_region *r)
{
	unsigned char there[CHECK_MAX_PAGES];

	return !mincore(r->addr, r->len, there);
}

/* Plain anonymous memory where the region was. */
static int map_there(struct check_run *run)
{
	struct check_region *r = &run->r;
	void *p = mmap(r->addr, r->len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED && errno == EEXIST)
		return check_skip(run, "the address was taken meanwhile");
	if (p == MAP_FAILED)
		return check_fail(run, "mmap: %s", strerror(errno));
	run->data = p;
	return model_paint(run, 0, r->len);
}

/* ---- malloc ---------------------------------------------------------------------------
 */

int apply_free(struct check_run *run)
{
	free(run->r.handle);
	run->r.handle = NULL;
	if (is_mapped(&run->r))
		return check_skip(run, "free did not unmap the block");
	model_state(run, 0, run->r.len, PAGE_SEGV);
	return 0;
}

int again_free(struct check_run *run)
{
	void *p = malloc(run->r.handle_len);
	bool same = p && (uint8_t *)p < run->r.addr &&
		    (uint8_t *)p + run->r.handle_len >= run->r.addr + run->r.len;

	run->r.handle = p;
	if (!same)
		return check_skip(run, "malloc gave another address");
	return model_paint(run, 0, run->r.len);
}

int apply_realloc(struct check_run *run)
{
	struct check_region *r = &run->r;
	size_t offset = (size_t)(r->addr - (uint8_t *)r->handle);
	uint8_t *p = realloc(r->handle, (size_t)32 << 20);

	if (!p)
		return check_skip(run, "realloc: %s", strerror(errno));
	r->handle = p;
	if (p + offset == r->addr || is_mapped(r))
		return check_skip(run, "realloc did not move the block");
	run->moved = p + offset;
	run->moved_len = r->len;
	model_state(run, 0, r->len, PAGE_SEGV);
	return 0;
}

int again_realloc(struct check_run *run)
{
	if (moved_check(run))
		return -1;
	return map_there(run);
}

void done_realloc(struct check_run *run)
{
	if (run->data)
		munmap(run->data, run->r.len);
	/* unmake_heap gives the block back; the region is not there to be protected. */
	run->moved = NULL;
}

int apply_trim(struct check_run *run)
{
	void *above = malloc(64); /* so that the block is not at the heap's top */

	run->data = above;
	free(run->r.handle);
	run->r.handle = NULL;
	malloc_trim(0);
	return 0;
}

int apply_brk_trim(struct check_run *run)
{
	struct check_region *r = &run->r;
	uint8_t *top = sbrk(0);
	void *more = malloc((size_t)CHECK_PAGES * CHECK_PAGE_MAX * 4 - 56 * 1024);

	free(more);
	free(r->handle);
	r->handle = NULL;
	if ((uint8_t *)sbrk(0) >= top || is_mapped(r))
		malloc_trim(0);
	if (is_mapped(r))
		return check_skip(run, "libc did not trim the heap's top");
	return 0;
}

static bool covers(const struct check_region *r)
{
	return (uint8_t *)r->handle < r->addr &&
	       (uint8_t *)r->handle + r->handle_len >= r->addr + r->len;
}

/* Blocks in other places are put back when the right one was found. */
int again_heap(struct check_run *run)
{
	struct check_region *r = &run->r;
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
		return check_skip(run, "malloc gave another address");
	return model_paint(run, 0, r->len);
}

void done_heap(struct check_run *run)
{
	free(run->data);
}

/* ---- threads and libraries
 * --------------------------------------------------------------- */

int apply_thread_exit(struct check_run *run)
{
	thread_stack_end(&run->r);
	model_state(run, 0, run->r.len, is_mapped(&run->r) ? PAGE_ANY : PAGE_SEGV);
	return 0;
}

int again_thread(struct check_run *run)
{
	struct check_region *r = &run->r;
	uint8_t *addr = r->addr;

	if (!is_mapped(r))
		return map_there(run);
	if (make_thread_small(r))
		return check_skip(run, "%s", r->reason);
	if (r->addr != addr)
		return check_skip(run, "the next thread got another stack");
	return model_paint(run, 0, r->len);
}

void done_thread(struct check_run *run)
{
	if (run->data)
		munmap(run->data, run->r.len);
}

int apply_dlclose(struct check_run *run)
{
	dlclose(run->r.handle);
	run->r.handle = NULL;
	if (is_mapped(&run->r))
		return check_skip(run, "dlclose left the library where it is");
	model_state(run, 0, run->r.len, PAGE_SEGV);
	return 0;
}

int again_library(struct check_run *run)
{
	return map_there(run);
}

void done_library(struct check_run *run)
{
	if (run->data)
		munmap(run->data, run->r.len);
}
