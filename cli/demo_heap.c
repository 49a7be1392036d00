// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm demo: memory whose mappings libc makes and unmakes itself: blocks of malloc, stacks
 * of threads, and a linked structure built with malloc.
 *
 * Nothing here calls munmap: free, realloc, malloc_trim and the end of a thread do, inside
 * libc, where no wrapper sees the call.
 */
#include "demo.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define KIB      ((size_t)1024)
#define LEN      (128 * KIB)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define RW       (PROT_READ | PROT_WRITE)
#define PAGE_MAX (64 * KIB) /* of all machines: room to begin on a page */

static unsigned char *page_up(void *memory)
{
	uintptr_t mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;

	return (unsigned char *)(((uintptr_t)memory + mask) & ~mask);
}

/* Pages whole within the block go; the block's owner finds zeros (as jemalloc does). */
static int change_discard(struct buffer *buffer, bool raw)
{
	int err = memory_advise(buffer->addr, buffer->len, MADV_DONTNEED, raw);

	if (err)
		return err;
	buffer->contents[0] = 0;
	buffer->known = true;
	return 0;
}

/* ---- blocks of malloc --------------------------------------------------------------- */

#define BLOCK (LEN + PAGE_MAX)

static int take_block(struct buffer *buffer)
{
	buffer->priv = malloc(BLOCK);
	if (!buffer->priv)
		return -ENOMEM;
	buffer->addr = page_up(buffer->priv);
	buffer->prot = RW;
	buffer->known = false;
	return 0;
}

static int setup_block(struct buffer *buffer, const char **why)
{
	*why = "malloc failed";
	/*
	 * glibc raises this limit when a block is freed, and would then keep the block in
	 * its heap. Programs with large buffers set it.
	 */
	mallopt(M_MMAP_THRESHOLD, LEN);
	return take_block(buffer);
}

static void teardown_block(struct buffer *buffer)
{
	free(buffer->priv);
}

static int change_free(struct buffer *buffer, bool raw)
{
	(void)raw;
	free(buffer->priv);
	return take_block(buffer);
}

/* Grow and shrink: libc moves the pages by mremap. */
static int change_realloc(struct buffer *buffer, bool raw)
{
	size_t offset = (size_t)(buffer->addr - (unsigned char *)buffer->priv);
	void *block = realloc(buffer->priv, 4 * BLOCK);

	(void)raw;
	if (!block)
		return -ENOMEM;
	buffer->priv = block;
	block = realloc(block, BLOCK);
	if (block)
		buffer->priv = block;
	buffer->addr = page_up(buffer->priv);
	if ((size_t)(buffer->addr - (unsigned char *)buffer->priv) != offset)
		buffer->known = false;
	return 0;
}

static const struct change block_changes[] = {
	{"free, malloc", change_free, false, false},
	{"madvise(MADV_DONTNEED)", change_discard, true, false},
	{"realloc", change_realloc, false, false},
};

const struct kind kind_heap = {
	.name = "heap",
	.title = "heap (malloc)",
	.len = LEN,
	.buffers = 6,
	.setup = setup_block,
	.teardown = teardown_block,
	.changes = block_changes,
	.nr_changes = COUNT(block_changes),
};

/* ---- stacks ------------------------------------------------------------------------- */

struct stack {
	pthread_t thread;
	sem_t up, down;
	unsigned char *frame;
};

/* A thread whose large local array is the buffer, until it is told to end. */
static void *stack_main(void *arg)
{
	struct stack *stack = arg;
	unsigned char frame[LEN + PAGE_MAX];

	stack->frame = page_up(frame);
	sem_post(&stack->up);
	while (sem_wait(&stack->down))
		;
	return NULL;
}

static int start_stack(struct buffer *buffer)
{
	struct stack *stack = buffer->priv;
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 4 * LEN);
	err = pthread_create(&stack->thread, &attr, stack_main, stack);
	pthread_attr_destroy(&attr);
	if (err)
		return -err;
	while (sem_wait(&stack->up))
		;
	buffer->addr = stack->frame;
	buffer->prot = RW;
	buffer->known = false;
	return 0;
}

static void end_stack(struct buffer *buffer)
{
	struct stack *stack = buffer->priv;

	sem_post(&stack->down);
	pthread_join(stack->thread, NULL);
}

static int setup_stack(struct buffer *buffer, const char **why)
{
	struct stack *stack = calloc(1, sizeof(*stack));
	int err;

	*why = "a thread could not be made";
	if (!stack)
		return -ENOMEM;
	sem_init(&stack->up, 0, 0);
	sem_init(&stack->down, 0, 0);
	buffer->priv = stack;
	err = start_stack(buffer);
	if (err) {
		free(stack);
		buffer->priv = NULL;
	}
	return err;
}

static void teardown_stack(struct buffer *buffer)
{
	if (!buffer->priv)
		return;
	end_stack(buffer);
	free(buffer->priv);
}

/* libc keeps the stack for the next thread, and discards its pages. */
static int change_thread(struct buffer *buffer, bool raw)
{
	(void)raw;
	end_stack(buffer);
	return start_stack(buffer);
}

static const struct change stack_changes[] = {
	{"the thread ends, another starts", change_thread, false, false},
	{"madvise(MADV_DONTNEED)", change_discard, true, false},
};

const struct kind kind_stack = {
	.name = "stack",
	.title = "thread stack",
	.len = LEN,
	.buffers = 4,
	.setup = setup_stack,
	.teardown = teardown_stack,
	.changes = stack_changes,
	.nr_changes = COUNT(stack_changes),
};

/* ---- a linked structure ------------------------------------------------------------- */

#define NODES 256

struct node {
	struct node *next;
	uint64_t value;
};

_Static_assert(offsetof(struct node, next) == LIST_NEXT, "where the device looks");
_Static_assert(offsetof(struct node, value) == LIST_VALUE, "where the device looks");

/* Now and then a node is so large that libc gives it a mapping of its own. */
static struct node *make_node(struct buffer *buffer)
{
	unsigned int n = ++buffer->generation;
	struct node *node = malloc(n % 61 ? 32 + (size_t)(n * 37) % 2000 : 2 * LEN);

	if (node)
		*node = (struct node){NULL, stamp(buffer->id, n)};
	return node;
}

static int add_nodes(struct buffer *buffer, unsigned int count)
{
	struct node **link = (struct node **)&buffer->priv;

	for (unsigned int i = 0; i < count; i++) {
		struct node *node = make_node(buffer);

		if (!node)
			return -ENOMEM;
		node->next = *link;
		*link = node;
		/* The new ones lie between the old ones. */
		if (node->next)
			link = &node->next->next;
		else
			link = &node->next;
	}
	return 0;
}

static int setup_list(struct buffer *buffer, const char **why)
{
	*why = "malloc failed";
	buffer->prot = RW;
	buffer->known = true;
	return add_nodes(buffer, NODES);
}

/* Free each @every-th node; returns how many. */
static unsigned int free_nodes(struct buffer *buffer, unsigned int every)
{
	struct node **link = (struct node **)&buffer->priv;
	unsigned int freed = 0;

	for (unsigned int i = 1; *link; i++) {
		struct node *node = *link;

		if (i % every) {
			link = &node->next;
			continue;
		}
		*link = node->next;
		free(node);
		freed++;
	}
	return freed;
}

static void teardown_list(struct buffer *buffer)
{
	free_nodes(buffer, 1);
}

static int change_nodes(struct buffer *buffer, bool raw)
{
	(void)raw;
	return add_nodes(buffer, free_nodes(buffer, 2));
}

/* Everything goes, and libc hands its free memory back to the kernel. */
static int change_trim(struct buffer *buffer, bool raw)
{
	unsigned int freed = free_nodes(buffer, 1);

	(void)raw;
	malloc_trim(0);
	return add_nodes(buffer, freed);
}

static const struct change list_changes[] = {
	{"free and malloc every other node", change_nodes, false, false},
	{"free all, malloc_trim", change_trim, false, false},
};

const struct kind kind_list = {
	.name = "list",
	.title = "linked list",
	.buffers = 4,
	.linked = true,
	.setup = setup_list,
	.teardown = teardown_list,
	.changes = list_changes,
	.nr_changes = COUNT(list_changes),
};

const void *list_head(const struct buffer *buffer)
{
	return buffer->priv;
}

void list_expect(const struct buffer *buffer, uint64_t *count, uint64_t *sum)
{
	*count = *sum = 0;
	for (const struct node *node = buffer->priv; node; node = node->next) {
		++*count;
		*sum += node->value;
	}
}
