// SPDX-License-Identifier: LGPL-2.1-or-later
/* Is the library's own memory zeroed, given back when told, and wiped in a child? */
#include "fake.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/arena.h"

#define SIZE (64u << 20)

static size_t resident(void *memory, size_t size)
{
	size_t pages = size / page_size(), n = 0;
	unsigned char *there = malloc(pages);

	CHECK(there && !mincore(memory, size, there));
	for (size_t i = 0; i < pages; i++)
		n += there[i] & 1;
	free(there);
	return n;
}

static void reserve_and_discard(void)
{
	int err = 1;
	unsigned char *memory = arena_reserve(SIZE, &err);

	CHECK(memory && !((uintptr_t)memory % page_size()));
	CHECK(resident(memory, SIZE) == 0);
	for (size_t i = 0; i < 1u << 20; i += page_size()) {
		CHECK(!memory[i]);
		memory[i] = 1;
	}
	CHECK(resident(memory, 1u << 20) == (1u << 20) / page_size());
	arena_discard(memory, SIZE);
	CHECK(resident(memory, SIZE) == 0 && !memory[0]);
	arena_free(memory, SIZE);
	arena_free(NULL, SIZE);
}

static void too_much(void)
{
	int err = 0;

	CHECK(!arena_reserve(SIZE_MAX / 2, &err) && err < 0);
	err = 0;
	CHECK(!arena_reserve_wiped(SIZE_MAX / 2, &err) && err < 0);
}

static void wiped(void)
{
	int err = 0, status;
	_Atomic uint64_t *word = arena_reserve_wiped(page_size(), &err);

	CHECK(word);
	*word = 7;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		_exit(*word == 0 ? 0 : 1);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 0 && *word == 7);
	arena_free((void *)word, page_size());
}

int main(void)
{
	CHECK(page_size() == (size_t)sysconf(_SC_PAGESIZE));
	RUN(reserve_and_discard);
	RUN(too_much);
	RUN(wiped);
	return 0;
}
