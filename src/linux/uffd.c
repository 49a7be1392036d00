/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How does the kernel tell of changes, whoever makes them?
 *
 * A registered mapping raises UNMAP, REMAP and REMOVE events. It is registered for
 * write-protection, and nothing is ever write-protected: so no access faults and none gets
 * slower. From kernel 6.17 on (WP_ASYNC) that works for any kind of mapping, before that
 * for anonymous memory, shared memory and hugetlb.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include "linux/address_space.h"
#include "linux/kernel.h"
#include "sys/raw.h"
#include "sys/sys.h"
#include "util/arena.h"

#define NEEDED \
	(UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE)
#define WORTH_IT (64 * (uint64_t)page_size())
#define TRIES    3
#define WANTED   (K_UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

/*
 * The privileged form lets the kernel's own faults be handled, which never happens here:
 * the restricted form is as good, and is the one that everybody may have. Only kernels
 * before 5.11 do not know it.
 */
static int open_any(void)
{
	int fd = sys_userfaultfd(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	int dev, err;

	if (fd == -EINVAL)
		fd = sys_userfaultfd(O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return fd;
	err = fd;
	dev = sys_open(AT_FDCWD, "/dev/userfaultfd", O_RDWR);
	if (dev < 0)
		return err;
	fd = sys_ioctl(dev, USERFAULTFD_IOC_NEW,
		       (void *)(uintptr_t)(O_CLOEXEC | O_NONBLOCK));
	sys_close(dev);
	return fd >= 0 ? fd : err;
}

/* The features must be asked for all at once, and a descriptor takes one asking. */
static int ask(uint64_t features, uint64_t *offered)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int fd = open_any();
	int err;

	if (fd < 0)
		return fd;
	err = sys_ioctl(fd, UFFDIO_API, &api);
	if (err) {
		sys_close(fd);
		return err;
	}
	*offered = api.features;
	return fd;
}

static const char *why_not(int err)
{
	switch (err) {
	case -ENOSYS:
		return "the kernel has no userfaultfd, or a seccomp filter hides it";
	case -EPERM:
	case -EACCES:
		return "userfaultfd is forbidden to this process (a seccomp filter?): "
		       "memory is reached directly or staged, each time anew";
	case -EMFILE:
	case -ENFILE:
		return "no file descriptor is left";
	case -EOPNOTSUPP:
		return "the kernel's userfaultfd has no UNMAP, REMAP and REMOVE events";
	default:
		return "userfaultfd failed";
	}
}

/*
 * Before 6.17 an unregistering that would join two pieces of a mapping with a close of its
 * own (System V memory, files on FUSE) meets a BUG_ON: it ends the kernel, whoever asks.
 * Only what is watched by way of WP_ASYNC runs into it, so that is not asked for there.
 */
static bool async_is_safe(void)
{
	struct utsname kernel;
	unsigned int major = 0, minor = 0;

	uname(&kernel);
	if (sscanf(kernel.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 17);
}

int uffd_open(struct uffd *uffd, const char **why)
{
	uint64_t offered = 0;
	int fd = ask(0, &offered);

	*uffd = (struct uffd){.own = OWN_NONE};
	if (fd >= 0) {
		sys_close(fd);
		uffd->features = NEEDED | (WANTED & offered);
		if (!async_is_safe())
			uffd->features &= ~K_UFFD_FEATURE_WP_ASYNC;
		fd = (offered & NEEDED) == NEEDED ? ask(uffd->features, &offered)
						  : -EOPNOTSUPP;
	}
	if (fd < 0) {
		*why = why_not(fd);
		return fd;
	}
	uffd->own = own_take(fd);
	if (uffd->own < 0) {
		fd = uffd->own;
		uffd->own = OWN_NONE;
		*why = why_not(fd);
		return fd;
	}
	uffd->any = uffd->features & K_UFFD_FEATURE_WP_ASYNC;
	/* Some processors' page tables have no room for it: nothing can be watched there.
	 */
	uffd->none = !(offered & UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	return 0;
}

int uffd_fd(const struct uffd *uffd)
{
	return uffd->closed ? -EBADF : own_fd(uffd->own);
}

static int request(const struct uffd *uffd, unsigned long what, void *arg)
{
	int fd = uffd_fd(uffd);

	return fd < 0 ? fd : sys_ioctl(fd, what, arg);
}

int uffd_register(struct uffd *uffd, uint64_t start, uint64_t end)
{
	struct uffdio_register reg = {
		.range = {.start = start, .len = end - start},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	return request(uffd, UFFDIO_REGISTER, &reg);
}

/*
 * Is all of it registered with us? Lifting a write protection that nobody ever set changes
 * nothing. -ENOENT: no; -EAGAIN: an event is on its way; -EINVAL: pieces of huge pages.
 */
int uffd_registered(struct uffd *uffd, uint64_t start, uint64_t end)
{
	struct uffdio_writeprotect wp = {.range = {.start = start, .len = end - start}};

	return request(uffd, UFFDIO_WRITEPROTECT, &wp);
}

/*
 * Is the event of a change unread that is over, or under way? The kernel raises a count
 * before it unmaps, under its lock on the address space, and lowers it when the event was
 * read. While it is raised this call says so before it looks at what it was asked.
 */
bool uffd_unread(struct uffd *uffd)
{
	return request(uffd, UFFDIO_WRITEPROTECT, NULL) == -EAGAIN;
}

int uffd_unregister(struct uffd *uffd, uint64_t start, uint64_t end)
{
	struct uffdio_range range = {.start = start, .len = end - start};

	return request(uffd, UFFDIO_UNREGISTER, &range);
}

void uffd_wake(struct uffd *uffd, uint64_t start, uint64_t end)
{
	struct uffdio_range range = {.start = start, .len = end - start};

	request(uffd, UFFDIO_WAKE, &range);
}

/*
 * For memory that is about to be unmapped. The kernel clears what write-protection it finds
 * on the way out, page by page, and there never is any: 80 ns a page. A
 * range that is registered for missing pages is not looked through, and changing that takes
 * the same time for any length.
 *
 * For a moment a missing page of the range raises an event (a fault of the kernel's own
 * fails): which is why this is not for memory that stays. The event thread answers it, also
 * while it waits for a lock that our caller holds. Sealed memory stays: it says so when it
 * is asked to move to where it is, which changes nothing.
 */
static bool may_go(uint64_t start, uint64_t end)
{
	return raw4(SYS_mremap, (long)start, (long)(end - start), (long)(end - start), 0) ==
	       (long)start;
}

void uffd_unregister_going(struct uffd *uffd, uint64_t start, uint64_t end)
{
	struct uffdio_register reg = {
		.range = {.start = start, .len = end - start},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	/* Files cannot be registered like that: then it takes its time. */
	if (end - start < WORTH_IT || !may_go(start, end) ||
	    request(uffd, UFFDIO_REGISTER, &reg)) {
		uffd_unregister(uffd, start, end);
		return;
	}
	for (int i = 0; i < TRIES; i++)
		if (uffd_unregister(uffd, start, end) == 0)
			return;
	uffd_register(uffd, start, end);
}

static bool disarm(void *fd, const struct as_mapping *mapping)
{
	struct uffdio_range range = {.start = mapping->start,
				     .len = mapping->end - mapping->start};

	sys_ioctl(*(const int *)fd, UFFDIO_UNREGISTER, &range);
	return false;
}

/*
 * Closing the descriptor disarms everything, unless a child that was made without our fork
 * handlers holds it too: then every later unmap would wait for a reader for ever. So each
 * mapping is disarmed by name first. What is not registered is no error that matters.
 */
void uffd_disarm_all(int fd, struct maps *maps)
{
	maps_each(maps, disarm, &fd);
}

void uffd_close(struct uffd *uffd)
{
	own_put(uffd->own);
	uffd->own = OWN_NONE;
}
