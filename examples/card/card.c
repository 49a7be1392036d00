// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The card of this example: what does the hardware do?
 *
 *	card FD		its own memory; it serves the program that starts it
 *
 * Workers carry out commands, one thread the revokes in their order: an entry is closed,
 *and when no access by it is under way any more, the revoke is done. The card ends with the
 * program.
 */
#include "card.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define WORKERS 4

static struct entry {
	bool used;
	unsigned int access, under_way;
	uint64_t addr, len;
	uint32_t in_ram;
} table[CARD_ENTRIES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t over = PTHREAD_COND_INITIALIZER;
static struct card_memory *memory;
static pid_t program;

/* A card that may not look into the program reaches its own RAM only. */
static bool may_reach(const struct card_request *c)
{
	char byte;
	struct iovec ours = {&byte, 1}, theirs = {(void *)(uintptr_t)c->addr, 1};

	return c->in_ram || process_vm_readv(program, &ours, 1, &theirs, 1, 0) == 1 ||
	       errno == EFAULT;
}

static int64_t map(const struct card_request *c)
{
	uint32_t key = 0;

	if (!may_reach(c))
		return -EOPNOTSUPP;

	while (key < CARD_ENTRIES && table[key].used)
		key++;
	if (key == CARD_ENTRIES || c->len > CARD_ENTRY_MAX)
		return key == CARD_ENTRIES ? -ENOSPC : -E2BIG;
	table[key] = (struct entry){true, c->access, 0, c->addr, c->len, c->in_ram};
	return key;
}

/* The entry lets it: then it is not closed until the bytes are moved. */
static struct entry *begin(const struct card_request *c)
{
	struct entry *e = &table[c->key % CARD_ENTRIES];
	unsigned int need = c->op == CARD_LOAD ? 1 : 2;

	if (!(e->access & need) || c->addr > e->len || c->len > e->len - c->addr ||
	    c->len > CARD_CHUNK)
		return NULL;
	e->under_way++;
	return e;
}

/* The program's side is the local one: it is not pinned for the copy. */
static int64_t move(const struct entry *e, const struct card_request *c, void *chunk)
{
	struct iovec ours = {chunk, c->len};
	struct iovec theirs = {(void *)(uintptr_t)(e->addr + c->addr), c->len};
	ssize_t n;

	if (e->in_ram && c->op == CARD_LOAD)
		return memcpy(chunk, (char *)memory + e->addr + c->addr, c->len), c->len;
	if (e->in_ram)
		return memcpy((char *)memory + e->addr + c->addr, chunk, c->len), c->len;
	n = c->op == CARD_LOAD ? process_vm_readv(program, &ours, 1, &theirs, 1, 0)
			       : process_vm_writev(program, &ours, 1, &theirs, 1, 0);
	return n > 0 ? n : -EFAULT;
}

static int64_t access_entry(const struct card_request *c, void *chunk)
{
	struct entry *e = begin(c);
	int64_t n;

	if (!e)
		return -EFAULT;
	pthread_mutex_unlock(&lock);
	n = move(e, c, chunk);
	pthread_mutex_lock(&lock);
	if (!--e->under_way)
		pthread_cond_broadcast(&over);
	return n;
}

static void carry_out(struct card_command *c)
{
	void *chunk = memory->chunks[c - memory->commands];

	pthread_mutex_lock(&lock);
	switch (c->request.op) {
	case CARD_MAP:
		c->result = map(&c->request);
		break;
	case CARD_FREE:
		table[c->request.key % CARD_ENTRIES] = (struct entry){0};
		c->result = 0;
		break;
	default:
		c->result = access_entry(&c->request, chunk);
	}
	pthread_mutex_unlock(&lock);
	atomic_store(&c->state, CARD_DONE);
	card_wake(&c->state);
}

static void *work(void *unused)
{
	for (;;) {
		uint32_t bell = atomic_load(&memory->bell);

		for (int i = 0; i < CARD_COMMANDS; i++) {
			uint32_t posted = CARD_POSTED;

			if (atomic_compare_exchange_strong(&memory->commands[i].state,
							   &posted, CARD_BUSY))
				carry_out(&memory->commands[i]);
		}
		card_sleep(&memory->bell, bell);
	}
	return unused;
}

static void revoke_in_order(void)
{
	while (getppid() == program) {
		uint32_t head = atomic_load(&memory->head), tail = memory->tail;
		struct entry *e = &table[memory->revokes[tail % 256] % CARD_ENTRIES];

		if (head == tail) {
			card_sleep(&memory->head, head);
			continue;
		}
		pthread_mutex_lock(&lock);
		e->access = 0;
		while (e->under_way)
			pthread_cond_wait(&over, &lock);
		pthread_mutex_unlock(&lock);
		atomic_store(&memory->tail, tail + 1);
		card_wake(&memory->tail);
	}
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 2)
		return 2;
	program = getppid();
	memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED,
		      (int)strtol(argv[1], NULL, 10), 0);
	if (memory == MAP_FAILED)
		return 1;
	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&thread, NULL, work, NULL))
			return 1;
	revoke_in_order();
	return 0;
}
