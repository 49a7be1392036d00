/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kit: which kinds of memory are there, by which ways are they changed, and what does
 * each change do to them?
 *
 *	ways.c       libc, raw, inner, alias, other process, uring
 *	kinds.c      kinds of memory: name, traits, make, map, unmake (kinds_own.c: those
 *	             that a program maps; kinds_libc.c: that libc, the loader and the kernel
 *	             make; kinds_dax.c: persistent memory; place.c: where that lies)
 *	region.c     what every region of a kind has
 *	changes.c    changes: name, promise, traits, call, effect, restore, limit
 *	             (changes_map.c: by calls for the mapping; changes_file.c: by files and
 *	             processes; changes_inner.c: libc's own; act.c: reasons)
 *	effect.c     what a change did, as data, applied to a copy of the memory
 *	stamp.c      what memory is filled with, so that old data never looks like new
 *	guard.c      accesses of the CPU that may fault
 *	devices.c    the devices found (register_once.c: the one without libhmm)
 *	use.c        a device in use: read, write, in two halves, by an old address
 *	squeeze.h    what takes memory that was let go
 *	places.h     calls that vacate an address range, calls that occupy one, and two
 *	             threads that meet by them
 *
 * Each program that changes memory under a device (hmm check and its pairs of threads)
 * reads these tables and interprets the effects. A new kind, way or change is one row, and
 * is in all of them.
 */
#ifndef KIT_H
#define KIT_H

#include <hmm/check.h>
#include <hmm/hmm.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Of this machine, and the largest that it may be: what lies in arrays has room for that.
 */
extern size_t kit_page, kit_huge, kit_hugetlb;
#define KIT_PAGE kit_page
#define KIT_HUGE kit_huge /* a huge page that is mapped as one */
#if defined(__x86_64__)
#define KIT_PAGE_MAX 4096
#else
#define KIT_PAGE_MAX 65536
#endif
#define KIT_MAX_PAGES 1024
#define KIT_MAX_LEN   ((size_t)32 << 20) /* of a region */
#define KIT_PAGES     16                 /* of most regions */

/* ---- ways ----------------------------------------------------------------------- */

enum kit_way {
	WAY_LIBC,  /* the libc function: interposed where libhmm comes before libc */
	WAY_RAW,   /* the system call itself: only events and records see it */
	WAY_INNER, /* a call that libc makes inside of another */
	WAY_ALIAS, /* through another mapping of the same memory */
	WAY_OTHER, /* by another process */
	WAY_URING, /* by the kernel, on behalf of an io_uring */
	NR_WAYS,
};
#define W(way) (1u << WAY_##way)

extern const char *const kit_way_names[NR_WAYS];

/* Every call answers as libc's does: -1 and errno. */
struct kit_calls {
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
const struct kit_calls *kit_calls(enum kit_way way, unsigned int turn);
bool kit_interposed(void); /* do this program's own calls go through libhmm? */
int kit_other_start(void); /* the other process; before the library is opened */

/* ---- kinds of memory ---------------------------------------------------------------- */

#define T_OWN     0x0001u /* a mapping of the kit's own: may be unmapped and moved */
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

struct kit_region;

struct kit_kind {
	const char *name;
	const char *about;
	unsigned int traits;
	size_t len, page; /* of a region, 0: KIT_PAGES pages; the unit in which it can be
			   * changed, 0: a page. Set when the table is made */

	/* 0, or -errno with the region's reason set; then it is no such kind here. */
	int (*make)(struct kit_region *r);
	void (*unmake)(struct kit_region *r);

	/*
	 * Map new memory of this kind at [at, at + len); its content is @data where it has
	 * to be there before (read-only kinds), else of no importance. Own kinds only.
	 */
	int (*map)(struct kit_region *r, const struct kit_calls *calls, uint8_t *at,
		   size_t len, int flags, const uint8_t *data);

	const char *dir;     /* where its files lie; NULL: wherever there is room */
	const char *missing; /* why there is none here; NULL: try */
};

#define KIT_MAX_KINDS 52 /* a letter each */
extern struct kit_kind kit_kinds[KIT_MAX_KINDS];
extern unsigned int kit_nr_kinds;
void kit_kinds_init(void); /* after the options were read */

/* What the CPU can do with a page now. */
enum page_state {
	PAGE_RW,
	PAGE_RO,
	PAGE_SEGV,
	PAGE_BUS,
	PAGE_ANY, /* readable and writable, content not known: what the CPU sees is right */
};

struct kit_region {
	const struct kit_kind *kind;
	uint8_t *addr;
	size_t len, page;
	uint8_t *shadow; /* what the CPU must see */
	uint8_t *base;   /* what a discarded page shows again; NULL: zeroes */
	uint8_t *fresh;  /* what new memory gets: stamped before a change that needs it */
	uint8_t state[KIT_MAX_PAGES];
	int fd;       /* -1: none */
	void *handle; /* the kind's own */
	size_t handle_len;
	char reason[160]; /* why make failed */
};

/* Make one of the kind, with the copies that it needs: 0, or -errno and r->reason. */
int kit_region_open(struct kit_region *r, const struct kit_kind *kind);
uint8_t *kit_zone(size_t len); /* an address range where nobody else maps anything */
int kit_region_reason(struct kit_region *r, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

extern uint8_t *kit_main_stack; /* KIT_PAGES pages of the main thread's stack */

/* Reserved for a run, and given back by whoever reserved it. */
void kit_huge_reserve(void);
void kit_huge_give_back(void);

/* ---- stamps and guarded accesses ------------------------------------------------------
 */

/* Never the same twice in a process: data of an earlier run is old data too. */
uint64_t kit_stamp_next(void);
void kit_stamp_fill(uint8_t *out, size_t offset, size_t len, uint64_t serial);

void kit_catch_faults(void); /* SIGSEGV and SIGBUS of guarded accesses are caught */
int guarded_read(void *out, const void *from, size_t len); /* 0 or the signal */
int guarded_write(void *to, const void *data, size_t len); /* 0 or the signal */

/* ---- effects ------------------------------------------------------------------------- */

/* What the CPU finds in [lo, hi) after a change, where it may look. */
enum kit_content {
	KIT_KEPT,
	KIT_DISCARDED, /* private memory shows its file or zeroes, shared memory is kept */
	KIT_ZEROED,
	KIT_NEW,         /* other memory, holding fresh where nobody could write it since */
	KIT_SHOWS,       /* other memory, holding fresh */
	KIT_PAINTED,     /* whatever the CPU writes next: nothing is known before */
	KIT_FILE_ZEROED, /* the file's part is zeroes; private copies are kept */
	KIT_FILE_SHOWS,  /* the file's part is fresh; private copies are kept */
	KIT_CUT,         /* the file was cut off and grew: private copies went, too */
};

/* What the CPU may do there. */
enum kit_access {
	KIT_SAME,
	KIT_NATIVE, /* as the kind has it */
	KIT_NONE,
	KIT_RO,
	KIT_RW,
	KIT_BUS,
	KIT_ANY, /* all; but what it finds may be old or new */
};

struct kit_effect {
	enum kit_content content;
	enum kit_access access;
};

#define NOTHING                    \
	{                          \
		KIT_KEPT, KIT_SAME \
	}
#define UNMAPPED                   \
	{                          \
		KIT_KEPT, KIT_NONE \
	}
#define MOVED                      \
	{                          \
		KIT_KEPT, KIT_NONE \
	} /* and act->moved says where to */
#define DISCARDED                       \
	{                               \
		KIT_DISCARDED, KIT_SAME \
	}
#define ZEROED                       \
	{                            \
		KIT_ZEROED, KIT_SAME \
	}
#define PROT(x)                   \
	{                         \
		KIT_KEPT, KIT_##x \
	}

/* The same happens to the region's copies: shadow, base and state. */
void kit_effect_take(struct kit_region *r, const struct kit_effect *effect, size_t lo,
		     size_t hi);
bool kit_effect_needs_fresh(const struct kit_effect *effect);
/* Has the CPU to write [lo, hi) now, for its content to be known? */
bool kit_effect_paints(const struct kit_region *r, const struct kit_effect *effect);
void kit_state_set(struct kit_region *r, size_t lo, size_t hi, enum page_state state);

/* ---- changes ------------------------------------------------------------------------ */

/* One run of a change, of [lo, hi) of a region. */
struct kit_act {
	struct kit_region *r;
	const struct kit_calls *calls;
	enum kit_way way;
	size_t lo, hi;
	struct kit_effect effect; /* the row's, unless the call knows better */
	void *data;               /* the change's own, from apply to cleanup */
	pid_t child;              /* the change's own */
	int pipe[2];              /* the change's own */
	uint8_t *moved;           /* where the old memory is now; NULL: nowhere */
	size_t moved_len;
	char reason[200]; /* why a call did not do what it should */
};

#define C_STRAIGHT 1u  /* until the memory is back it is nobody's: do not look */
#define C_TAIL     2u  /* hits everything from lo to the end */
#define C_WHOLE    4u  /* hits the whole region only */
#define C_QUIET    8u  /* changes nothing that the CPU could see */
#define C_TOLD     16u /* the holder of a range is told of it */

struct kit_change {
	const char *name;
	const char *about;
	const char *promise; /* "Y3" */
	/* traits: all of need, one of any (0: any kind), none of without */
	unsigned int need, any, without;
	unsigned int ways;
	unsigned int flags;
	uint8_t limit; /* the limit that a run by raw system call may meet; 0: none */

	/*
	 * 0, or with a reason: -EOPNOTSUPP, the kernel does not offer it here; -EILSEQ,
	 * what others see of the memory is wrong; -EIO, it failed.
	 */
	int (*apply)(struct kit_act *act);
	struct kit_effect effect;
	int (*restore)(
		struct kit_act *act); /* the memory comes back; NULL: it never went */
	struct kit_effect restored;
	void (*cleanup)(struct kit_act *act); /* whatever happened; NULL: nothing to do */
};

extern const struct kit_change kit_changes[];
extern const unsigned int kit_nr_changes;
bool kit_change_applies(const struct kit_change *change, const struct kit_kind *kind);

/* The call, and what it did to the region's copies. */
int kit_apply(struct kit_act *act, const struct kit_change *change);
int kit_restore(struct kit_act *act, const struct kit_change *change);

/* Where the contract is known not to be met. */
struct kit_limit {
	uint8_t id;
	const char *what;
	const char *why;
	const char *remedy;
};
extern const struct kit_limit kit_limits[];
extern const unsigned int kit_nr_limits;

/* ---- devices ---------------------------------------------------------------------- */

struct kit_device {
	char name[32];
	const struct hmm_check_device *table;
	const char *file; /* where it was loaded from, NULL: built in */
	uint32_t modes;   /* only these; 0: what it offers */
	bool usual;       /* no mirror: registered once, then believed */
	bool hidden;      /* only when asked for by name */
};

#define KIT_MAX_DEVICES 16
extern struct kit_device kit_devices[KIT_MAX_DEVICES];
extern unsigned int kit_nr_devices;

/* What each driver of this tree says of this machine, as hmm_features(); ends with NULL. */
typedef int (*kit_features_fn)(struct hmm_feature *, unsigned int, size_t);
extern const kit_features_fn kit_driver_features[];

void kit_devices_init(void);
int kit_device_load(const char *file, char *error, size_t size);
extern const struct hmm_check_device kit_register_once;

/* A device that was opened. */
struct kit_use {
	const struct hmm_check_device *table;
	struct hmm_device *device; /* NULL: the usual one */
	void *context;
};

/* 0 or -errno, as hmm/check.h has it; what a driver leaves out is made of its move. */
int kit_device_open(const struct kit_device *dev, struct hmm *hmm, struct kit_use *use);
int kit_device_close(struct kit_use *use);
int kit_read(const struct kit_use *use, const void *from, void *out, size_t len);
int kit_write(const struct kit_use *use, void *to, const void *data, size_t len);

/* An access in two halves: @access is HMM_READ or HMM_WRITE. */
bool kit_has_halves(const struct kit_use *use);
int kit_start(const struct kit_use *use, unsigned int access, void *ptr, void *buffer,
	      size_t len, void **operation);
int kit_finish(const struct kit_use *use, void *operation);

/* All of it by an address and a key, whoever had them from whatever translation. */
bool kit_has_move(const struct kit_use *use);
int kit_move(const struct kit_use *use, uint64_t addr, uint32_t key, unsigned int access,
	     void *buffer, size_t len);

#endif
