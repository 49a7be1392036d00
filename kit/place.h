/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kit: where is there persistent memory to work on?
 *
 * A user says so (`--dax DIR`, `--devdax NODE`); else the variables do that the lab sets
 * (HMM_DAX_EXT4, HMM_DAX_XFS, HMM_DEV_DAX). Nothing is looked for elsewhere: a file system
 * that was not named is not written to.
 */
#ifndef KIT_PLACE_H
#define KIT_PLACE_H

#include <stddef.h>
#include <stdint.h>

#define PLACES_MAX 4u

/* A directory on a file system whose files are mapped as what the memory holds. */
struct place {
	char dir[256];
	char type[16]; /* "ext4", "xfs", "fuse", ...: what tells one from another */
};

extern struct place places[PLACES_MAX];
extern unsigned int nr_places;

/* 0, or a negative errno with @error saying why it will not do. */
int place_add_dax(const char *dir, char *error, size_t size);
int place_set_device(const char *node, char *error, size_t size);

/* What no option has set the variables do. What they name and is not so: as above. */
int places_from_environment(char *error, size_t size);

/* A file without a name, to be read and written, or a negative errno. */
int place_open(const char *dir);

/* Of the device-DAX node that was named. NULL: none was. */
const char *place_device(void);
uint64_t place_device_size(void);
uint64_t place_device_align(void);

extern const char place_no_dax[], place_no_device[]; /* reasons, with the remedy */

#endif
