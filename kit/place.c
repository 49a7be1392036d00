// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where is there persistent memory to work on? (place.h) */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef STATX_ATTR_DAX
#define STATX_ATTR_DAX 0x00200000
#endif
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif

struct place places[PLACES_MAX];
unsigned int nr_places;

static struct {
	char node[256];
	uint64_t size, align;
} device;

const char place_no_dax[] =
	"no directory on a DAX file system was named: --dax DIR (a file "
	"system mounted with -o dax=always; ./run lab has some)";
const char place_no_device[] = "no device-DAX node was named: --devdax NODE (ndctl "
			       "create-namespace -m devdax; ./run lab has one)";

/* ---- files ------------------------------------------------------------------------- */

int place_open(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[320];

	if (fd >= 0)
		return fd;
	/* A file system without O_TMPFILE. */
	snprintf(path, sizeof(path), "%s/hmm.XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static const char *type_name(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return "file";
	switch ((uint32_t)fs.f_type) {
	case EXT4_SUPER_MAGIC:
		return "ext4";
	case XFS_SUPER_MAGIC:
		return "xfs";
	case FUSE_SUPER_MAGIC:
		return "fuse";
	default:
		return "other";
	}
}

static void set_type(struct place *place, const char *type)
{
	unsigned int same = 0;

	for (unsigned int i = 0; i < nr_places; i++)
		same += !strncmp(places[i].type, type, strlen(type));
	if (same)
		snprintf(place->type, sizeof(place->type), "%s%u", type, same + 1);
	else
		snprintf(place->type, sizeof(place->type), "%s", type);
}

static int is_dax(int fd)
{
	struct statx stat;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stat))
		return -errno;
	return stat.stx_attributes & STATX_ATTR_DAX ? 0 : -ENODEV;
}

int place_add_dax(const char *dir, char *error, size_t size)
{
	struct place *place = &places[nr_places];
	int fd, err;

	if (nr_places == PLACES_MAX) {
		snprintf(error, size, "at most %u directories with DAX", PLACES_MAX);
		return -E2BIG;
	}
	fd = place_open(dir);
	err = fd < 0 ? fd : is_dax(fd);
	if (!err) {
		snprintf(place->dir, sizeof(place->dir), "%s", dir);
		set_type(place, type_name(fd));
		nr_places++;
	} else if (err == -ENODEV) {
		snprintf(error, size,
			 "%s is on a file system without DAX: mount it with -o dax=always, "
			 "on persistent memory",
			 dir);
	} else {
		snprintf(error, size, "cannot make a file in %s: %s", dir, strerror(-err));
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* ---- device DAX ---------------------------------------------------------------------- */

static uint64_t read_attribute(dev_t number, const char *name)
{
	long long value = 0;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/%s", major(number), minor(number),
		 name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%lli", &value) != 1)
		value = 0;
	fclose(file);
	return (uint64_t)value;
}

int place_set_device(const char *node, char *error, size_t size)
{
	struct stat stat_of;
	uint64_t bytes = 0, align = 0;

	if (!stat(node, &stat_of) && S_ISCHR(stat_of.st_mode)) {
		bytes = read_attribute(stat_of.st_rdev, "size");
		align = read_attribute(stat_of.st_rdev, "align");
		if (!align)
			align = read_attribute(stat_of.st_rdev, "device/align");
	}
	if (!bytes || strlen(node) >= sizeof(device.node)) {
		snprintf(error, size, "%s is no device-DAX node (such as /dev/dax0.0)",
			 node);
		return -ENODEV;
	}
	if (access(node, R_OK | W_OK)) {
		int err = errno;

		snprintf(error, size, "%s cannot be opened: %s", node, strerror(err));
		return -err;
	}
	snprintf(device.node, sizeof(device.node), "%s", node);
	device.size = bytes;
	device.align = align ? align : (uint64_t)2 << 20;
	return 0;
}

const char *place_device(void)
{
	return *device.node ? device.node : NULL;
}

uint64_t place_device_size(void)
{
	return device.size;
}

uint64_t place_device_align(void)
{
	return device.align;
}

/* ---- variables ----------------------------------------------------------------------- */

int places_from_environment(char *error, size_t size)
{
	static const char *const names[] = {"HMM_DAX_EXT4", "HMM_DAX_XFS"};
	const char *node = getenv("HMM_DEV_DAX");
	bool named = nr_places;
	int err = 0;

	for (unsigned int i = 0; !err && !named && i < 2; i++) {
		const char *dir = getenv(names[i]);

		if (dir && *dir)
			err = place_add_dax(dir, error, size);
	}
	if (!err && node && *node && !place_device())
		err = place_set_device(node, error, size);
	return err;
}
