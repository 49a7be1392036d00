// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: what does io_uring offer on this machine, and how does
 * one get what it does not?
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

struct list {
	char *features; /* of @size bytes each, as the caller has them */
	size_t size;
	unsigned int max, nr;
};

/* @reason NULL: it is on. */
static void add(struct list *list, const char *name, const char *detail, const char *reason,
		const char *remedy)
{
	struct hmm_feature f = {.group = "driver",
				.name = name,
				.state = reason ? HMM_FEATURE_MISSING : HMM_FEATURE_ON};

	if (list->nr++ >= list->max)
		return;
	snprintf(f.detail, sizeof(f.detail), "%s", detail);
	if (reason) {
		snprintf(f.reason, sizeof(f.reason), "%s", reason);
		snprintf(f.remedy, sizeof(f.remedy), "%s", remedy);
	}
	hmm_struct_give(list->features + (list->nr - 1) * list->size, list->size, &f,
			sizeof(f));
}

static const char *ring_remedy(int err)
{
	switch (err) {
	case -EPERM:
		return "as root: sysctl kernel.io_uring_disabled=0 (in a container: its "
		       "seccomp profile must allow io_uring)";
	case -ENOSYS:
		return "a kernel with CONFIG_IO_URING, 5.13 or newer, and no seccomp "
		       "filter "
		       "against it";
	default:
		return "free memory, or raise RLIMIT_NOFILE or RLIMIT_MEMLOCK";
	}
}

static void add_pin(struct list *list, int table_err)
{
	struct rlimit limit = {0};
	char detail[160];

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		snprintf(detail, sizeof(detail),
			 "16,384 fixed buffers a ring, of 1 GiB at most");
	else
		snprintf(detail, sizeof(detail),
			 "16,384 fixed buffers a ring, of 1 GiB at most; without "
			 "CAP_IPC_LOCK %llu KiB pinned in all (RLIMIT_MEMLOCK)",
			 (unsigned long long)limit.rlim_cur / 1024);
	add(list, "uring pin", detail,
	    table_err ? "the ring takes no table of fixed buffers that changes" : NULL,
	    "Linux 5.13 or newer; until then operations are plain");
	add(list, "uring unpin", "pages are let go as soon as they are released",
	    table_err || uring_slots_late()
		    ? "the kernel lets go of fixed buffers a second late: a mirror with "
		      "max_pinned does not pin"
		    : NULL,
	    "Linux 6.4 or newer");
}

static void add_opcodes(struct list *list, struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool zerocopy = probe && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);

	if (probe)
		io_uring_free_probe(probe);
	add(list, "uring zero-copy send", "send_zc from fixed buffers",
	    zerocopy ? NULL : "the kernel has no zero-copy send", "Linux 6.0 or newer");
}

int hmm_uring_features(struct hmm_feature *features, unsigned int max, size_t size)
{
	struct list list = {.features = (char *)features, .size = size, .max = max};
	struct io_uring ring;
	struct uring_slots slots;
	uint16_t room[2];
	int err = io_uring_queue_init(2, &ring, 0);

	add(&list, "uring", "io_uring on any pointer: fixed buffers, or plain operations",
	    err ? strerror(-err) : NULL, ring_remedy(err));
	if (err)
		return list.nr;
	slots = (struct uring_slots){.free = room, .deferred = room + 1};
	err = uring_slots_init(&slots, &ring, 1);
	if (!err)
		uring_slots_fini(&slots);
	add_pin(&list, err);
	add_opcodes(&list, &ring);
	io_uring_queue_exit(&ring);
	return list.nr;
}
