// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: what can happen to a mapping, and what does it do to the memory?
 *
 * A row makes its calls by the way asked for and says as data what they did (effect.c): the
 * program that runs it keeps its own copy of the memory by that. "restore" brings the
 * memory back at the same address, with new content where the change allows it.
 */
#include "changes.h"

#include <string.h>

/* ---- the table
 * ----------------------------------------------------------------------------- */

#define LR   (W(LIBC) | W(RAW))
#define LRU  (LR | W(URING))
#define LRO  (LR | W(OTHER))
#define LROU (LRO | W(URING) | W(ALIAS))

#define NEW                         \
	{                           \
		KIT_NEW, KIT_NATIVE \
	}
#define PAINTED                     \
	{                           \
		KIT_PAINTED, KIT_RW \
	}
#define GUARDED                         \
	{                               \
		KIT_DISCARDED, KIT_NONE \
	}

const struct kit_change kit_changes[] = {
	{"none", "no change", "Y1", 0, 0, 0, W(LIBC), C_QUIET, 0, apply_none, NOTHING},
	{"munmap", "munmap, then new memory at the same address", "Y3", T_OWN, 0, 0, LR, 0,
	 0, apply_munmap, UNMAPPED, restore_fresh, NEW},
	{"told", "munmap, of which the holder of a snapshot and a DMA map is told", "Y6",
	 T_OWN, 0, 0, LR, C_TOLD, 0, apply_munmap, UNMAPPED, restore_fresh, NEW},
	{"mmap-over", "mmap with MAP_FIXED over it", "Y3", T_OWN, 0, 0, LR, 0, 0,
	 apply_map_over, NEW},
	{"mmap-none", "mmap with MAP_FIXED over it, PROT_NONE, then back", "Y3", T_OWN, 0,
	 0, LR, 0, 0, apply_map_none, UNMAPPED, apply_map_over, NEW},
	{"mremap-move", "mremap to another address, then new memory at the old one", "Y3",
	 T_OWN, 0, 0, LR, 0, 0, apply_mremap_move, MOVED, restore_fresh, NEW,
	 cleanup_moved},
	{"mremap-onto",
	 "mremap with MREMAP_FIXED of other memory onto it",
	 "Y3",
	 T_OWN,
	 0,
	 0,
	 LR,
	 0,
	 0,
	 apply_mremap_onto,
	 {KIT_SHOWS, KIT_NATIVE}},
	{"mremap-shrink", "mremap to half the size, then new memory behind it", "Y3", T_OWN,
	 0, 0, LR, C_TAIL | C_WHOLE, 0, apply_mremap_shrink, UNMAPPED, restore_fresh, NEW},
	{"mremap-dontunmap", "mremap with MREMAP_DONTUNMAP", "Y3", T_OWN, 0, T_HUGETLB, LR,
	 0, 0, apply_mremap_dontunmap, DISCARDED, restore_nothing, NOTHING, cleanup_moved},
	{"brk",
	 "the program break goes down, then up again",
	 "Y3",
	 T_BRK,
	 0,
	 0,
	 LR,
	 C_TAIL,
	 0,
	 apply_brk,
	 UNMAPPED,
	 restore_brk,
	 {KIT_ZEROED, KIT_RW}},
	{"dontneed", "madvise MADV_DONTNEED", "Y3", 0, 0, 0, LRU, 0, 0, apply_dontneed,
	 DISCARDED},
	{"dontneed-locked", "mlock, madvise MADV_DONTNEED_LOCKED", "Y3", 0, 0, 0, LR, 0, 0,
	 apply_dontneed_locked, DISCARDED},
	{"free-advice", "madvise MADV_FREE, then written by the CPU", "Y3",
	 T_ANON | T_WRITE, 0, T_HUGETLB, LR, 0, 0, apply_free_advice, PROT(ANY),
	 restore_nothing, PAINTED},
	{"remove", "madvise MADV_REMOVE", "Y3", T_SHARED | T_WRITE, 0, T_DEVICE, LR, 0, 0,
	 apply_remove, ZEROED},
	{"process-madvise", "process_madvise MADV_DONTNEED on itself", "Y3", 0, 0, 0, LR, 0,
	 0, apply_process_madvise, DISCARDED},
	{"guard", "madvise MADV_GUARD_INSTALL, then MADV_GUARD_REMOVE", "Y3", 0, 0,
	 T_HUGETLB, LR, 0, 1, apply_guard, GUARDED, restore_guard, PROT(NATIVE),
	 cleanup_guard},
	{"mprotect-ro", "mprotect to read-only, and back", "Y5", T_WRITE, 0, 0, LR, 0, 2,
	 apply_mprotect_ro, PROT(RO), restore_mprotect, PROT(NATIVE)},
	{"mprotect-none", "mprotect to none, and back", "Y5", 0, 0, 0, LR, 0, 2,
	 apply_mprotect_none, PROT(NONE), restore_mprotect, PROT(NATIVE)},
	{"mprotect-rw", "mprotect of a read-only mapping to writable", "Y5", 0, 0,
	 T_WRITE | T_SHARED, LR, 0, 2, apply_mprotect_rw, PROT(RW), restore_mprotect,
	 PROT(NATIVE)},
	{"pkey-mprotect", "pkey_mprotect to read-only, and back", "Y5", T_WRITE, 0, 0, LR,
	 0, 2, apply_pkey_mprotect, PROT(RO), restore_pkey_mprotect, PROT(NATIVE)},
	{"shmdt", "shmdt, then another segment at the same address", "Y3", T_SYSV, 0, 0, LR,
	 C_WHOLE, 0, apply_shmdt, UNMAPPED, restore_fresh, NEW},
	{"shmat-over",
	 "shmat with SHM_REMAP over it",
	 "Y3",
	 T_OWN,
	 0,
	 T_HUGETLB,
	 LR,
	 0,
	 3,
	 apply_shmat,
	 {KIT_SHOWS, KIT_RW}},
	{"remap-file-pages",
	 "remap_file_pages shows another part of the file",
	 "Y3",
	 T_SHARED | T_FD | T_WRITE,
	 0,
	 0,
	 LR,
	 0,
	 0,
	 apply_remap_file_pages,
	 {KIT_SHOWS, KIT_SAME}},
	{"ftruncate",
	 "the file is cut off and grows again",
	 "Y3",
	 T_FD,
	 0,
	 0,
	 LRO,
	 C_TAIL,
	 0,
	 apply_ftruncate,
	 PROT(BUS),
	 restore_ftruncate,
	 {KIT_CUT, KIT_NATIVE}},
	{"punch",
	 "a hole is punched into the file",
	 "Y3",
	 T_FD,
	 0,
	 0,
	 LROU,
	 0,
	 0,
	 apply_punch,
	 {KIT_FILE_ZEROED, KIT_SAME}},
	{"unlink", "the file loses its last name", "Y3", T_FD | T_FILE, 0, 0, W(LIBC),
	 C_QUIET | C_WHOLE, 0, apply_unlink, NOTHING, restore_unlink, NOTHING},
	{"reflink", "the file is cloned: what is written later is not in the clone", "Y3",
	 T_FD | T_FILE, 0, 0, W(LIBC), C_WHOLE, 0, apply_reflink, NOTHING, restore_reflink,
	 NOTHING, cleanup_reflink},
	{"reflink-onto",
	 "blocks of another file are cloned into the file",
	 "Y3",
	 T_FD | T_FILE,
	 0,
	 0,
	 W(LIBC),
	 0,
	 0,
	 apply_reflink_onto,
	 {KIT_FILE_SHOWS, KIT_SAME}},
	{"fork", "fork; the parent writes, the child has its own copy", "Y9", T_WRITE, 0, 0,
	 LR, 0, 0, apply_fork, PAINTED, restore_fork, NOTHING, cleanup_fork},
	{"spawn", "posix_spawn of another program", "Y9", 0, 0, 0, W(INNER),
	 C_QUIET | C_WHOLE, 0, apply_spawn, NOTHING},
	{"pageout", "madvise MADV_PAGEOUT: nothing to be seen", "Y3", 0, 0, 0, W(LIBC),
	 C_QUIET, 0, apply_pageout, NOTHING},
	{"collapse", "madvise MADV_COLLAPSE: nothing to be seen", "Y3", T_ANON | T_WRITE, 0,
	 T_HUGETLB, W(LIBC), C_QUIET, 0, apply_collapse, NOTHING},
	{"free", "free of a large block, then malloc", "Y3", T_LARGE, 0, 0, W(INNER),
	 C_WHOLE, 0, apply_free, UNMAPPED, restore_free, PAINTED},
	{"realloc", "realloc of a large block, which moves", "Y3", T_LARGE, 0, 0, W(INNER),
	 C_WHOLE, 0, apply_realloc, MOVED, restore_realloc, PAINTED, cleanup_realloc},
	{"malloc-trim", "free, malloc_trim, then malloc", "Y3", T_HEAP, 0, 0, W(INNER),
	 C_WHOLE | C_STRAIGHT, 0, apply_trim, NOTHING, restore_heap, PAINTED, cleanup_heap},
	{"brk-trim", "free at the heap's top, which is trimmed, then malloc", "Y3", T_HEAP,
	 0, 0, W(INNER), C_WHOLE | C_STRAIGHT, 0, apply_brk_trim, NOTHING, restore_heap,
	 PAINTED, cleanup_heap},
	{"thread-exit", "a thread ends, then its stack's address is used again", "Y3",
	 T_THREAD, 0, 0, W(INNER), C_WHOLE, 0, apply_thread_exit, UNMAPPED, restore_thread,
	 PAINTED, cleanup_there},
	{"dlclose", "dlclose, then new memory at the same address", "Y3", T_LIBRARY, 0, 0,
	 W(INNER), C_WHOLE, 0, apply_dlclose, UNMAPPED, restore_there, PAINTED,
	 cleanup_there},
};
const unsigned int kit_nr_changes = sizeof(kit_changes) / sizeof(kit_changes[0]);

bool kit_change_applies(const struct kit_change *change, const struct kit_kind *kind)
{
	unsigned int traits = kind->traits;

	return (traits & change->need) == change->need &&
	       (!change->any || (traits & change->any)) && !(traits & change->without);
}

/* ---- running one ----------------------------------------------------------------------
 */

static int run(struct kit_act *act, int (*call)(struct kit_act *),
	       const struct kit_effect *effect)
{
	int err;

	act->effect = *effect;
	if (kit_effect_needs_fresh(effect))
		kit_stamp_fill(FRESH(act), act->lo, LEN(act), kit_stamp_next());
	err = call(act);
	if (!err)
		kit_effect_take(act->r, &act->effect, act->lo, act->hi);
	return err;
}

int kit_apply(struct kit_act *act, const struct kit_change *change)
{
	return run(act, change->apply, &change->effect);
}

int kit_restore(struct kit_act *act, const struct kit_change *change)
{
	return run(act, change->restore, &change->restored);
}

/* ---- limits ---------------------------------------------------------------------------
 */

const struct kit_limit kit_limits[] = {
	{1, "madvise(MADV_GUARD_INSTALL) by raw system call, or by an io_uring",
	 "the kernel sends no event and no record of it",
	 "call madvise(), or hmm_invalidate() after it"},
	{2, "mprotect and pkey_mprotect by raw system call where perf is not allowed",
	 "only perf's mapping records tell of it",
	 "set kernel.perf_event_paranoid to 2 or less, or call mprotect()"},
	{3, "shmat(SHM_REMAP) by raw system call where perf is not allowed",
	 "the kernel unmaps without an event; only perf's mapping records tell of it",
	 "set kernel.perf_event_paranoid to 2 or less, or call shmat()"},
	{4,
	 "an address range that one thread vacates and another occupies before the first "
	 "one's call has returned, both by calls that pass the library by (raw, inside of "
	 "libc, another process's), and the second by a raw mremap or where perf is not "
	 "allowed",
	 "the kernel gives the range away before its event can be read; the case pairs "
	 "prints how often",
	 "let either of the two call libc's function, or hmm_invalidate() the new memory"},
};
const unsigned int kit_nr_limits = sizeof(kit_limits) / sizeof(kit_limits[0]);
