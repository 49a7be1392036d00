/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kit: calls that vacate an address range, and calls that occupy one. */
#ifndef KIT_PLACES_H
#define KIT_PLACES_H

#include "kit.h"

struct kit_block {
	uint8_t *at;
	size_t len;      /* at least: what is asked for */
	uint8_t *moved;  /* where the old memory is now; NULL: it is gone */
	uint8_t *inside; /* where it can be written, if not in all of it */
	void *handle;    /* the row's own */
};

struct kit_vacate {
	const char *name;
	unsigned int way; /* W(x): how the vacating call is made */
	int (*take)(struct kit_block *b);
	void (*vacate)(struct kit_block *b);
	void (*end)(struct kit_block *b); /* of what was moved; NULL: nothing is left */
	bool unseen; /* the call passes by whoever interposes libc's functions */
};

struct kit_occupy {
	const char *name;
	unsigned int way;
	int (*occupy)(struct kit_block *b);
	void (*leave)(struct kit_block *b);
	bool unseen;
};

extern const struct kit_vacate kit_vacates[];
extern const struct kit_occupy kit_occupies[];
extern const unsigned int kit_nr_vacates, kit_nr_occupies;
void kit_places_init(void);

#endif
