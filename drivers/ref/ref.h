/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reference device, inside.
 *
 * The question this file answers: what is the device made of?
 *
 *	programs (program.c)	copy, fill, ...: run by the CPU's pointers
 *	access path (access.c)	moves bytes, but only where the page table says so
 *	gate (gate.c)		who changes the table waits for the accesses it concerns
 *	page table (table.c)	what the device may touch; the driver writes it
 *	driver (driver.c)	map, commit, revoke, release for libhmm
 */
#ifndef DRIVERS_REF_REF_H
#define DRIVERS_REF_REF_H

#include <hmm/driver.h>
#include <hmm/ref.h>

#include <stdatomic.h>
#include <sys/types.h>

#define REF_CHUNK (64u << 10) /* the longest access between two looks at the table */

/*
 * The page table: a word an entry with the number of mappings that let the device read its
 * pages, and of those that let it write them. Counted, because mappings overlap: one that
 * goes must not take away, nor leave behind, what another one gives.
 */
struct ref_table {
	struct ref_node *top;
	unsigned int page_shift;
};

int ref_table_init(struct ref_table *table);
void ref_table_fini(struct ref_table *table);
/* Memory for the entries of [start, end): the only call that allocates. */
int ref_table_reserve(struct ref_table *table, uint64_t start, uint64_t end);
void ref_table_add(struct ref_table *table, uint64_t start, uint64_t end,
		   unsigned int access);
void ref_table_remove(struct ref_table *table, uint64_t start, uint64_t end,
		      unsigned int access);
/* How many bytes from addr on, at most len, the device may access. */
size_t ref_table_allowed(const struct ref_table *table, uint64_t addr, size_t len,
			 unsigned int access);

/*
 * Accesses in flight. An access enters with its range, looks at the table, moves its bytes,
 * leaves. Who has taken entries out of the table drains: every access of that range that
 * may have seen them is over.
 */
#define REF_TICKETS 64 /* accesses at a time; more wait */

struct ref_ticket {
	_Atomic uint32_t count;
	_Atomic uint64_t start, end;
	char unused[40]; /* no two in a cache line */
};

struct ref_gate {
	struct ref_ticket tickets[REF_TICKETS];
	_Atomic uint32_t draining;
};

unsigned int ref_gate_enter(struct ref_gate *gate, uint64_t start, uint64_t end);
void ref_gate_leave(struct ref_gate *gate, unsigned int ticket);
/* One at a time (the mirror lock sees to it); true if it had to wait. */
bool ref_gate_drain(struct ref_gate *gate, uint64_t start, uint64_t end);

struct hmm_ref {
	struct hmm_device *device;
	struct hmm_driver driver; /* its own: the modes differ by device */
	struct hmm_ref_attr attr;
	struct ref_table table;
	struct ref_gate gate;
	_Atomic uint32_t entries, next_key;
	_Atomic uint64_t accesses, faults, maps, map_fails, revokes, waits;
};

/* What the device does at a place: one piece, as far as the table lets it. */
enum ref_do { REF_READ, REF_WRITE, REF_ADD };
struct ref_access {
	enum ref_do what;
	void *buffer;                       /* REF_READ, REF_WRITE */
	uint32_t operand;                   /* REF_ADD: as FUTEX_OP encodes it */
	const struct hmm_translation *held; /* not NULL: only while this is valid */
};

/*
 * One access at a device address, without a fault: the number of bytes moved (at least 1);
 * -EAGAIN no entry lets it; -EFAULT there is an entry, but no such memory behind it;
 * -ESTALE the held translation is no longer valid.
 */
ssize_t ref_access_try(struct hmm_ref *ref, uint64_t addr, size_t len,
		       const struct ref_access *access);
/* The same at a pointer of the process, with faults; 0 or -errno when all is done. */
int ref_access(struct hmm_ref *ref, uint64_t addr, size_t len,
	       const struct ref_access *access);
/* May this process use what the access path stands on? 0 or -errno. */
int ref_access_probe(void);

#endif
