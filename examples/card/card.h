/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The card of this example: hardware, as its data sheet has it.
 *
 * It is a process of its own and shares with its driver only what a card on a bus would:
 * some memory of the card's, in which there are registers, a queue of commands, a queue of
 * revokes, and RAM. It has 64 table entries of at most 1 MiB. A word that somebody waits
 * for is a futex; nothing here needs a descriptor once the memory is mapped.
 */
#ifndef EXAMPLES_CARD_H
#define EXAMPLES_CARD_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CARD_ENTRIES   64
#define CARD_ENTRY_MAX (1u << 20)
#define CARD_COMMANDS  16
#define CARD_CHUNK     (64u << 10) /* RAM of a command: what it reads or writes */
#define CARD_BOUNCES   16          /* of CARD_ENTRY_MAX each, in RAM */

enum card_op { CARD_MAP, CARD_FREE, CARD_LOAD, CARD_STORE };
enum card_state { CARD_IDLE, CARD_TAKEN, CARD_POSTED, CARD_BUSY, CARD_DONE };

struct card_request {
	uint32_t op;     /* enum card_op */
	uint32_t key;    /* of the entry, for all but MAP */
	uint32_t access; /* MAP: 1 load, 2 store */
	uint32_t in_ram; /* MAP: of the card's own RAM, not of the program */
	uint64_t addr;   /* MAP: where; LOAD, STORE: offset in the entry */
	uint64_t len;
};

struct card_command {
	_Atomic uint32_t state; /* enum card_state */
	struct card_request request;
	int64_t result; /* bytes, or -errno; MAP: the key, or -errno */
};

struct card_memory {
	_Atomic uint32_t bell;       /* moves with each command */
	_Atomic uint32_t head, tail; /* of revokes: posted, done; in that order */
	uint32_t revokes[256];       /* keys */
	struct card_command commands[CARD_COMMANDS];
	_Alignas(4096) unsigned char chunks[CARD_COMMANDS][CARD_CHUNK];
	_Alignas(65536) unsigned char bounces[CARD_BOUNCES][CARD_ENTRY_MAX];
};

/* 0, or it was woken, or it has another value; -ETIMEDOUT is not told apart. */
static inline void card_sleep(_Atomic uint32_t *word, uint32_t value)
{
	struct timespec soon = {.tv_sec = 1};

	syscall(SYS_futex, word, FUTEX_WAIT, value, &soon, NULL, 0);
}

static inline void card_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

#endif
