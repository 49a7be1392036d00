// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: which kinds of persistent memory are there, and how is each made?
 *
 * Files on a file system mounted with DAX: what is mapped is the memory itself, with no
 * page cache before it. And device DAX: the memory without a file system, in huge pages
 * only, and never truncated. Neither can be pinned for long.
 */
#include "kinds.h"

#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * Nothing in /proc tells how large the pages are that map persistent memory, on all
 * kernels; but a huge page takes one fault.
 */
static bool few_faults(uint8_t *at, size_t len)
{
	struct rusage before, after;

	getrusage(RUSAGE_THREAD, &before);
	for (size_t i = 0; i < len; i += KIT_PAGE)
		((volatile uint8_t *)at)[i] = 1;
	getrusage(RUSAGE_THREAD, &after);
	return (size_t)(after.ru_minflt - before.ru_minflt) < len / KIT_PAGE / 8;
}

static int make_huge(struct kit_region *r)
{
	int err = make_own(r);

	if (err || few_faults(r->addr, r->len))
		return err;
	unmake_own(r);
	return kit_region_reason(
		r, -EOPNOTSUPP,
		"the file system maps no huge pages here: its blocks have to "
		"be aligned to them (is the partition?)");
}

/*
 * Each mapping shows another part of the device, like a new file: so that what is old is
 * told from what is new.
 */
static int map_device(struct kit_region *r, const struct kit_calls *calls, uint8_t *at,
		      size_t len, int flags, const uint8_t *data)
{
	static uint64_t next;
	uint64_t size = place_device_size();
	int fd = open(place_device(), O_RDWR | O_CLOEXEC), err = 0;
	void *p;

	if (fd < 0)
		return -errno;
	if (next + len > size)
		next = 0;
	p = calls->mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd,
			(off_t)next);
	if (p == MAP_FAILED)
		err = errno == EEXIST ? -EBUSY : -errno;
	next += len;
	close(fd);
	return err;
}

#define COMMON (T_OWN | T_FILE | T_FD | T_DAX)

static const struct kit_kind on_dax[] = {
	{"dax-private", "a file on DAX, MAP_PRIVATE", COMMON | T_WRITE, 0, 0, make_own,
	 unmake_own, map_fd},
	{"dax-shared", "a file on DAX, MAP_SHARED", COMMON | T_SHARED | T_WRITE, 0, 0,
	 make_own, unmake_own, map_fd},
	{"dax-sync", "a file on DAX, MAP_SHARED_VALIDATE and MAP_SYNC",
	 COMMON | T_SHARED | T_WRITE | T_SYNC, 0, 0, make_own, unmake_own, map_fd},
	{"dax-ro", "a file on DAX opened read-only, MAP_PRIVATE", COMMON, 0, 0, make_own,
	 unmake_own, map_fd},
	{"dax-shared-ro", "a file on DAX opened read-only, MAP_SHARED", COMMON | T_SHARED,
	 0, 0, make_own, unmake_own, map_fd},
	{"dax-sparse", "a file without blocks on DAX, MAP_SHARED",
	 COMMON | T_SHARED | T_WRITE | T_SPARSE, 0, 0, make_own, unmake_own, map_fd},
	{"dax-huge", "a file on DAX in huge pages, MAP_SHARED",
	 COMMON | T_SHARED | T_WRITE | T_HUGE, 0, 0, make_huge, unmake_own, map_fd},
};

static const struct kit_kind on_device = {
	"devdax",
	"a device-DAX node",
	T_OWN | T_SHARED | T_WRITE | T_DAX | T_DEVICE,
	0,
	0,
	make_own,
	unmake_own,
	map_device,
};

/* "dax-shared:xfs" */
static const char *name_at(const char *name, const struct place *place)
{
	static char names[KIT_MAX_KINDS][48];
	static unsigned int used;
	char *to = names[used++ % KIT_MAX_KINDS];

	snprintf(to, sizeof(names[0]), "%s:%s", name, place->type);
	return to;
}

static unsigned int add(struct kit_kind *out, unsigned int room,
			const struct kit_kind *kind)
{
	if (room)
		*out = *kind;
	return room ? 1 : 0;
}

unsigned int kit_dax_kinds(struct kit_kind *out, unsigned int room)
{
	unsigned int nr = 0;

	for (size_t i = 0; i < sizeof(on_dax) / sizeof(on_dax[0]); i++) {
		struct kit_kind kind = on_dax[i];

		if (!nr_places) {
			kind.missing = place_no_dax;
			nr += add(out + nr, room - nr, &kind);
		}
		for (unsigned int p = 0; p < nr_places; p++) {
			kind.name = name_at(on_dax[i].name, &places[p]);
			kind.dir = places[p].dir;
			nr += add(out + nr, room - nr, &kind);
		}
	}
	if (nr < room) {
		out[nr] = on_device;
		out[nr].missing = place_device() ? NULL : place_no_device;
		nr++;
	}
	return nr;
}
