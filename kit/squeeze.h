/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kit: what takes memory that was let go. */
#ifndef KIT_SQUEEZE_H
#define KIT_SQUEEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int kit_squeeze_begin(void); /* 0, or -errno: there is no cgroup to be had here */
bool kit_squeeze(void);      /* false: nothing was done */
void kit_squeeze_end(void);

unsigned int kit_nodes(void);
bool kit_migrate(uint8_t *at, size_t len); /* to another node; false: no page moved */

#endif
