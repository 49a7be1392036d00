// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what can happen to a mapping, and what must the CPU see after it?
 *
 * Each change makes its calls by the run's way and updates the model. "again" brings the
 * memory back at the same address, with new content where the change allows it.
 */
#include "changes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define AT(run)  ((run)->r.addr + (run)->lo)
#define LEN(run) ((run)->hi - (run)->lo)

/* What the kernel does not offer is skipped; everything else is a failure. */
int call_failed(struct check_run *run, const char *call)
{
	int err = errno;

	if (err == EINVAL || err == ENOSYS || err == EOPNOTSUPP || err == EPERM)
		return check_skip(run, "%s: %s on this kernel, for this memory", call,
				  strerror(err));
	return check_fail(run, "%s failed: %s", call, strerror(err));
}

static int native_prot(const struct check_run *run)
{
	if (run->r.kind->traits & T_WRITE)
		return PROT_READ | PROT_WRITE;
	return PROT_READ;
}

static enum page_state native_state(const struct check_run *run)
{
	return run->r.kind->traits & T_WRITE ? PAGE_RW : PAGE_RO;
}

int again_fresh(struct check_run *run)
{
	return model_remap(run, run->lo, run->hi, MAP_FIXED_NOREPLACE);
}

static int apply_none(struct check_run *run)
{
	return 0;
}

/* ---- unmap, map, move -------------------------------------------------------------------
 */

int apply_munmap(struct check_run *run)
{
	if (run->calls->munmap(AT(run), LEN(run)))
		return call_failed(run, "munmap");
	model_state(run, run->lo, run->hi, PAGE_SEGV);
	return 0;
}

static int apply_map_over(struct check_run *run)
{
	return model_remap(run, run->lo, run->hi, MAP_FIXED);
}

static int apply_map_none(struct check_run *run)
{
	void *p = run->calls->mmap(AT(run), LEN(run), PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		return call_failed(run, "mmap");
	model_state(run, run->lo, run->hi, PAGE_SEGV);
	return 0;
}

/* The memory that a change moved is used by the device where it is now. */
int moved_check(struct check_run *run)
{
	const struct hmm_check_device *table = run->env->dev->table;
	size_t len = run->moved_len;
	bool write = run->r.kind->traits & T_WRITE;
	uint64_t word = 0, seen = 0;
	int rc;

	if (write)
		model_fill((uint8_t *)&word, 0, 8, model_next());
	if (write && guarded_write(run->moved + len - 8, &word, 8))
		return check_fail(run, "the CPU cannot write where the memory moved to");
	rc = table->read(run->env->context, run->moved + len - 8, &seen, 8);
	if (!write)
		memcpy(&word, run->moved + len - 8, 8);
	if (rc || seen != word)
		return check_stale(run,
				   "device read of the moved memory: %d, %llx, not %llx",
				   rc, (unsigned long long)seen, (unsigned long long)word);
	if (!write)
		return 0;
	model_fill((uint8_t *)&word, 0, 8, model_next());
	rc = table->write(run->env->context, run->moved + 1, &word, 8);
	if (rc || memcmp(run->moved + 1, &word, 8))
		return check_stale(run, "device write to the moved memory: %d, not seen",
				   rc);
	return 0;
}

void done_moved(struct check_run *run)
{
	if (run->moved)
		munmap(run->moved, run->moved_len);
	run->moved = NULL;
}

static int move_away(struct check_run *run, int flags)
{
	uint8_t *to = check_zone(LEN(run));
	void *p = run->calls->mremap(AT(run), LEN(run), LEN(run),
				     MREMAP_MAYMOVE | MREMAP_FIXED | flags, to);

	if (p == MAP_FAILED)
		return call_failed(run, "mremap");
	run->moved = to;
	run->moved_len = LEN(run);
	return 0;
}

static int apply_mremap_move(struct check_run *run)
{
	if (move_away(run, 0))
		return -1;
	model_state(run, run->lo, run->hi, PAGE_SEGV);
	return 0;
}

static int again_moved(struct check_run *run)
{
	if (moved_check(run))
		return -1;
	return again_fresh(run);
}

static int apply_mremap_dontunmap(struct check_run *run)
{
	if (move_away(run, MREMAP_DONTUNMAP))
		return -1;
	if (run->r.kind->traits & T_SHARED)
		return 0; /* the same memory at both addresses: no more to be told apart */
	model_discard(run, run->lo, run->hi);
	return 0;
}

static int again_dontunmap(struct check_run *run)
{
	if (run->r.kind->traits & T_SHARED)
		return 0;
	return moved_check(run);
}

/* Other memory of the same kind is moved onto the region. */
static int apply_mremap_onto(struct check_run *run)
{
	struct check_region *r = &run->r;
	uint8_t *donor = check_zone(LEN(run));
	const uint8_t *data = model_stamp(run, run->lo, run->hi);
	int err = r->kind->map(r, check_calls(WAY_LIBC, 0), donor, LEN(run),
			       MAP_FIXED_NOREPLACE, data);

	if (err)
		return check_fail(run, "cannot map a donor: %s", strerror(-err));
	if (r->base)
		memcpy(r->base + run->lo, data, LEN(run));
	if (r->kind->traits & T_WRITE)
		memcpy(donor, data, LEN(run));
	if (run->calls->mremap(donor, LEN(run), LEN(run), MREMAP_MAYMOVE | MREMAP_FIXED,
			       AT(run)) == MAP_FAILED) {
		err = call_failed(run, "mremap");
		munmap(donor, LEN(run));
		return err;
	}
	model_state(run, run->lo, run->hi, native_state(run));
	return 0;
}

static int apply_mremap_shrink(struct check_run *run)
{
	if (run->calls->mremap(run->r.addr, run->r.len, run->lo, 0, NULL) == MAP_FAILED)
		return call_failed(run, "mremap");
	model_state(run, run->lo, run->hi, PAGE_SEGV);
	return 0;
}

static int apply_brk(struct check_run *run)
{
	if (sbrk(0) != run->r.addr + run->r.len)
		return check_skip(run, "libc's heap has grown behind the region");
	if (run->calls->brk(AT(run)))
		return call_failed(run, "brk");
	model_state(run, run->lo, run->hi, PAGE_SEGV);
	return 0;
}

static int again_brk(struct check_run *run)
{
	if (run->calls->brk(run->r.addr + run->r.len))
		return call_failed(run, "brk");
	model_zero(run, run->lo, run->hi);
	model_state(run, run->lo, run->hi, PAGE_RW);
	return 0;
}

/* ---- madvise ---------------------------------------------------------------------------
 */

static int advise(struct check_run *run, int advice, const char *name)
{
	if (run->calls->madvise(AT(run), LEN(run), advice))
		return call_failed(run, name);
	return 0;
}

static int apply_dontneed(struct check_run *run)
{
	if (advise(run, MADV_DONTNEED, "MADV_DONTNEED"))
		return -1;
	model_discard(run, run->lo, run->hi);
	return 0;
}

static int apply_dontneed_locked(struct check_run *run)
{
	/* Locked where that is allowed: then it is the only discard that works. */
	bool locked = LEN(run) <= 16 * CHECK_PAGE && !mlock(AT(run), LEN(run));

	if (advise(run, MADV_DONTNEED_LOCKED, "MADV_DONTNEED_LOCKED"))
		return -1;
	if (locked)
		munlock(AT(run), LEN(run));
	model_discard(run, run->lo, run->hi);
	return 0;
}

static int apply_free_advice(struct check_run *run)
{
	if (advise(run, MADV_FREE, "MADV_FREE"))
		return -1;
	model_state(run, run->lo, run->hi, PAGE_ANY);
	return 0;
}

static int again_paint(struct check_run *run)
{
	return model_paint(run, run->lo, run->hi);
}

static int apply_remove(struct check_run *run)
{
	if (advise(run, MADV_REMOVE, "MADV_REMOVE"))
		return -1;
	model_zero(run, run->lo, run->hi);
	return 0;
}

static int apply_process_madvise(struct check_run *run)
{
	if (run->calls->process_madvise(AT(run), LEN(run), MADV_DONTNEED))
		return call_failed(run, "process_madvise(MADV_DONTNEED)");
	model_discard(run, run->lo, run->hi);
	return 0;
}

static int apply_guard(struct check_run *run)
{
	if (advise(run, CHECK_GUARD_INSTALL, "MADV_GUARD_INSTALL"))
		return -1;
	model_discard(run, run->lo, run->hi);
	model_state(run, run->lo, run->hi, PAGE_SEGV);
	return 0;
}

static int again_guard(struct check_run *run)
{
	uint8_t byte;

	if (advise(run, CHECK_GUARD_REMOVE, "MADV_GUARD_REMOVE"))
		return -1;
	/* Its pages are of 2 MiB only: one that a guard has split up does not come back. */
	if ((run->r.kind->traits & T_DEVICE) && guarded_read(&byte, AT(run), 1))
		return check_skip(run, "MADV_GUARD_REMOVE: device DAX stays a SIGBUS for "
				       "the CPU, too, on this kernel");
	model_state(run, run->lo, run->hi, native_state(run));
	return 0;
}

/* Guards are not taken away by anything else that a run does. */
static void done_guard(struct check_run *run)
{
	madvise(AT(run), LEN(run), CHECK_GUARD_REMOVE);
}

static int apply_pageout(struct check_run *run)
{
	return advise(run, MADV_PAGEOUT, "MADV_PAGEOUT");
}

static int apply_collapse(struct check_run *run)
{
	/* Where there is no huge page to be had, nothing happens: that is fine too. */
	run->calls->madvise(AT(run), LEN(run), MADV_COLLAPSE);
	return 0;
}

/* ---- protection -------------------------------------------------------------------------
 */

static int protect(struct check_run *run, int prot, enum page_state state)
{
	if (run->calls->mprotect(AT(run), LEN(run), prot))
		return call_failed(run, "mprotect");
	model_state(run, run->lo, run->hi, state);
	return 0;
}

static int apply_mprotect_ro(struct check_run *run)
{
	return protect(run, PROT_READ, PAGE_RO);
}

static int apply_mprotect_none(struct check_run *run)
{
	return protect(run, PROT_NONE, PAGE_SEGV);
}

static int apply_mprotect_rw(struct check_run *run)
{
	return protect(run, PROT_READ | PROT_WRITE, PAGE_RW);
}

static int again_mprotect(struct check_run *run)
{
	return protect(run, native_prot(run), native_state(run));
}

static int pkey_protect(struct check_run *run, int prot, enum page_state state)
{
	if (run->calls->pkey_mprotect(AT(run), LEN(run), prot, -1))
		return call_failed(run, "pkey_mprotect");
	model_state(run, run->lo, run->hi, state);
	return 0;
}

static int apply_pkey_mprotect(struct check_run *run)
{
	return pkey_protect(run, PROT_READ, PAGE_RO);
}

static int again_pkey_mprotect(struct check_run *run)
{
	return pkey_protect(run, native_prot(run), native_state(run));
}

/* ---- the table
 * ----------------------------------------------------------------------------- */

#define LR   (W(LIBC) | W(RAW))
#define LRU  (LR | W(URING))
#define LRO  (LR | W(OTHER))
#define LROU (LRO | W(URING) | W(ALIAS))

const struct check_change check_changes[] = {
	{"none", "no change", "Y1", 0, 0, 0, W(LIBC), C_QUIET, 0, apply_none},
	{"munmap", "munmap, then new memory at the same address", "Y3", T_OWN, 0, 0, LR, 0,
	 0, apply_munmap, again_fresh},
	{"told", "munmap, of which the holder of a snapshot and a DMA map is told", "Y6",
	 T_OWN, 0, 0, LR, 0, 0, apply_told, again_fresh},
	{"mmap-over", "mmap with MAP_FIXED over it", "Y3", T_OWN, 0, 0, LR, 0, 0,
	 apply_map_over},
	{"mmap-none", "mmap with MAP_FIXED over it, PROT_NONE, then back", "Y3", T_OWN, 0,
	 0, LR, 0, 0, apply_map_none, apply_map_over},
	{"mremap-move", "mremap to another address, then new memory at the old one", "Y3",
	 T_OWN, 0, 0, LR, 0, 0, apply_mremap_move, again_moved, done_moved},
	{"mremap-onto", "mremap with MREMAP_FIXED of other memory onto it", "Y3", T_OWN, 0,
	 0, LR, 0, 0, apply_mremap_onto},
	{"mremap-shrink", "mremap to half the size, then new memory behind it", "Y3", T_OWN,
	 0, 0, LR, C_TAIL | C_WHOLE, 0, apply_mremap_shrink, again_fresh},
	{"mremap-dontunmap", "mremap with MREMAP_DONTUNMAP", "Y3", T_OWN, 0, T_HUGETLB, LR,
	 0, 0, apply_mremap_dontunmap, again_dontunmap, done_moved},
	{"brk", "the program break goes down, then up again", "Y3", T_BRK, 0, 0, LR, C_TAIL,
	 0, apply_brk, again_brk},
	{"dontneed", "madvise MADV_DONTNEED", "Y3", 0, 0, 0, LRU, 0, 0, apply_dontneed},
	{"dontneed-locked", "mlock, madvise MADV_DONTNEED_LOCKED", "Y3", 0, 0, 0, LR, 0, 0,
	 apply_dontneed_locked},
	{"free-advice", "madvise MADV_FREE, then written by the CPU", "Y3",
	 T_ANON | T_WRITE, 0, T_HUGETLB, LR, 0, 0, apply_free_advice, again_paint},
	{"remove", "madvise MADV_REMOVE", "Y3", T_SHARED | T_WRITE, 0, T_DEVICE, LR, 0, 0,
	 apply_remove},
	{"process-madvise", "process_madvise MADV_DONTNEED on itself", "Y3", 0, 0, 0, LR, 0,
	 0, apply_process_madvise},
	{"guard", "madvise MADV_GUARD_INSTALL, then MADV_GUARD_REMOVE", "Y3", 0, 0,
	 T_HUGETLB, LR, 0, 1, apply_guard, again_guard, done_guard},
	{"mprotect-ro", "mprotect to read-only, and back", "Y5", T_WRITE, 0, 0, LR, 0, 2,
	 apply_mprotect_ro, again_mprotect},
	{"mprotect-none", "mprotect to none, and back", "Y5", 0, 0, 0, LR, 0, 2,
	 apply_mprotect_none, again_mprotect},
	{"mprotect-rw", "mprotect of a read-only mapping to writable", "Y5", 0, 0,
	 T_WRITE | T_SHARED, LR, 0, 2, apply_mprotect_rw, again_mprotect},
	{"pkey-mprotect", "pkey_mprotect to read-only, and back", "Y5", T_WRITE, 0, 0, LR,
	 0, 2, apply_pkey_mprotect, again_pkey_mprotect},
	{"shmdt", "shmdt, then another segment at the same address", "Y3", T_SYSV, 0, 0, LR,
	 C_WHOLE, 0, apply_shmdt, again_fresh},
	{"shmat-over", "shmat with SHM_REMAP over it", "Y3", T_OWN, 0, T_HUGETLB, LR, 0, 3,
	 apply_shmat},
	{"remap-file-pages", "remap_file_pages shows another part of the file", "Y3",
	 T_SHARED | T_FD | T_WRITE, 0, 0, LR, 0, 0, apply_remap_file_pages},
	{"ftruncate", "the file is cut off and grows again", "Y3", T_FD, 0, 0, LRO, C_TAIL,
	 0, apply_ftruncate, again_ftruncate},
	{"punch", "a hole is punched into the file", "Y3", T_FD, 0, 0, LROU, 0, 0,
	 apply_punch},
	{"unlink", "the file loses its last name", "Y3", T_FD | T_FILE, 0, 0, W(LIBC),
	 C_QUIET | C_WHOLE, 0, apply_unlink, again_unlink},
	{"reflink", "the file is cloned: what is written later is not in the clone", "Y3",
	 T_FD | T_FILE, 0, 0, W(LIBC), C_WHOLE, 0, apply_reflink, again_reflink,
	 done_reflink},
	{"reflink-onto", "blocks of another file are cloned into the file", "Y3",
	 T_FD | T_FILE, 0, 0, W(LIBC), 0, 0, apply_reflink_onto},
	{"fork", "fork; the parent writes, the child has its own copy", "Y9", T_WRITE, 0, 0,
	 LR, 0, 0, apply_fork, again_fork, done_fork},
	{"spawn", "posix_spawn of another program", "Y9", 0, 0, 0, W(INNER),
	 C_QUIET | C_WHOLE, 0, apply_spawn},
	{"pageout", "madvise MADV_PAGEOUT: nothing to be seen", "Y3", 0, 0, 0, W(LIBC),
	 C_QUIET, 0, apply_pageout},
	{"collapse", "madvise MADV_COLLAPSE: nothing to be seen", "Y3", T_ANON | T_WRITE, 0,
	 T_HUGETLB, W(LIBC), C_QUIET, 0, apply_collapse},
	{"free", "free of a large block, then malloc", "Y3", T_LARGE, 0, 0, W(INNER),
	 C_WHOLE, 0, apply_free, again_free},
	{"realloc", "realloc of a large block, which moves", "Y3", T_LARGE, 0, 0, W(INNER),
	 C_WHOLE, 0, apply_realloc, again_realloc, done_realloc},
	{"malloc-trim", "free, malloc_trim, then malloc", "Y3", T_HEAP, 0, 0, W(INNER),
	 C_WHOLE | C_STRAIGHT, 0, apply_trim, again_heap, done_heap},
	{"brk-trim", "free at the heap's top, which is trimmed, then malloc", "Y3", T_HEAP,
	 0, 0, W(INNER), C_WHOLE | C_STRAIGHT, 0, apply_brk_trim, again_heap, done_heap},
	{"thread-exit", "a thread ends, then its stack's address is used again", "Y3",
	 T_THREAD, 0, 0, W(INNER), C_WHOLE, 0, apply_thread_exit, again_thread,
	 done_thread},
	{"dlclose", "dlclose, then new memory at the same address", "Y3", T_LIBRARY, 0, 0,
	 W(INNER), C_WHOLE, 0, apply_dlclose, again_library, done_library},
};
const unsigned int check_nr_changes = sizeof(check_changes) / sizeof(check_changes[0]);

bool change_applies(const struct check_change *change, const struct check_kind *kind)
{
	unsigned int traits = kind->traits;

	return (traits & change->need) == change->need &&
	       (!change->any || (traits & change->any)) && !(traits & change->not );
}
