/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `hmm check`, inside: what is a cell, and who knows what about it?
 *
 *	check.c      options, exit status
 *	plan.c       which cells there are (kind x change x way x device, and cases)
 *	runner.c     one process a group of cells: a crash or a hang is one failed cell
 *	cell.c       one cell: use the device, change the memory, use the device again
 *	model.c      what the CPU must see now, and whether CPU and device do
 *	kinds.c      kinds of memory (heap.c: those that libc and the loader make; dax.c:
 *	             persistent memory)
 *	changes.c    changes (files.c: by files and processes; inner.c: libc's own)
 *	calls.c      ways: through libc, by raw system call, by an io_uring
 *	device.c     devices (usual.c: the one without libhmm, which must fail)
 *	case_*.c     promises that are not of the form kind x change (cases.c: the table)
 *	report.c     table and JSON (list.c: the list for docs/contract.md)
 */
#ifndef CHECK_SUITE_H
#define CHECK_SUITE_H

#include <hmm/check.h>
#include <hmm/hmm.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Of this machine, and the largest that it may be: what lies in arrays has room for that.
 */
extern size_t check_page, check_huge, check_hugetlb;
#define CHECK_PAGE check_page
#define CHECK_HUGE check_huge /* a huge page that is mapped as one */
#if defined(__x86_64__)
#define CHECK_PAGE_MAX 4096
#else
#define CHECK_PAGE_MAX 65536
#endif
#define CHECK_MAX_PAGES 1024
#define CHECK_MAX_LEN   ((size_t)32 << 20) /* of a region */
#define CHECK_PAGES     16                 /* of most regions */

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

/* ---- ways ----------------------------------------------------------------------- */

enum check_way {
	WAY_LIBC,  /* the libc function: interposed where libhmm comes before libc */
	WAY_RAW,   /* syscall(2): only events and records see it */
	WAY_INNER, /* a call that libc makes inside of another */
	WAY_ALIAS, /* through another mapping of the same memory */
	WAY_OTHER, /* by another process */
	WAY_URING, /* by the kernel, on behalf of an io_uring */
	NR_WAYS,
};
#define W(way) (1u << WAY_##way)

extern const char *const check_way_names[NR_WAYS];

struct check_calls {
	int (*munmap)(void *, size_t);
	void *(*mmap)(void *, size_t, int, int, int, off_t);
	void *(*mremap)(void *, size_t, size_t, int, void *);
	int (*madvise)(void *, size_t, int);
	int (*process_madvise)(void *, size_t, int);
	int (*mprotect)(void *, size_t, int);
	int (*pkey_mprotect)(void *, size_t, int, int);
	int (*brk)(void *);
	void *(*shmat)(int, const void *, int);
	int (*shmdt)(const void *);
	int (*ftruncate)(int, off_t);
	int (*fallocate)(int, int, off_t, off_t);
	int (*remap_file_pages)(void *, size_t, int, size_t, int);
	pid_t (*fork)(void);
};

/* The calls of a way; @turn picks among libc's names for the same call (mmap, mmap64). */
const struct check_calls *check_calls(enum check_way way, unsigned int turn);
bool check_interposed(void); /* do this program's own calls go through libhmm? */

/* ---- kinds of memory ---------------------------------------------------------------- */

#define T_OWN     0x0001u /* a mapping of the suite's own: may be unmapped and moved */
#define T_ANON    0x0002u /* private anonymous */
#define T_SHARED  0x0004u /* MAP_SHARED, or as good as */
#define T_SHMEM   0x0008u
#define T_FILE    0x0010u /* a regular file */
#define T_FD      0x0020u /* there is a descriptor to truncate */
#define T_WRITE   0x0040u /* the CPU may write it */
#define T_SYSV    0x0080u
#define T_HUGETLB 0x0100u
#define T_THP     0x0200u
#define T_LARGE   0x0400u   /* malloc, a mapping of its own */
#define T_HEAP    0x0800u   /* malloc, from the brk heap */
#define T_BRK     0x1000u   /* sbrk */
#define T_THREAD  0x2000u   /* a thread's stack */
#define T_LIBRARY 0x4000u   /* of a library that dlopen brought */
#define T_STATIC  0x8000u   /* of this program's own file */
#define T_DAX     0x10000u  /* persistent memory, mapped without a page cache */
#define T_SYNC    0x20000u  /* MAP_SYNC */
#define T_DEVICE  0x40000u  /* a device-DAX node */
#define T_HUGE    0x80000u  /* a file that is mapped by huge pages */
#define T_SPARSE  0x100000u /* a file without blocks */

struct check_region;

struct check_kind {
	const char *name;
	const char *about;
	unsigned int traits;
	size_t len, page; /* of a region, 0: CHECK_PAGES pages; the unit in which it can be
			   * changed, 0: a page. Set when the table is made */

	/* 0, or -errno with the region's reason set; then it is no such kind here. */
	int (*make)(struct check_region *r);
	void (*unmake)(struct check_region *r);

	/*
	 * Map new memory of this kind at [at, at + len); its content is @data where it has
	 * to be there before (read-only kinds), else of no importance. Own kinds only.
	 */
	int (*map)(struct check_region *r, const struct check_calls *calls, uint8_t *at,
		   size_t len, int flags, const uint8_t *data);

	const char *dir;     /* where its files lie; NULL: wherever there is room */
	const char *missing; /* why there is none here; NULL: try */
};

#define CHECK_MAX_KINDS 52 /* a letter each */
extern struct check_kind check_kinds[CHECK_MAX_KINDS];
extern unsigned int check_nr_kinds;
void check_kinds_init(void); /* after the options were read */

/* What the CPU can do with a page now, by the model. */
enum page_state {
	PAGE_RW,
	PAGE_RO,
	PAGE_SEGV,
	PAGE_BUS,
	PAGE_ANY, /* readable and writable, content not known: what the CPU sees is right */
};

struct check_region {
	const struct check_kind *kind;
	uint8_t *addr;
	size_t len, page;
	uint8_t *shadow; /* what the CPU must see */
	uint8_t *base;   /* what a discarded page shows again; NULL: zeroes */
	uint8_t state[CHECK_MAX_PAGES];
	int fd;        /* -1: none */
	int prot;      /* of the kind */
	void *handle;  /* the kind's own */
	void *handle2; /* the kind's own */
	size_t handle_len;
	char reason[160]; /* why make failed */
};

uint8_t *check_zone(size_t len); /* an address range where nobody else maps anything */
int region_reason(struct check_region *r, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- devices ---------------------------------------------------------------------- */

struct check_device {
	char name[32];
	const struct hmm_check_device *table;
	const char *file; /* where it was loaded from, NULL: built in */
	uint32_t modes;   /* only these; 0: what it offers */
	bool usual;       /* no mirror: registered once, then believed */
	bool hidden;      /* only when asked for by name */
};

#define CHECK_MAX_DEVICES 16
extern struct check_device check_devices[CHECK_MAX_DEVICES];
extern unsigned int check_nr_devices;

void check_devices_init(void);
int check_device_load(const char *file, char *error, size_t size);
extern const struct hmm_check_device check_usual;

/* A device in use; in the process of its cells only. */
struct check_env {
	const struct check_device *dev;
	struct hmm *hmm;
	struct hmm_device *device;
	struct hmm_mirror *mirror;
	void *context;
	bool perf;    /* mprotect by raw system call is watched for */
	bool watched; /* memory can be, for what others do to it */
};

int check_env_open(struct check_env *env, const struct check_device *dev,
		   const struct hmm_attr *attr, const struct hmm_mirror_attr *mattr);
int check_env_close(struct check_env *env); /* 0 or the first error */
int check_env_reset(struct check_env *env); /* the usual device forgets */

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
	const struct check_calls *calls;
	enum check_way way;
	struct check_region r;
	size_t lo, hi;    /* what the change hits */
	bool failed;      /* a verdict is there: stop */
	bool stale;       /* it failed because the device was elsewhere than the CPU */
	const char *step; /* for the message */
	uint8_t *buf;     /* as large as the region */
	void *data;       /* the change's own, from apply to again */
	pid_t child;      /* the change's own */
	int pipe[2];      /* the change's own */
	uint8_t *moved;   /* where the change has put the old memory; NULL: nowhere */
	size_t moved_len;
	bool unreadable_ok; /* the cell's memory may be taken by others: see again */
};

/* Verdicts: all return -1, so that they can be returned. */
int check_fail(struct check_run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int check_stale(struct check_run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int check_skip(struct check_run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

int check_region_open(struct check_run *run, const struct check_kind *kind);
void check_cell_run(struct check_env *env, const struct check_cell *cell);

/* ---- model ------------------------------------------------------------------------- */

void check_catch_faults(void); /* SIGSEGV and SIGBUS of guarded accesses are caught */
int guarded_read(void *out, const void *from, size_t len); /* 0 or the signal */
int guarded_write(void *to, const void *data, size_t len); /* 0 or the signal */

uint64_t model_next(void);
void model_fill(uint8_t *out, size_t offset, size_t len, uint64_t serial);
void model_state(struct check_run *run, size_t lo, size_t hi, enum page_state state);
void model_discard(struct check_run *run, size_t lo, size_t hi);
void model_zero(struct check_run *run, size_t lo, size_t hi);
int model_paint(struct check_run *run, size_t lo, size_t hi); /* the CPU writes a stamp */
const uint8_t *model_stamp(struct check_run *run, size_t lo, size_t hi); /* shadow only */
int model_remap(struct check_run *run, size_t lo, size_t hi, int flags);

int device_read(struct check_run *run, size_t offset, size_t len);
int device_write(struct check_run *run, size_t offset, size_t len);
int cpu_verify(struct check_run *run, size_t offset, size_t len);

/* ---- changes ------------------------------------------------------------------------ */

#define C_STRAIGHT 1u /* between apply and again the memory is nobody's: do not look */
#define C_TAIL     2u /* hits everything from lo to the end */
#define C_WHOLE    4u /* hits the whole region only */
#define C_QUIET    8u /* changes nothing that the CPU could see */

struct check_change {
	const char *name;
	const char *about;
	const char *promise; /* "Y3" */
	unsigned int need, any,
		not ; /* traits: all of need, one of any (0: -), none of not */
	unsigned int ways;
	unsigned int flags;
	uint8_t limit; /* the limit that a run by raw system call may meet; 0: none */
	int (*apply)(struct check_run *run);
	int (*again)(
		struct check_run *run); /* the memory comes back; NULL: nothing to do */
	void (*done)(struct check_run *run); /* clean up, whatever happened; NULL */
};

extern const struct check_change check_changes[];
extern const unsigned int check_nr_changes;
bool change_applies(const struct check_change *change, const struct check_kind *kind);

struct check_limit {
	uint8_t id;
	const char *what;
	const char *why;
	const char *remedy;
};
extern const struct check_limit check_limits[];
extern const unsigned int check_nr_limits;

/* Which limit, if any, allows this way of this change to go unseen here? 0: none. */
unsigned int limit_of(const struct check_env *env, const struct check_change *change,
		      enum check_way way);

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

int check_plan_make(struct check_plan *plan);
const char *check_cell_promise(const struct check_cell *cell);
void check_cell_name(const struct check_cell *cell, char *out, size_t size);
int check_run_all(struct check_plan *plan);
void check_report_table(const struct check_plan *plan);
int check_report_json(const struct check_plan *plan);
void check_report_list(void);
int check_report_status(const struct check_plan *plan);

#endif
