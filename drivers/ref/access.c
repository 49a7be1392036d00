// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device's access path.
 *
 * The question this file answers: how does the device touch memory, only through its own
 * table, and without ever bringing the process down?
 *
 * It moves bytes by process_vm_readv(2) and process_vm_writev(2) on its own process, and
 * adds by futex(2): the kernel obeys the CPU's mapping, and memory that is not there is an
 * error, where a load or store would be a signal. Where a seccomp filter refuses the first
 * two, bytes go through a pipe, whose write(2) and read(2) say the same.
 *
 * The gate. An access holds it from before it looks at the table until its bytes are
 * moved, at most REF_CHUNK of them (and attr.delay_ns): so a revoke of that range waits
 * that long. It excludes nothing else, nests in nothing, and is never held across a call
 * into libhmm: that could wait for a change whose revoke waits for the gate. Signals are
 * blocked in it: a handler that unmaps mirrored memory would wait for the access that it
 * interrupted. So is cancellation: a thread that ended there would be waited for.
 */
#include "ref.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS 1000 /* to enter between two revokes, before the device gives up */

static void take_time(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000),
			     .tv_nsec = (long)(ns % 1000000000)};

	while (ns && nanosleep(&t, &t) && errno == EINTR)
		;
}

/*
 * The futex at addr is woken should somebody wait there and the comparison hold; a waiter
 * must stand that at any time.
 */
static ssize_t add(uint64_t addr, uint32_t operand)
{
	uint32_t nobody = 0;

	if (syscall(SYS_futex, &nobody, FUTEX_WAKE_OP_PRIVATE, 1, 0, addr, operand) < 0)
		return -errno;
	return sizeof(uint32_t);
}

static _Atomic bool refused; /* process_vm_readv, by a filter: for good */

/* As many bytes as the pipe takes at a time. */
static ssize_t move_by_pipe(uint64_t addr, size_t len, const struct ref_access *access)
{
	void *mirrored = (void *)(uintptr_t)addr, *buffer = access->buffer;
	bool reads = access->what == REF_READ;
	ssize_t moved = 0, n;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	n = write(ends[1], reads ? mirrored : buffer, len);
	while (moved < n) {
		ssize_t got = read(ends[0], (char *)(reads ? buffer : mirrored) + moved,
				   (size_t)(n - moved));

		if (got <= 0)
			break;
		moved += got;
	}
	close(ends[0]);
	close(ends[1]);
	return moved ? moved : -EFAULT;
}

/*
 * The kernel pins the pages of the remote side, and copies to or from the local side as by
 * a load or a store. So mirrored memory is the local side, each call the other way round
 * than its name says. A pin of a page of a DAX file may never end (a block that xfs shares
 * between files, seen on Linux 6.12) or leave a truncation waiting for ever (one that is
 * touched meanwhile, seen on 7.3); and what is written through it msync may miss.
 *
 * The process is named by the calling thread: main() may have ended by pthread_exit().
 */
static ssize_t move(uint64_t addr, size_t len, const struct ref_access *access)
{
	struct iovec buffer = {.iov_base = access->buffer, .iov_len = len};
	struct iovec mirrored = {.iov_base = (void *)(uintptr_t)addr, .iov_len = len};
	ssize_t n;

	if (access->what == REF_ADD)
		return add(addr, access->operand);
	if (atomic_load_explicit(&refused, memory_order_relaxed))
		return move_by_pipe(addr, len, access);
	if (access->what == REF_READ)
		n = process_vm_writev(gettid(), &mirrored, 1, &buffer, 1, 0);
	else
		n = process_vm_readv(gettid(), &mirrored, 1, &buffer, 1, 0);
	if (n > 0)
		return n;
	if (n < 0 && (errno == EPERM || errno == ENOSYS)) {
		atomic_store(&refused, true);
		return move_by_pipe(addr, len, access);
	}
	return n == 0 || errno == EFAULT ? -EFAULT : -errno;
}

static unsigned int rights(enum ref_do what)
{
	return what == REF_READ    ? HMM_READ
	       : what == REF_WRITE ? HMM_WRITE
				   : HMM_READ | HMM_WRITE;
}

/*
 * Enter, with the held translation valid: if no revoke began since it was found so, one
 * that comes now waits at the gate. (Asking inside the gate could wait for that very
 * revoke.)
 */
static int enter_valid(struct hmm_ref *ref, uint64_t addr, size_t len,
		       const struct hmm_translation *held, unsigned int *ticket)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		uint64_t revokes = atomic_load(&ref->revokes);

		if (held && !hmm_translation_valid(held))
			return -ESTALE;
		*ticket = ref_gate_enter(&ref->gate, addr, addr + len);
		if (!held || atomic_load(&ref->revokes) == revokes)
			return 0;
		ref_gate_leave(&ref->gate, *ticket);
	}
	return -EBUSY;
}

static ssize_t access_gated(struct hmm_ref *ref, uint64_t addr, size_t len,
			    const struct ref_access *access)
{
	unsigned int ticket;
	ssize_t n;

	len = len < REF_CHUNK ? len : REF_CHUNK;
	n = enter_valid(ref, addr, len, access->held, &ticket);
	if (n)
		return n;
	n = -EAGAIN;
	len = ref_table_allowed(&ref->table, addr, len, rights(access->what));
	if (len) {
		take_time(ref->attr.delay_ns);
		n = move(addr, len, access);
		atomic_fetch_add_explicit(&ref->accesses, 1, memory_order_relaxed);
	}
	ref_gate_leave(&ref->gate, ticket);
	return n;
}

ssize_t ref_access_try(struct hmm_ref *ref, uint64_t addr, size_t len,
		       const struct ref_access *access)
{
	sigset_t all, before;
	int cancel;
	ssize_t n;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	n = access_gated(ref, addr, len, access);
	pthread_setcancelstate(cancel, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return n;
}

/*
 * The translation is held: what it gives is not evicted before it was of use. The buffer
 * goes on with what was moved: the offset is that in the translation, and another may
 * follow.
 */
static ssize_t move_held(struct hmm_device *device, const struct hmm_translation *t,
			 size_t offset, size_t len, void *arg)
{
	struct ref_access *access = arg;
	ssize_t n;

	if (access->what == REF_ADD && t->mode == HMM_MODE_STAGE)
		return hmm_device_error(-EOPNOTSUPP,
					"%#llx is staged, and a bounce buffer has no "
					"atomic operations",
					(unsigned long long)t->addr);
	n = ref_access_try(hmm_device_priv(device), t->addr + offset, len, access);
	if (n > 0 && access->buffer)
		access->buffer = (char *)access->buffer + n;
	return n;
}

/*
 * A page fault of the device. Staged memory is held during the access anyway: it is copied
 * in before and out after.
 */
static ssize_t fault(struct hmm_ref *ref, uint64_t addr, size_t len,
		     const struct ref_access *access)
{
	struct ref_access left = *access;
	int err;

	atomic_fetch_add_explicit(&ref->faults, 1, memory_order_relaxed);
	err = hmm_device_access(ref->device, (const void *)(uintptr_t)addr, len,
				rights(access->what), move_held, &left);
	return err ? err : (ssize_t)len;
}

int ref_access(struct hmm_ref *ref, uint64_t addr, size_t len,
	       const struct ref_access *access)
{
	struct ref_access now = *access;

	while (len) {
		size_t piece = len < REF_CHUNK ? len : REF_CHUNK;
		ssize_t n = ref_access_try(ref, addr, piece, &now);

		if (n < 0) /* none, or one that is out of date: ask */
			n = fault(ref, addr, piece, &now);
		if (n < 0)
			return (int)n;
		addr += (size_t)n;
		len -= (size_t)n;
		if (now.buffer)
			now.buffer = (char *)now.buffer + n;
	}
	return 0;
}

int ref_access_probe(void)
{
	uint32_t from = 1, to = 0;
	struct ref_access read = {.what = REF_READ, .buffer = &to};
	ssize_t n = move((uintptr_t)&from, sizeof(from), &read);

	return n < 0 ? (int)n : 0;
}
