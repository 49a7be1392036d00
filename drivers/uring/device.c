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
#include <sys/random.h>
#include <time.h>
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
	if ((attr->flags & ~(HMM_URING_NO_PIN | HMM_URING_PIN_ALL)) ||
	    attr->slots > SLOTS_MAX)
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

/* So many bytes of the one mapping, at a multiple of @align. */
static size_t take(size_t *used, size_t bytes, size_t align)
{
	size_t at = (*used + align - 1) & -align;

	*used = at + bytes;
	return at;
}

/*
 * One mapping for everything: nothing is allocated later, and the child of a fork finds
 * it zeroed, alive with it. Operations, and what is kept of sqes, are touched as they are
 * first used.
 */
static struct hmm_uring *alloc_uring(uint32_t slots)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = sizeof(struct hmm_uring);
	size_t free_at = take(&size, 2 * slots * sizeof(uint16_t), sizeof(uint16_t));
	size_t kept_at = take(&size, SQES_MAX * sizeof(struct uring_kept), page);
	size_t ops_at = take(&size, OPS_MAX * sizeof(struct uring_op), page);
	size_t links_at = take(&size, (OPS_MAX + 1) * sizeof(struct uring_link), page);
	size_t late_at = take(&size, LATE * sizeof(struct uring_late), page);
	struct hmm_uring *u;
	char *memory;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, size, MADV_NOHUGEPAGE);
	madvise(memory, size, MADV_WIPEONFORK);
	u = (void *)memory;
	u->mapped = size;
	u->slots.free = (void *)(memory + free_at);
	u->slots.deferred = u->slots.free + slots;
	u->kept = (void *)(memory + kept_at);
	u->ops = (void *)(memory + ops_at);
	u->links = (void *)(memory + links_at);
	u->late = (void *)(memory + late_at);
	return u;
}

/* What no program can guess, and no pointer is. */
static void choose_secret(struct hmm_uring *u)
{
	struct timespec now;

	if (getrandom(&u->secret, sizeof(u->secret), GRND_NONBLOCK) == sizeof(u->secret))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	u->secret = ((uint64_t)now.tv_nsec << 34 ^ (uintptr_t)u) * 0x9E3779B97F4A7C15ull;
}

static void look_up_opcodes(struct hmm_uring *u)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(u->ring);

	if (!probe)
		return;
	u->zerocopy = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
	io_uring_free_probe(probe);
}

static int no_table(int err, uint32_t nr)
{
	switch (err) {
	case -EBUSY:
		return hmm_device_error(
			err,
			"the ring has fixed buffers already: unregister them "
			"(io_uring_unregister_buffers), or open with HMM_URING_NO_PIN");
	case -EEXIST:
		return hmm_device_error(
			err,
			"the ring takes a table from its own thread only "
			"(IORING_SETUP_SINGLE_ISSUER): open it in that thread, or with "
			"HMM_URING_NO_PIN");
	case -EMFILE:
		return hmm_device_error(err,
					"no descriptor is left for the library's own of "
					"the ring: raise RLIMIT_NOFILE");
	case -EBADF:
		return hmm_device_error(err, "the ring's descriptor is not open");
	default:
		return hmm_device_error(err,
					"the ring takes no table of %u fixed buffers: %s",
					nr, strerror(-err));
	}
}

/*
 * The table, or none where the kernel cannot have one that changes. A ring that begins
 * disabled may have restrictions, or get them: nobody can ask for them, and they may allow
 * the plain operations only.
 */
static int init_slots(struct hmm_uring *u, uint32_t nr)
{
	int ret;

	if (u->ring->flags & (IORING_SETUP_R_DISABLED | SETUP_REGISTERED_FD_ONLY))
		nr = 0;
	ret = uring_slots_init(&u->slots, u->ring, nr);
	if (nr && (ret == -EINVAL || ret == -EOPNOTSUPP))
		ret = uring_slots_init(&u->slots, u->ring, 0);
	return ret ? no_table(ret, nr) : 0;
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
	u->pin_all = a.flags & HMM_URING_PIN_ALL;
	u->sqe_shift = ring->flags & IORING_SETUP_SQE128 ? 1 : 0;
	u->restored = *ring->cq.khead;
	u->translated = ring->sq.sqe_head;
	u->put_back = *ring->sq.khead;
	choose_secret(u);
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
