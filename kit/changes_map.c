// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: how is a mapping changed by the calls that are made for it?
 *
 * Unmapped, mapped anew, moved, discarded, protected: by libc's functions or without them.
 */
#include "changes.h"
#include "kinds.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int native_prot(const struct kit_act *act)
{
	if (act->r->kind->traits & T_WRITE)
		return PROT_READ | PROT_WRITE;
	return PROT_READ;
}

/* Other memory of the same kind at [lo, hi). */
static int map_again(struct kit_act *act, int flags)
{
	struct kit_region *r = act->r;
	int err = r->kind->map(r, act->calls, AT(act), LEN(act), flags, FRESH(act));

	if (err == -EBUSY && (flags & MAP_FIXED_NOREPLACE))
		return act_skip(act, "the address was taken meanwhile");
	if (err)
		return act_fail(act, "cannot map %s memory again: %s", r->kind->name,
				strerror(-err));
	return 0;
}

int restore_fresh(struct kit_act *act)
{
	return map_again(act, MAP_FIXED_NOREPLACE);
}

int apply_none(struct kit_act *act)
{
	return 0;
}

/* ---- unmap, map, move -------------------------------------------------------------------
 */

int apply_munmap(struct kit_act *act)
{
	if (act->calls->munmap(AT(act), LEN(act)))
		return call_failed(act, "munmap");
	return 0;
}

int apply_map_over(struct kit_act *act)
{
	return map_again(act, MAP_FIXED);
}

int apply_map_none(struct kit_act *act)
{
	void *p = act->calls->mmap(AT(act), LEN(act), PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		return call_failed(act, "mmap");
	return 0;
}

void cleanup_moved(struct kit_act *act)
{
	if (act->moved)
		munmap(act->moved, act->moved_len);
	act->moved = NULL;
}

static int move_away(struct kit_act *act, int flags)
{
	uint8_t *to = kit_zone(LEN(act));
	void *p = act->calls->mremap(AT(act), LEN(act), LEN(act),
				     MREMAP_MAYMOVE | MREMAP_FIXED | flags, to);

	if (p == MAP_FAILED)
		return call_failed(act, "mremap");
	act->moved = to;
	act->moved_len = LEN(act);
	return 0;
}

int apply_mremap_move(struct kit_act *act)
{
	return move_away(act, 0);
}

int apply_mremap_dontunmap(struct kit_act *act)
{
	return move_away(act, MREMAP_DONTUNMAP);
}

/* Other memory of the same kind is moved onto the region. */
int apply_mremap_onto(struct kit_act *act)
{
	struct kit_region *r = act->r;
	uint8_t *donor = kit_zone(LEN(act));
	int err = r->kind->map(r, kit_calls(WAY_LIBC, 0), donor, LEN(act),
			       MAP_FIXED_NOREPLACE, FRESH(act));

	if (err)
		return act_fail(act, "cannot map a donor: %s", strerror(-err));
	if (r->kind->traits & T_WRITE)
		memcpy(donor, FRESH(act), LEN(act));
	if (act->calls->mremap(donor, LEN(act), LEN(act), MREMAP_MAYMOVE | MREMAP_FIXED,
			       AT(act)) == MAP_FAILED) {
		err = call_failed(act, "mremap");
		munmap(donor, LEN(act));
		return err;
	}
	return 0;
}

int apply_mremap_shrink(struct kit_act *act)
{
	if (act->calls->mremap(act->r->addr, act->r->len, act->lo, 0, NULL) == MAP_FAILED)
		return call_failed(act, "mremap");
	return 0;
}

int apply_brk(struct kit_act *act)
{
	if (sbrk(0) != act->r->addr + act->r->len)
		return act_skip(act, "libc's heap has grown behind the region");
	if (act->calls->brk(AT(act)))
		return call_failed(act, "brk");
	return 0;
}

int restore_brk(struct kit_act *act)
{
	if (act->calls->brk(act->r->addr + act->r->len))
		return call_failed(act, "brk");
	return 0;
}

/* ---- madvise ---------------------------------------------------------------------------
 */

static int advise(struct kit_act *act, int advice, const char *name)
{
	if (act->calls->madvise(AT(act), LEN(act), advice))
		return call_failed(act, name);
	return 0;
}

int apply_dontneed(struct kit_act *act)
{
	return advise(act, MADV_DONTNEED, "MADV_DONTNEED");
}

int apply_dontneed_locked(struct kit_act *act)
{
	/* Locked where that is allowed: then it is the only discard that works. */
	bool locked = LEN(act) <= 16 * KIT_PAGE && !mlock(AT(act), LEN(act));
	int err = advise(act, MADV_DONTNEED_LOCKED, "MADV_DONTNEED_LOCKED");

	if (locked)
		munlock(AT(act), LEN(act));
	return err;
}

int apply_free_advice(struct kit_act *act)
{
	return advise(act, MADV_FREE, "MADV_FREE");
}

int restore_nothing(struct kit_act *act)
{
	return 0;
}

int apply_remove(struct kit_act *act)
{
	return advise(act, MADV_REMOVE, "MADV_REMOVE");
}

int apply_process_madvise(struct kit_act *act)
{
	if (act->calls->process_madvise(AT(act), LEN(act), MADV_DONTNEED))
		return call_failed(act, "process_madvise(MADV_DONTNEED)");
	return 0;
}

int apply_guard(struct kit_act *act)
{
	return advise(act, KIT_GUARD_INSTALL, "MADV_GUARD_INSTALL");
}

int restore_guard(struct kit_act *act)
{
	int err = advise(act, KIT_GUARD_REMOVE, "MADV_GUARD_REMOVE");
	uint8_t byte;

	if (err)
		return err;
	/* Its pages are of 2 MiB only: one that a guard has split up does not come back. */
	if ((act->r->kind->traits & T_DEVICE) && guarded_read(&byte, AT(act), 1))
		return act_skip(act, "MADV_GUARD_REMOVE: device DAX stays a SIGBUS for "
				     "the CPU, too, on this kernel");
	return 0;
}

/* Guards are not taken away by anything else that a run does. */
void cleanup_guard(struct kit_act *act)
{
	madvise(AT(act), LEN(act), KIT_GUARD_REMOVE);
}

int apply_pageout(struct kit_act *act)
{
	return advise(act, MADV_PAGEOUT, "MADV_PAGEOUT");
}

int apply_collapse(struct kit_act *act)
{
	/* Where there is no huge page to be had, nothing happens: that is fine too. */
	act->calls->madvise(AT(act), LEN(act), MADV_COLLAPSE);
	return 0;
}

/* ---- protection -------------------------------------------------------------------------
 */

static int protect(struct kit_act *act, int prot)
{
	if (act->calls->mprotect(AT(act), LEN(act), prot))
		return call_failed(act, "mprotect");
	return 0;
}

int apply_mprotect_ro(struct kit_act *act)
{
	return protect(act, PROT_READ);
}

int apply_mprotect_none(struct kit_act *act)
{
	return protect(act, PROT_NONE);
}

int apply_mprotect_rw(struct kit_act *act)
{
	return protect(act, PROT_READ | PROT_WRITE);
}

int restore_mprotect(struct kit_act *act)
{
	return protect(act, native_prot(act));
}

static int pkey_protect(struct kit_act *act, int prot)
{
	if (act->calls->pkey_mprotect(AT(act), LEN(act), prot, -1))
		return call_failed(act, "pkey_mprotect");
	return 0;
}

int apply_pkey_mprotect(struct kit_act *act)
{
	return pkey_protect(act, PROT_READ);
}

int restore_pkey_mprotect(struct kit_act *act)
{
	return pkey_protect(act, native_prot(act));
}
