/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread is stopped at an instruction inside the library, and something happens.
 *
 * The question this file answers: what do the tracer (step.c) and the traced process
 * (scene.c) say to each other?
 *
 * One run is a process of its own: it opens the library, one thread begins an operation,
 * and the tracer steps it to its n-th instruction. There it stays while the event takes
 * place.
 */
#ifndef STEP_H
#define STEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* What happens to, or around, the thread that is stopped. */
enum event {
	NOTHING,    /* it is only counted how many instructions there are */
	OTHERS,     /* another thread changes memory by libc, translates, forks */
	OTHERS_RAW, /* the same by raw system calls */
	CLOSES,     /* another thread destroys the mirror */
	SIGNAL,     /* a handler changes memory by libc, forks, and returns in both */
	CANCEL,     /* pthread_cancel() */
	KILL,       /* the process is killed */
	NR_EVENTS
};

struct shared {
	enum event event;
	unsigned int operation;
	bool perf;             /* the library looks at perf's records */
	_Atomic pid_t stepped; /* the thread's number, when it is ready */
	_Atomic bool go;       /* it may begin */
	_Atomic int phase;     /* 1: the operation has begun; 2: it has ended */
	_Atomic bool happen;   /* the event may begin */
	_Atomic bool happened; /* and has ended, as far as others are concerned */
	char said[256];        /* what was wrong */
};

extern const char *const operations[];
extern const unsigned int nr_operations;

/* The traced process: 0, or 1 with shared.said. 77: nothing can be tried here. */
int scene(struct shared *shared);

#endif
