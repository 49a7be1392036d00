/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `hmm check`, inside: what is a cell, and who knows what about it?
 *
 *	check.c      options, exit status
 *	plan.c       which cells there are (kind x change x way x device, and cases)
 *	runner.c     one process a group of cells: a crash or a hang is one failed cell
 *	cell.c       one cell: use the device, change the memory, use the device again
 *	model.c      what the CPU must see now, and whether CPU and device do
 *	device.c     a device of the kit's, in use
 *	told.c       is the holder of a range told of its unmapping?
 *	case_*.c     promises that are not of the form kind x change (cases.c: the table)
 *	report.c     table and JSON (list.c: the list for docs/contract.md)
 *
 * The kinds, ways, changes, effects and devices are the kit's (kit/kit.h).
 */
#ifndef CHECK_SUITE_H
#define CHECK_SUITE_H

#include "../../kit/kit.h"

/* ---- results ------------------------------------------------------------------ */

enum check_status {
	CHECK_TODO = 0,
	CHECK_PASS,
	CHECK_FAIL,
	CHECK_SKIP,  /* this machine cannot: detail says why */
	CHECK_LIMIT, /* not met, as docs/contract.md says, and no worse than it says */
};

struct check_result {
	uint8_t status;
	uint8_t limit; /* L1 is 1 */
	uint8_t modes; /* bits 1 << HMM_MODE_x: how the memory was made reachable */
	uint32_t ms;
	char detail[244];
};

/* ---- devices in use ---------------------------------------------------------------- */

/* A device in use; in the process of its cells only. */
struct check_env {
	const struct kit_device *dev;
	struct hmm *hmm;
	struct kit_use use;
	struct hmm_mirror *mirror;
	bool perf;    /* mprotect by raw system call is watched for */
	bool late;    /* and seen a moment later */
	bool watched; /* memory can be, for what others do to it */
	bool any;     /* any mapping can, of files and read-only ones too */
};

int check_env_open(struct check_env *env, const struct kit_device *dev,
		   const struct hmm_attr *attr, const struct hmm_mirror_attr *mattr);
int check_env_close(struct check_env *env); /* 0 or the first error */
int check_env_reset(struct check_env *env); /* the usual device forgets */

/*
 * Where a raw mprotect is seen a moment later: how many were seen, before one is made, and
 * the wait for it afterwards. Elsewhere they do nothing.
 */
uint64_t check_records(const struct check_env *env);
void check_wait_for_record(const struct check_env *env, uint64_t before);

/* ---- cells ------------------------------------------------------------------------ */

struct check_cell {
	uint16_t device;
	int16_t kind, change; /* -1: a case */
	int16_t test;         /* index of the case, -1: kind x change */
	uint8_t way;
	struct check_result *result;
};

/* One run of a cell. */
struct check_run {
	struct check_env *env;
	struct check_result *result;
	struct kit_region r;
	struct kit_act act; /* what the change does to it */
	bool failed;        /* a verdict is there: stop */
	bool stale;         /* it failed because the device was elsewhere than the CPU */
	const char *step;   /* for the message */
	uint8_t *buf;       /* as large as the region */
	bool unreadable_ok; /* the cell's memory may be taken by others: see again */
};

/* Verdicts: all return -1, so that they can be returned. */
int check_fail(struct check_run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int check_stale(struct check_run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int check_skip(struct check_run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Limit L@limit; what result->detail says stays. */
void check_limit(struct check_run *run, unsigned int limit);

void check_cell_run(struct check_env *env, const struct check_cell *cell);

/* ---- model ------------------------------------------------------------------------- */

int model_paint(struct check_run *run, size_t lo, size_t hi); /* the CPU writes a stamp */

int device_read(struct check_run *run, size_t offset, size_t len);
int device_write(struct check_run *run, size_t offset, size_t len);
int cpu_verify(struct check_run *run, size_t offset, size_t len);

/* ---- changes ------------------------------------------------------------------------ */

/* told.c: use a range before a change, and see that its holder is told of the change. */
int told_before(struct check_run *run, struct hmm_range *range);
int told_after(struct check_run *run, struct hmm_range *range);

/* Which limit, if any, allows this way of this change to go unseen here? 0: none. */
unsigned int limit_of(const struct check_env *env, const struct kit_change *change,
		      enum kit_way way);

/* ---- cases ------------------------------------------------------------------------- */

struct check_case {
	const char *name;
	const char *promise;
	const char *about;
	bool usual; /* makes sense without libhmm too */
	bool own;   /* opens hmm and the device itself */
	void (*run)(struct check_run *run);
};

extern const struct check_case check_cases[];
extern const unsigned int check_nr_cases;

/* How long the two long cases are; set from the options. */
struct check_options {
	unsigned long race_cycles;
	unsigned int deadlock_seconds;
	double pairs_seconds;
	unsigned int timeout_s; /* a cell that makes no progress for so long has hung */
	const char *only, *kind, *change, *device, *way;
	bool json, list, verbose, quiet;
	bool brief;   /* two variants of each cell */
	bool no_perf; /* as where perf is not allowed */
};
extern struct check_options check_options;
extern volatile uint32_t *check_beat; /* counts up while a cell makes progress */

/* ---- plan, runner, report ------------------------------------------------------------ */

struct check_plan {
	struct check_cell *cells;
	struct check_result *results; /* shared with the processes that run them */
	unsigned int nr;
};

/* Does a list name what there is not? Then @error says which. */
bool check_plan_unknown(char *error, size_t size);
int check_plan_make(struct check_plan *plan);
const char *check_cell_promise(const struct check_cell *cell);
void check_cell_name(const struct check_cell *cell, char *out, size_t size);
int check_run_all(struct check_plan *plan);
void check_report_table(const struct check_plan *plan);
int check_report_json(const struct check_plan *plan);
void check_report_list(void);
int check_report_status(const struct check_plan *plan);

#endif
