// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The question this file answers: how does an io_uring become a device?
 *
 * Its translation of an address is the address itself, and the key is the slot of the
 * fixed-buffer table that holds it. revoke has nothing to do: an operation gets its slot
 * from a translation, at submit, and holds it to its completion, so that a revoked slot is
 * named by operations submitted before the change only.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int uring_map(struct hmm_device *device, struct hmm_mapping *mapping)
{
	struct hmm_uring *u = hmm_device_priv(device);

	mapping->addr = mapping->start;
	mapping->key = 0;
	if (mapping->mode == HMM_MODE_DIRECT)
		return 0;
	if (mapping->mode != HMM_MODE_PIN)
		return -EOPNOTSUPP;
	return uring_slots_map(&u->slots, mapping->memory, mapping->end - mapping->start,
			       &mapping->key);
}

static void uring_revoke(struct hmm_device *device, struct hmm_mapping *mapping)
{
	(void)device;
	(void)mapping;
}

static void uring_release(struct hmm_device *device, struct hmm_mapping *mapping)
{
	struct hmm_uring *u = hmm_device_priv(device);

	if (mapping->mode == HMM_MODE_PIN)
		uring_slots_release(&u->slots, mapping->key);
}

static const struct hmm_driver_ops uring_ops = {
	.size = sizeof(uring_ops),
	.map = uring_map,
	.revoke = uring_revoke,
	.release = uring_release,
};

static const struct hmm_driver uring_driver = {
	.size = sizeof(uring_driver),
	.abi = HMM_DRIVER_ABI,
	.name = "uring",
	.license = "GPL-2.0-or-later",
	.ops = &uring_ops,
	.modes = {HMM_MODE_PIN, HMM_MODE_DIRECT},
	.nr_modes = 2,
	.max_map = BUFFER_MAX,
	.max_direct = DIRECT_MAX,
};

/* Where the kernel keeps what was cleared for a second. */
static const struct hmm_driver late_driver = {
	.size = sizeof(late_driver),
	.abi = HMM_DRIVER_ABI,
	.name = "uring",
	.license = "GPL-2.0-or-later",
	.ops = &uring_ops,
	.modes = {HMM_MODE_PIN, HMM_MODE_DIRECT},
	.nr_modes = 2,
	.max_map = BUFFER_MAX,
	.max_direct = DIRECT_MAX,
	.delayed_unpin = true,
};

/* Where there is no buffer table. */
static const struct hmm_driver plain_driver = {
	.size = sizeof(plain_driver),
	.abi = HMM_DRIVER_ABI,
	.name = "uring",
	.license = "GPL-2.0-or-later",
	.ops = &uring_ops,
	.modes = {HMM_MODE_DIRECT},
	.nr_modes = 1,
	.max_direct = DIRECT_MAX,
};

static int check_attr(const struct io_uring *ring, const struct hmm_uring_attr *attr)
{
	if ((attr->flags & ~HMM_URING_NO_PIN) || attr->slots > SLOTS_MAX)
		return hmm_device_error(-EINVAL,
					"struct hmm_uring_attr: bad flags or slots: slots "
					"is at most %u",
					SLOTS_MAX);
	if (ring->flags & ~SETUP_KNOWN)
		return hmm_device_error(-EOPNOTSUPP,
					"the ring has setup flags 0x%x that the library "
					"does not know: set it up without",
					ring->flags & ~SETUP_KNOWN);
	if (ring->ring_fd < 0)
		return hmm_device_error(-EBADF, "the ring's descriptor is closed: open it "
						"before io_uring_close_ring_fd()");
	return 0;
}

/*
 * One mapping for everything: nothing is allocated later, and the child of a fork finds
 * it zeroed, alive with it. Operations are touched as they are first used.
 */
static struct hmm_uring *alloc_uring(uint32_t slots)
{
	size_t ops_at = sizeof(struct hmm_uring) + 2 * slots * sizeof(uint16_t);
	size_t page = sysconf(_SC_PAGESIZE), size;
	struct hmm_uring *u;
	char *memory;

	ops_at = (ops_at + page - 1) & -page;
	size = ops_at + OPS_MAX * sizeof(struct uring_op);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, size, MADV_NOHUGEPAGE);
	madvise(memory, size, MADV_WIPEONFORK);
	u = (void *)memory;
	u->mapped = size;
	u->slots.free = (void *)(u + 1);
	u->slots.deferred = u->slots.free + slots;
	u->ops = (void *)(memory + ops_at);
	return u;
}

static void look_up_opcodes(struct hmm_uring *u)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(u->ring);

	if (!probe)
		return;
	u->vectored = io_uring_opcode_supported(probe, OP_READV_FIXED);
	u->zerocopy = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
	io_uring_free_probe(probe);
}

/* The table, or none where the kernel cannot have one that changes. */
static int init_slots(struct hmm_uring *u, uint32_t nr)
{
	int ret = uring_slots_init(&u->slots, u->ring->ring_fd, nr);

	if (nr && (ret == -EINVAL || ret == -EOPNOTSUPP))
		ret = uring_slots_init(&u->slots, u->ring->ring_fd, 0);
	if (ret == -EBUSY)
		hmm_device_error(ret, "the ring has fixed buffers already: unregister them "
				      "(io_uring_unregister_buffers), or open with "
				      "HMM_URING_NO_PIN");
	else if (ret)
		hmm_device_error(ret, "the ring takes no table of %u fixed buffers: %s", nr,
				 strerror(-ret));
	return ret;
}

static const struct hmm_driver *choose_driver(const struct hmm_uring *u)
{
	if (!u->slots.nr)
		return &plain_driver;
	return uring_slots_late() ? &late_driver : &uring_driver;
}

int hmm_uring_open(struct hmm *hmm, struct io_uring *ring,
		   const struct hmm_uring_attr *attr, struct hmm_uring **out)
{
	struct hmm_uring_attr a = {.size = sizeof(a)};
	struct hmm_uring *u;
	uint32_t slots;
	int ret = 0;

	if (attr)
		ret = hmm_struct_take(&a, sizeof(a), attr, "struct hmm_uring_attr");
	if (!ret)
		ret = check_attr(ring, &a);
	if (ret)
		return ret;
	slots = a.flags & HMM_URING_NO_PIN ? 0 : a.slots ? a.slots : SLOTS_MAX;
	u = alloc_uring(slots);
	if (!u)
		return hmm_device_error(-ENOMEM, "no memory for the ring's operations");
	u->ring = ring;
	u->sqpoll = ring->flags & IORING_SETUP_SQPOLL;
	u->sqe_shift = ring->flags & IORING_SETUP_SQE128 ? 1 : 0;
	u->restored = *ring->cq.khead;
	u->translated = ring->sq.sqe_head;
	look_up_opcodes(u);
	ret = init_slots(u, slots);
	if (ret)
		goto err_free;
	ret = hmm_device_register(hmm, choose_driver(u), u, &u->device);
	if (ret)
		goto err_slots;
	atomic_store(&u->alive, true);
	*out = u;
	return 0;

err_slots:
	uring_slots_fini(&u->slots);
err_free:
	munmap(u, u->mapped);
	return ret;
}

int hmm_uring_close(struct hmm_uring *u)
{
	unsigned int left;
	int ret;

	if (!u || !uring_alive(u))
		return u ? -ECHILD : 0;
	uring_submit_undo(u);
	left = uring_in_flight(u);
	if (left)
		return hmm_device_error(
			-EBUSY,
			"%u operations on fixed buffers are in flight: reap "
			"their completions, then close again",
			left);
	ret = hmm_device_unregister(u->device);
	if (ret)
		return ret;
	uring_slots_fini(&u->slots);
	munmap(u, u->mapped);
	return 0;
}

struct hmm_device *hmm_uring_device(struct hmm_uring *u)
{
	return u->device;
}

int hmm_uring_stats(struct hmm_uring *u, struct hmm_uring_stats *out, size_t size)
{
	struct hmm_uring_stats now;

	if (!uring_alive(u))
		return -ECHILD;
	now = (struct hmm_uring_stats){
		.fixed = u->fixed,
		.plain = u->plain,
		.refused = u->refused,
		.retranslated = u->retranslated,
		.in_flight = uring_in_flight(u),
		.slots = uring_slots_used(&u->slots),
		.deferred = atomic_load(&u->slots.waiting),
	};
	hmm_struct_give(out, size, &now, sizeof(now));
	return 0;
}
