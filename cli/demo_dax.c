// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm demo: which kinds of memory are persistent?
 *
 * Files on a file system with DAX, in small pages and in huge ones, and device DAX. They
 * are ordinary to a program; the kernel refuses to register those of a file system.
 */
#include "demo.h"
#include "../kit/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SMALL_SIZE ((size_t)128 << 10)
#define HUGE_SIZE  ((size_t)2 << 20)

#ifndef MAP_SYNC
#include <linux/mman.h>
#endif

/* Blocks that lie together can be mapped by huge pages. */
static int setup_huge_file(struct buffer *buffer, const char **why)
{
	*why = "no room for a file of 4 MiB in one piece";
	buffer->fd = demo_temporary_file_in(buffer->kind->dir);
	if (buffer->fd < 0)
		return buffer->fd;
	if (fallocate(buffer->fd, 0, 0, (off_t)(2 * buffer->len)))
		return -errno;
	return memory_map(buffer);
}

/* Each buffer has a part of the device, and begins with zeroes as a new file would. */
static int setup_device(struct buffer *buffer, const char **why)
{
	size_t len = 2 * buffer->len;
	void *all;

	*why = "the device-DAX node cannot be mapped";
	buffer->fd = open(place_device(), O_RDWR | O_CLOEXEC);
	if (buffer->fd < 0)
		return -errno;
	buffer->base = (off_t)(buffer->slot * len);
	all = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, buffer->base);
	if (all == MAP_FAILED)
		return -errno;
	memset(all, 0, len);
	munmap(all, len);
	return memory_map(buffer);
}

#define ON_DAX(size, n, race, flags, make, what, nr)                           \
	.len = (size), .buffers = (n), .racing = (race), .map_flags = (flags), \
	.setup = (make), .teardown = teardown_mapped, .changes = (what),       \
	.nr_changes = (nr), .dax = true

static const struct kind on_dax[] = {
	{"dax-shared", "shared file, %s DAX",
	 ON_DAX(SMALL_SIZE, 6, 2, MAP_SHARED, setup_shared_file, shared_changes,
		SHARED_CHANGES_NR)},
	{"dax-sync", "MAP_SYNC file, %s DAX",
	 ON_DAX(SMALL_SIZE, 6, 2, MAP_SHARED_VALIDATE | MAP_SYNC, setup_shared_file,
		shared_changes, SHARED_CHANGES_NR)},
	{"dax-private", "private file, %s DAX",
	 ON_DAX(SMALL_SIZE, 6, 2, MAP_PRIVATE, setup_private_file, private_changes,
		PRIVATE_CHANGES_NR)},
	{"dax-huge", "huge pages, %s DAX",
	 ON_DAX(HUGE_SIZE, 2, 1, MAP_SHARED, setup_huge_file, shared_changes,
		SHARED_CHANGES_NR)},
};

static const struct kind on_device = {"devdax", "device DAX",
				      ON_DAX(HUGE_SIZE, 2, 1, MAP_SHARED, setup_device,
					     private_changes, PRIVATE_CHANGES_NR)};

void dax_kinds_add(void)
{
	static struct kind made[PLACES_MAX * sizeof(on_dax) / sizeof(on_dax[0])];
	static char titles[sizeof(made) / sizeof(made[0])][48];
	static char names[sizeof(made) / sizeof(made[0])][32];
	unsigned int n = 0;

	for (unsigned int p = 0; p < nr_places; p++) {
		for (size_t i = 0; i < sizeof(on_dax) / sizeof(on_dax[0]); i++, n++) {
			made[n] = on_dax[i];
			snprintf(names[n], sizeof(names[n]), "%s:%s", on_dax[i].name,
				 places[p].type);
			/* NOLINTNEXTLINE: the format is one of the table's above */
			snprintf(titles[n], sizeof(titles[n]), on_dax[i].title,
				 places[p].type);
			made[n].name = names[n];
			made[n].title = titles[n];
			made[n].dir = places[p].dir;
			kinds[nr_kinds++] = &made[n];
		}
	}
	if (place_device())
		kinds[nr_kinds++] = &on_device;
}
