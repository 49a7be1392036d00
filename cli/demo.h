/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hmm demo: what do its parts share?
 *
 * demo.c runs one cell (a kind of memory, used by an engine) after the other and prints.
 * demo_cell.c is a cell: threads that change memory, a thread that drives the device,
 * and who may touch which buffer when; demo_use.c is what the device thread does.
 * demo_memory.c and demo_heap.c are the kinds of
 * memory and what is done to them; demo_engine.c is the ways to drive a device;
 * demo_stamp.c says what memory should hold and whether it does.
 */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- stamps: every 8-byte word says whose it is, of when, and where it belongs ------ */

#define OWNER_FILE 0xf11eu /* blocks of the data file; buffers are 1, 2, ... */
#define BLOCK_MAX  ((size_t)2 << 20)
#define BLOCKS     8u

/* What is expected: 0 is zeros, anything else the stamp of word 0; word i has i added. */
uint64_t stamp(unsigned int owner, unsigned int generation);
void stamp_fill(void *memory, size_t len, uint64_t base);

/* Does memory hold bytes [from, from + len) of what base says? */
bool stamp_right(const void *memory, size_t from, size_t len, uint64_t base);

/* Is every word zero, or any generation of the owner's or the file's, in its place? */
bool stamp_own(const void *memory, size_t from, size_t len, unsigned int owner);

/* ---- buffers: memory that the device uses and the other threads change -------------- */

enum turn {
	TURN_CHANGE,    /* to be changed by a mutator, or for the racer to go on */
	TURN_CHANGING,  /* being changed by a thread, in turns */
	TURN_DEVICE,    /* to be used by the device, in turns */
	TURN_OPERATION, /* being used */
	TURN_RACE,      /* changed at any time, */
	TURN_RACED,     /* and used meanwhile */
};

struct buffer {
	/* fixed */
	unsigned int id; /* the stamps' owner */
	unsigned int slot;
	const struct kind *kind;
	size_t len;
	int fd;     /* behind the mapping, -1 if none */
	off_t base; /* where its part of that begins */

	/* of whoever's turn it is; a racing buffer's are the racer's, but for addr */
	unsigned char *addr;
	int prot;                /* PROT_READ, PROT_WRITE as the mapping has them */
	bool known;              /* contents[half] is what the memory holds */
	unsigned int half;       /* which half of the file is mapped (shared kinds) */
	uint64_t contents[2];    /* of the halves */
	uint64_t under;          /* what the file holds (private file) */
	unsigned int generation; /* of the last stamp */
	unsigned int changes, visits;
	void *priv; /* the kind's */

	enum turn turn; /* cell lock */
	bool racing;    /* cell lock; constant while used */
};

static inline uint64_t buffer_base(const struct buffer *buffer)
{
	return buffer->contents[buffer->half];
}

/* The CPU fills the buffer with a stamp never used before. */
void buffer_fill(struct buffer *buffer);
/* A new stamp for memory that will become the buffer's. */
uint64_t buffer_stamp(struct buffer *buffer);

/* ---- kinds of memory ---------------------------------------------------------------- */

struct change {
	const char *name;
	/* @raw: by system call instead of libc. 0, -EOPNOTSUPP: not here, or -errno. */
	int (*apply)(struct buffer *buffer, bool raw);
	bool atomic;   /* the address is mapped and accessible throughout */
	bool protects; /* by raw system call it is seen in mapping records only */
};

struct kind {
	const char *name, *title;
	size_t len;
	unsigned int buffers, racing; /* racing ones on top */
	int map_flags;                /* mapped kinds */
	bool linked;                  /* a linked structure: walked, not copied */
	bool dax;                     /* persistent memory */
	const char *dir;              /* for its files; NULL: where there is room */
	/* 0, or -errno with *why and *remedy set to constant strings when it is not here */
	int (*setup)(struct buffer *buffer, const char **why);
	void (*teardown)(struct buffer *buffer);
	const struct change *changes;
	unsigned int nr_changes;
};

#define KINDS_MAX 32u
extern const struct kind *kinds[KINDS_MAX];
extern unsigned int nr_kinds;

/* demo_dax.c: those of persistent memory, where some was named. */
void dax_kinds_add(void);

/* demo_memory.c, for those of demo_dax.c */
int memory_map(struct buffer *buffer);
int setup_shared_file(struct buffer *buffer, const char **why);
int setup_private_file(struct buffer *buffer, const char **why);
void teardown_mapped(struct buffer *buffer);
#define PRIVATE_CHANGES_NR 7u
#define SHARED_CHANGES_NR  10u
extern const struct change private_changes[PRIVATE_CHANGES_NR];
extern const struct change shared_changes[SHARED_CHANGES_NR];

/* demo_heap.c: the kinds that libc makes; and what the walk of a list must find. */
extern const struct kind kind_heap, kind_stack, kind_list;
void list_expect(const struct buffer *buffer, uint64_t *count, uint64_t *sum);
const void *list_head(const struct buffer *buffer);
#define LIST_NEXT  0u
#define LIST_VALUE 8u

/* Bring read-write back; the buffer's content must have survived: -EILSEQ if not. */
int memory_restore(struct buffer *buffer, bool raw);

/* madvise by libc or by system call. */
int memory_advise(void *addr, size_t len, int advice, bool raw);

/* A file in a directory on a real file system, gone when it is closed. */
int demo_temporary_file(void);
int demo_temporary_file_in(const char *dir);
/* The directory that it took, or NULL. */
const char *demo_directory(void);

/* ---- engines: ways to drive a device ------------------------------------------------ */

enum what {
	OP_READ,  /* the device writes a block of the data file to memory */
	OP_WRITE, /* the device reads memory, and writes it to a file */
	OP_PIPE,  /* the same, to a pipe */
	OP_WALK,  /* the device follows a linked structure */
};

struct operation {
	struct buffer *buffer;
	enum what what;
	unsigned int block;  /* OP_READ: of the data file */
	size_t from, len;    /* which part of the buffer */
	long result;         /* bytes moved or -errno */
	unsigned char *out;  /* where what the device read from memory can be looked at */
	uint64_t count, sum; /* OP_WALK: what the device found */
	char error[160];     /* what is known about a negative result, or "" */
};

#define BUFFERS_MAX 16u

/* What all cells use; set up once. */
struct stage {
	int data_fd;               /* BLOCKS blocks of BLOCK_MAX bytes, stamped */
	const unsigned char *data; /* the same, mapped */
	int out_fd;                /* a block for each buffer, and a pipe */
	int pipes[BUFFERS_MAX][2];
	size_t pipe_max;    /* bytes that surely fit into one of them */
	unsigned char *out; /* memory for each buffer to look at what came out */
};

struct engine {
	const char *name, *title;
	bool mirrored; /* libhmm is in it: nothing may be wrong */
	/* NULL with *why set to text of at least 256 bytes when refused */
	void *(*open)(const struct stage *stage, struct buffer *buffers, unsigned int count,
		      char *why);
	/* Carry them all out, and wait for all. */
	void (*run)(void *device, struct operation *operations, unsigned int count);
	/* How memory was reached ("pin", "direct", ...), or NULL. */
	const char *(*mode)(void *device);
	void (*close)(void *device);
	/* The device is software: it follows links, and leaves what it read in op->out. */
	bool in_software;
	bool to_compare; /* on persistent memory only */
};

enum { USUAL, EACH, PLAIN, URING, REF, ENGINES };
extern const struct engine engines[ENGINES];

/* ---- cells -------------------------------------------------------------------------- */

struct counts {
	uint64_t operations, bytes, changes;
	uint64_t lost;      /* what the device wrote is not where the CPU looks */
	uint64_t stale;     /* what the device read is not what the CPU had put there */
	uint64_t forbidden; /* used though the mapping did not allow it */
	uint64_t foreign;   /* data of somebody else */
	uint64_t failed;    /* an error though all was well */
	double busy;        /* seconds in operations */
	/* of these, before anything was changed */
	uint64_t still_bytes;
	double still_busy;
};

enum verdict {
	CELL_NONE, /* not asked for, or makes no sense */
	CELL_RAN,
	CELL_SKIPPED, /* this kind of memory is not to be had here; why */
	CELL_REFUSED, /* the engine does not take it; why */
	CELL_BROKEN,  /* a change that had to work did not; why */
};

struct result {
	enum verdict verdict;
	char why[256];
	char first[512]; /* the first thing that was wrong, in words */
	const char *mode;
	struct counts counts;
};

uint64_t counts_wrong(const struct counts *counts);

/* demo_use.c: a device in use by one thread. */
#define BATCH 4u /* operations at a time */

struct user {
	const struct stage *stage;
	const struct kind *kind;
	const struct engine *engine;
	void *device;
	unsigned int next_block;
	bool still; /* nothing is being changed just now */
	struct counts counts;
	char first[512]; /* the first thing that was wrong */
};

/* Some operations on each of the buffers, at most BATCH, whose turn it is; and judge. */
void use_batch(struct user *user, struct buffer **batch, unsigned int count);

double demo_now(void); /* seconds */

/* Use a kind of memory by an engine for options->seconds. */
struct cell_options {
	double seconds;
	bool raw_protect; /* an mprotect by raw system call is seen on this machine */
	bool still;       /* change nothing */
};
void cell_run(const struct stage *stage, const struct kind *kind,
	      const struct engine *engine, const struct cell_options *options,
	      struct result *result);

/* ---- the whole ---------------------------------------------------------------------- */

struct demo_options {
	double seconds;
	bool json, still;
	bool chosen[KINDS_MAX];
	bool any_chosen;
	bool dax_chosen; /* all of persistent memory */
};

struct demo {
	struct demo_options options;
	struct stage stage;
	bool raw_protect; /* an mprotect by raw system call is seen on this machine */
	struct result results[KINDS_MAX][ENGINES];
	struct counts totals[ENGINES]; /* of the cells that ran */
};

bool demo_has(const struct demo *demo, unsigned int kind);

/* demo_report.c; the latter two return the exit status. */
void demo_print_head(const struct demo *demo);
int demo_print_table(const struct demo *demo);
int demo_print_json(const struct demo *demo);

#endif
