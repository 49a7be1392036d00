/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The question this file answers: what do the devices of the library share? */
#ifndef TORTURE_SPACE_H
#define TORTURE_SPACE_H

#include "device.h"

#include <hmm/hmm.h>

/* One reference for each device that is open. */
extern struct hmm *space;
int space_open(bool raw);
void space_close(void);

int space_say(const char *what, int err);
/* What may not fail. */
void space_must(const char *what, int err);
/* struct device's tell and in_child. */
void space_tell(void *at, size_t len);
int space_in_child(void);
/* A device thread's buffers, of the file or anonymous (-1). */
void *space_buffers(int fd);

extern const struct device device_plain, device_stage, device_slow, device_uring;

#endif
