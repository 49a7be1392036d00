/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The question this file answers: what do the parts of the random comparison share?
 *
 *	random_world.c	memory, files, pipes and sockets: two worlds that are alike
 *	random_ops.c	one random operation, of any opcode and with any flags
 *	random.c	programs of operations on two rings, and what has to be the same
 *
 * One of the two worlds has a plain ring, the other one that goes through a mirror. All
 *that is random comes from a seed, and is drawn again for the second world.
 */
#ifndef URING_RANDOM_H
#define URING_RANDOM_H

#include "uring_test.h"

#define AREAS      8u /* pieces of memory, and files of each kind: one for each operation */
#define AREA_PAGES 16u /* and a page between two that nobody may touch */
#define FILE_BYTES 20000u

enum file_kind {
	BUFFERED,
	MEMORY,
	DIRECT,
	APPEND,
	PIPE_READ,
	PIPE_WRITE,
	PIPE_EMPTY,
	SOCKET,
	TCP,
	EVENT,
	DEV_NULL,
	DEV_ZERO,
	DEV_FULL,
	READ_ONLY,
	WRITE_ONLY,
	NO_FILE,
	DIRECTORY,
	PROC,
	FILE_KINDS
};

struct random {
	uint64_t state;
};

static inline uint32_t draw(struct random *r, uint32_t below)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return (uint32_t)(r->state * 2685821657736338717ull >> 33) % below;
}

struct world {
	struct io_uring ring;
	struct hmm_uring *u; /* NULL: the plain one */
	char *memory;
	int fds[FILE_KINDS][AREAS], others[FILE_KINDS][AREAS];
	int dir; /* for names */
	struct statx statx[AREAS];
	struct msghdr msg[AREAS];
	struct iovec iov[AREAS][1026];
	struct __kernel_timespec time[AREAS];
	struct open_how how;
	struct epoll_event *event;
};

void world_open(struct world *w);
void world_close(struct world *w);
char *world_area(const struct world *w, unsigned int area);
/* Memory as it was at the beginning. */
void world_renew(struct world *w, unsigned int area);
/* The application changes its memory. */
void world_change(struct world *w, unsigned int area, struct random *r);
/* Pipes and sockets have something to read, and room for something to write. */
void world_fill(struct world *w, unsigned int area);
/* How many pages and files of the area differ; @tell: prints which. */
unsigned int world_compare(struct world *a, struct world *b, unsigned int area, bool tell);
/* Positions at the beginning, and files that have grown short again. */
void world_rewind(struct world *w, unsigned int area);

/* What was drawn, for a message. */
struct drawn {
	enum file_kind file;
	bool waits;      /* it may not end by itself */
	bool gives_file; /* its result is a descriptor */
	bool stream;     /* it reads from a pipe or a socket, or writes to one */
};

/* One operation on what belongs to @area, without flags and user_data. */
void draw_operation(struct world *w, struct io_uring_sqe *sqe, unsigned int area,
		    struct random *r, bool may_wait, struct drawn *drawn);
const char *operation_name(unsigned int opcode);

#endif
