/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What do this kernel and process offer, and for what is missing: why, and how to get it?
 *
 * Each is tried, not guessed from a version. Where a struct hmm is open, what it uses is
 * told.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "linux/interpose.h"
#include "linux/kernel.h"
#include "sys/sys.h"
#include "util/arena.h"

struct list {
	char *features; /* of @size bytes each, as the caller has them */
	size_t size;
	unsigned int max, nr;
};

struct text {
	const char *detail, *reason, *remedy;
};

static void add(struct list *list, const char *group, const char *name,
		enum hmm_feature_state state, struct text text)
{
	struct hmm_feature f = {.group = group, .name = name, .state = state};

	if (list->nr++ >= list->max)
		return;
	snprintf(f.detail, sizeof(f.detail), "%s", text.detail);
	if (state != HMM_FEATURE_ON) {
		snprintf(f.reason, sizeof(f.reason), "%s", text.reason);
		snprintf(f.remedy, sizeof(f.remedy), "%s", text.remedy ? text.remedy : "");
	}
	core_struct_give(list->features + (list->nr - 1) * list->size, list->size, &f,
			 sizeof(f));
}

static enum hmm_feature_state there(bool is)
{
	return is ? HMM_FEATURE_ON : HMM_FEATURE_MISSING;
}

/* ---- sources ------------------------------------------------------------------------ */

static void add_uffd(struct list *list)
{
	struct uffd uffd;
	const char *why = "";
	int err = uffd_open(&uffd, &why);
	struct text text = {
		.detail = "unmap, move and discard by anybody raise events",
		.reason = why,
		.remedy = "hand in /dev/userfaultfd (docker run --device), or allow "
			  "userfaultfd in the seccomp filter; else a kernel with "
			  "CONFIG_USERFAULTFD",
	};
	struct text any = {
		.detail = "files, read-only memory and stacks can be watched too",
		.reason = err ? "there is no userfaultfd"
			      : "the kernel has no UFFD_FEATURE_WP_ASYNC, or one that can "
				"bring the kernel down (6.7 to 6.16): files are reached "
				"directly only, and not remembered",
		.remedy = "use Linux 6.17 or newer",
	};

	if (err == -EMFILE || err == -ENFILE)
		text.remedy = "raise RLIMIT_NOFILE (ulimit -n)";
	if (!err && uffd.none) {
		text.reason = "the kernel has no write-protection by userfaultfd on this "
			      "processor: memory is reached directly or staged, and not "
			      "remembered";
		text.remedy =
			"none for this processor, or a newer kernel (arm64: Linux 6.10)";
	}
	add(list, "source", "userfaultfd", there(!err && !uffd.none), text);
	add(list, "source", "userfaultfd-any", there(!err && uffd.any), any);
	if (!err)
		uffd_close(&uffd);
}

bool interpose_in_force(void)
{
#if INTERPOSE
	return dlsym(RTLD_DEFAULT, "munmap") == (void *)interpose_munmap;
#else
	return false;
#endif
}

static void add_interposition(struct list *list)
{
	struct hmm *hmm = as_hold();
	bool force = interpose_in_force(), open = interpose_open();
	struct text text = {
		.detail = "libc calls revoke by themselves: no event has to travel",
		.reason = "another munmap comes before libhmm's (it was loaded late, or "
			  "another library wraps it too): events alone carry the changes",
		.remedy =
			"link the program with libhmm, or preload it (hmm run -- COMMAND)",
	};

	if (!INTERPOSE) {
		text.reason = "built with a sanitizer, which wraps the same calls";
		text.remedy = "build without it";
	} else if (force) {
		text.reason = "switched off (HMM_NO_INTERPOSE)";
		text.remedy = "open without that flag";
	}
	add(list, "source", "interposition",
	    force && (!hmm || open) ? HMM_FEATURE_ON : HMM_FEATURE_OFF, text);
	if (hmm)
		as_drop();
}

static const char *perf_remedy(int err)
{
	switch (err) {
	case -EACCES:
	case -EPERM:
		return "sysctl kernel.perf_event_paranoid=2 (and mlock_kb not 0), or give "
		       "CAP_PERFMON";
	case -EMFILE:
		return "raise RLIMIT_NOFILE (ulimit -n), or open libhmm before the threads "
		       "start";
	case -EINVAL:
		return "use Linux 5.13 or newer";
	case -E2BIG:
		return "call mprotect through libc, or hmm_invalidate() after it";
	default:
		return "use a kernel with CONFIG_PERF_EVENTS, and allow perf_event_open";
	}
}

/* Tried with the events of one thread where it is not open already. */
static int try_perf(struct text *text, bool *wakes)
{
	struct perf *perf = malloc(sizeof(*perf));
	int err = perf ? perf_try(perf) : -ENOMEM;

	text->reason = perf ? perf->why : "no memory is left to try it";
	*wakes = perf && perf->wakes;
	free(perf);
	return err;
}

static void add_perf_at_once(struct list *list, bool on, bool wakes)
{
	struct text text = {
		.detail = "... at once, not only when the library's thread has run",
		.reason = wakes ? "there are more than 8 processors: a translation would "
				  "take longer for each that it had to look at"
				: "perf is not in use",
		.remedy = wakes ? "call mprotect through libc, or hmm_invalidate() after "
				  "it, where a moment is too long"
				: "see perf",
	};

	add(list, "source", "perf-at-once", on && !wakes ? HMM_FEATURE_ON : HMM_FEATURE_OFF,
	    text);
}

static void add_perf(struct list *list)
{
	struct text text = {.detail = perf_way(false)};
	struct hmm *hmm = as_hold();
	bool open = hmm, on = hmm && as_self.perf.nr_rings;
	bool off = hmm && as_self.perf.off, wakes = hmm && as_self.perf.wakes;

	if (hmm)
		as_drop();
	if (off) {
		text.reason = "switched off (HMM_NO_PERF)";
		text.remedy = "open without that flag";
		add(list, "source", "perf", HMM_FEATURE_OFF, text);
		add_perf_at_once(list, false, false);
		return;
	}
	if (!on) {
		int err = try_perf(&text, &wakes);

		if (!err && open) {
			text.reason =
				as_self.perf.why
					? as_self.perf.why
					: "could not be had when the library was opened";
			text.remedy = "close it and open it again";
			add(list, "source", "perf", HMM_FEATURE_OFF, text);
			add_perf_at_once(list, false, false);
			return;
		}
		on = !err;
		text.remedy = perf_remedy(err);
	}
	text.detail = perf_way(wakes);
	add(list, "source", "perf", there(on), text);
	add_perf_at_once(list, on, wakes);
}

static void add_never_pinned(struct list *list)
{
	struct text text = {.detail = "what others can truncate (files, shared memory) is "
				      "never pinned: so it cannot go stale"};

	add(list, "source", "never-pin", HMM_FEATURE_ON, text);
}

/* ---- readers of state -----------------------------------------------------------------
 */

static void add_maps(struct list *list)
{
	struct maps maps;
	int err = maps_init(&maps);
	struct text text = {
		.detail = "a mapping is looked up in one call, not in /proc/self/maps",
		.reason = err ? "/proc is not mounted" : "the kernel has no PROCMAP_QUERY",
		.remedy = err ? "mount /proc" : "use Linux 6.11 or newer; a miss is slower",
	};

	add(list, "state", "procmap_query", there(!err && maps.query), text);
	if (!err)
		maps_fini(&maps);
}

static void add_pagemap(struct list *list)
{
	struct pages pages;
	int err = pages_init(&pages);
	struct text text = {
		.detail = "a snapshot scans ranges, and tells zero and huge pages",
		.reason = err ? "/proc is not mounted" : "the kernel has no PAGEMAP_SCAN",
		.remedy = err ? "mount /proc" : "use Linux 6.7 or newer",
	};

	add(list, "state", "pagemap_scan", there(!err && pages.scan), text);
	if (!err)
		pages_fini(&pages);
}

static void add_populate(struct list *list)
{
	struct text text = {
		.detail = "a range is faulted in by one call",
		.reason = "the kernel has no MADV_POPULATE_READ",
		.remedy = "use Linux 5.14 or newer",
	};
	void *memory;
	int err = sys_mmap(&memory, page_size(), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (!err) {
		err = sys_madvise(memory, page_size(), K_MADV_POPULATE_READ);
		sys_munmap(memory, page_size());
	}
	add(list, "state", "populate", there(!err), text);
}

static void add_copy(struct list *list)
{
	struct text text = {
		.detail = "bounce buffers are copied without a signal",
		.reason = "process_vm_readv is refused (a seccomp filter?): copies go "
			  "through a pipe, at twice the cost",
		.remedy = "allow process_vm_readv and process_vm_writev in the seccomp "
			  "filter",
	};

	add(list, "state", "process_vm", there(!copy_refused()), text);
}

static void add_membarrier(struct list *list)
{
	struct text text = {
		.detail = "a hit needs no fence: the slow side makes up for it",
		.reason = "the kernel has no private expedited membarrier, or a seccomp "
			  "filter hides it",
		.remedy = "allow membarrier; without it every hit costs a fence",
	};
	int commands = sys_membarrier(MEMBARRIER_CMD_QUERY);

	add(list, "state", "membarrier",
	    there(commands > 0 && commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED), text);
}

static void add_tasks(struct list *list)
{
	struct text text = {
		.detail = "the end of a removal can be proved without a page to look at",
		.reason = "/proc/self/task/TID/syscall cannot be read",
		.remedy = "mount /proc, use a kernel with CONFIG_HAVE_ARCH_TRACEHOOK; "
			  "without it removed ranges are pinned later",
	};
	struct tasks tasks;
	char text_of[64], tid[16];
	long got = -1;

	snprintf(tid, sizeof(tid), "%d", sys_gettid());
	if (tasks_init(&tasks) == 0) {
		got = tasks_read(&tasks, tid, "syscall", text_of, sizeof(text_of));
		tasks_fini(&tasks);
	}
	add(list, "state", "task-syscall", there(got > 0), text);
}

/* ---- modes ------------------------------------------------------------------------------
 */

static void add_modes(struct list *list)
{
	add(list, "mode", "direct", HMM_FEATURE_ON,
	    (struct text){.detail =
				  "the device follows the CPU's own mapping: any memory"});
	add(list, "mode", "fault", HMM_FEATURE_MISSING,
	    (struct text){
		    .detail = "the device faults by itself",
		    .reason = "no driver of this release has such a device",
		    .remedy = "none is needed: the other modes reach the same memory",
	    });
	add(list, "mode", "pin", HMM_FEATURE_ON,
	    (struct text){.detail = "private anonymous memory: heap, stacks, huge pages"});
	add(list, "mode", "stage", HMM_FEATURE_ON,
	    (struct text){.detail = "a bounce buffer, for what cannot be pinned"});
}

int hmm_features(struct hmm_feature *features, unsigned int max, size_t size)
{
	struct list list = {
		.features = (char *)features, .size = size, .max = features ? max : 0};

	add_uffd(&list);
	add_interposition(&list);
	add_perf(&list);
	add_never_pinned(&list);
	add_maps(&list);
	add_pagemap(&list);
	add_populate(&list);
	add_copy(&list);
	add_membarrier(&list);
	add_tasks(&list);
	add_modes(&list);
	return (int)list.nr;
}
