/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is the set of watched intervals what a naive model of it is: one file number a page?
 */
#include "linux/address_space.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGES 4096u /* eight granules */
#define BASE  (0x7f0000000000ull - 4 * (1ull << GRANULE_SHIFT))
#define SIZE  4096ull

#define CHECK(what)                                                                        \
	do {                                                                               \
		if (!(what)) {                                                             \
			fprintf(stderr, "%s:%d: %s: failed\n", __FILE__, __LINE__, #what); \
			exit(1);                                                           \
		}                                                                          \
	} while (0)

static uint64_t model[PAGES]; /* 0: not watched; else the file's number and one */
static struct watch watch;

static uint64_t address(unsigned int page)
{
	return BASE + page * SIZE;
}

static bool model_covers(unsigned int first, unsigned int last)
{
	for (; first < last; first++)
		if (!model[first])
			return false;
	return true;
}

/* The bits may say yes for a whole granule, and must not say no for a watched page. */
static void check_bits(unsigned int first, unsigned int last)
{
	unsigned int granule = (1u << GRANULE_SHIFT) / SIZE;
	bool any = false, near = false;

	for (unsigned int i = first; i < last; i++)
		any |= model[i] != 0;
	for (unsigned int i = first / granule * granule;
	     i < (last + granule - 1) / granule * granule && i < PAGES; i++)
		near |= model[i] != 0;
	CHECK(watch_maybe(watch.live, address(first), address(last)) == near);
	CHECK(near || !any);
}

static void check_piece(unsigned int first, unsigned int last)
{
	uint64_t start = address(first), end = address(last), ino;
	unsigned int i = first;

	while (i < last && !model[i])
		i++;
	if (i == last) {
		CHECK(!watch_piece_locked(&watch, &start, &end, &ino));
		return;
	}
	CHECK(watch_piece_locked(&watch, &start, &end, &ino));
	CHECK(start == address(i) && ino == model[i] - 1);
	for (; i < last && model[i] == ino + 1; i++)
		CHECK(end > address(i));
	CHECK(end == address(i));
}

static void check_file(uint64_t ino)
{
	uint64_t start, end;
	unsigned int first = PAGES, last = 0;

	for (unsigned int i = 0; i < PAGES; i++) {
		if (model[i] != ino + 1)
			continue;
		first = i < first ? i : first;
		last = i + 1;
	}
	if (!ino || first == PAGES) {
		CHECK(!watch_file_locked(&watch, ino, &start, &end));
		return;
	}
	CHECK(watch_maybe_file(watch.live, ino));
	CHECK(watch_file_locked(&watch, ino, &start, &end));
	CHECK(start == address(first) && end == address(last));
}

static void check_files(void)
{
	bool any = false;

	for (unsigned int i = 0; i < PAGES; i++)
		any |= model[i] > 1;
	CHECK(watch.live->files == any);
	CHECK(any || !watch.live->inodes);
}

int main(int argc, char **argv)
{
	unsigned int seed = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;

	srandom(seed);
	CHECK(watch_init(&watch) == 0);
	CHECK(!watch_maybe(watch.live, 0, UINT64_MAX >> 17));
	CHECK(watch_maybe(watch.live, 1ull << 47, (1ull << 47) + 1));
	for (int round = 0; round < 10000; round++) {
		unsigned int first = (unsigned int)random() % PAGES;
		unsigned int last = first + 1 + (unsigned int)random() % 200;
		uint64_t ino = (uint64_t)random() % 4;
		bool add = random() % 2;

		last = last < PAGES ? last : PAGES;
		if (add)
			CHECK(watch_add_locked(&watch, address(first), address(last),
					       ino) == 0);
		else
			watch_del_locked(&watch, address(first), address(last));
		for (unsigned int i = first; i < last; i++)
			model[i] = add ? ino + 1 : 0;
		first = (unsigned int)random() % PAGES;
		last = first + 1 + (unsigned int)random() % (PAGES - first);
		CHECK(watch_covers_locked(&watch, address(first), address(last)) ==
		      model_covers(first, last));
		check_bits(first, last);
		check_piece(first, last);
		if (round % 16 == 0) {
			check_file(ino);
			check_files();
		}
	}
	watch_del_locked(&watch, 0, UINT64_MAX);
	CHECK(!watch_maybe(watch.live, 0, 1ull << 47));
	watch_fini(&watch);
	return 0;
}
