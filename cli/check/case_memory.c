// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * `hmm check`: what about memory that is not one mapping of one ordinary kind?
 *
 * Accesses over the border of two mappings (Y1), addresses that no device can reach (Y2),
 * mappings that somebody else watches, and stacks that grow when they are used.
 */
#include "cases.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int case_both_ways(struct check_run *run, uint8_t *at, size_t len, const char *where)
{
	uint8_t *want = malloc(2 * len), *got;
	int rc;

	if (!want)
		return check_fail(run, "no memory");
	got = want + len;
	kit_stamp_fill(want, 0, len, kit_stamp_next());
	rc = guarded_write(at, want, len);
	if (rc) {
		check_fail(run, "%s: the CPU got signal %d", where, rc);
		goto out;
	}
	rc = case_read(run, at, got, len);
	if (rc || memcmp(got, want, len)) {
		check_stale(run, "%s: the device read %s (%d)", where,
			    rc ? "failed" : "something else", rc);
		goto out;
	}
	kit_stamp_fill(want, 0, len, kit_stamp_next());
	rc = case_write(run, at, want, len);
	if (rc || memcmp(at, want, len))
		check_stale(run, "%s: the device write %s (%d)", where,
			    rc ? "failed" : "is not there", rc);
out:
	free(want);
	return run->failed ? -1 : 0;
}

/* ---- two mappings, one access -------------------------------------------------------- */

enum { SIDE_ANON, SIDE_MEMFD, SIDE_FILE, SIDE_RO, SIDE_HOLE, NR_SIDES };
static const char *const side_names[] = {"anonymous", "memfd", "private file", "read-only",
					 "nothing"};

#define SIDE (4 * KIT_PAGE)

static int map_side(uint8_t *at, int side)
{
	int flags = MAP_FIXED_NOREPLACE | (side == SIDE_MEMFD ? MAP_SHARED : MAP_PRIVATE);
	int fd = -1;
	void *p;

	if (side == SIDE_HOLE)
		return 0;
	if (side == SIDE_MEMFD || side == SIDE_FILE) {
		fd = memfd_create("side", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, SIDE))
			return -1;
	} else {
		flags |= MAP_ANONYMOUS;
	}
	p = mmap(at, SIDE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (fd >= 0)
		close(fd);
	if (p == MAP_FAILED)
		return -1;
	memset(at, 0x40 + side, SIDE);
	return side == SIDE_RO ? mprotect(at, SIDE, PROT_READ) : 0;
}

static int cross(struct check_run *run, uint8_t *border, int left, int right)
{
	bool whole = left != SIDE_HOLE && right != SIDE_HOLE;
	bool writable = whole && left != SIDE_RO && right != SIDE_RO;
	uint8_t got[KIT_PAGE_MAX + 40], *at = border - 20;
	size_t len = KIT_PAGE + 40;
	char where[64];
	int rc;

	snprintf(where, sizeof(where), "%s beside %s", side_names[left], side_names[right]);
	if (writable)
		return case_both_ways(run, at, len, where);
	rc = case_read(run, at, got, len);
	if (whole && (rc || memcmp(got, at, len)))
		return check_fail(run, "%s: device read: %d", where, rc);
	if (!whole && rc != -EFAULT && rc != -EACCES)
		return check_stale(run, "%s: device read gave %d", where, rc);
	memset(got, 0x99, len);
	rc = case_write(run, at, got, len);
	if (rc != -EFAULT && rc != -EACCES)
		return check_stale(run, "%s: device write gave %d", where, rc);
	if (right == SIDE_RO && border[0] != 0x40 + SIDE_RO)
		return check_stale(run, "%s: the device wrote what is read-only", where);
	return 0;
}

void case_crossing(struct check_run *run)
{
	uint8_t *at = kit_zone(2 * SIDE);

	/* Pairs one after the other at one address: each is a change of the last, too. */
	for (int pair = 0; pair < NR_SIDES * NR_SIDES && !run->failed; pair++) {
		int left = pair / NR_SIDES, right = pair % NR_SIDES;

		if (left == SIDE_HOLE && right == SIDE_HOLE)
			continue;
		if (map_side(at, left) || map_side(at + SIDE, right))
			check_fail(run, "mmap: %s", strerror(errno));
		else
			cross(run, at + SIDE, left, right);
		munmap(at, 2 * SIDE);
	}
}

/* ---- refused when asked for
 * --------------------------------------------------------------- */

static bool is_honest_refusal(int rc)
{
	static const int errors[] = {-EFAULT, -EACCES, -EOPNOTSUPP,
				     -EBUSY,  -ERANGE, -EINVAL};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (rc == errors[i])
			return true;
	}
	return false;
}

/* Right, or refused with a sentence that says where; never anything else. */
static int right_or_refused(struct check_run *run, const char *what, uint8_t *at,
			    size_t len, bool changes_by_itself)
{
	uint8_t got[64], cpu[64];
	int rc = case_read(run, at, got, len);
	int signal = guarded_read(cpu, at, len);

	if (!rc && signal)
		return check_stale(run, "%s: the device read what the CPU cannot", what);
	if (!rc && !changes_by_itself && memcmp(got, cpu, len))
		return check_stale(run, "%s: the device read something else", what);
	if (rc && !is_honest_refusal(rc))
		return check_fail(run, "%s: refused with %d", what, rc);
	/* Left to the kernel, which says of what the CPU cannot read either: EFAULT. */
	if (rc == -EFAULT && signal && !*hmm_error())
		return 0;
	if (rc && run->env->hmm && !strstr(hmm_error(), "0x") && !strchr(hmm_error(), '['))
		return check_fail(run, "%s: the refusal does not name the mapping: \"%s\"",
				  what, hmm_error());
	return 0;
}

static int must_refuse(struct check_run *run, const char *what, uint64_t address,
		       size_t len)
{
	uint8_t *at = (uint8_t *)(uintptr_t)address;
	uint8_t buf[64] = {0};
	int rc = case_read(run, at, buf, len);

	if (!is_honest_refusal(rc))
		return check_stale(run, "%s: device read gave %d", what, rc);
	rc = case_write(run, at, buf, len);
	if (!is_honest_refusal(rc))
		return check_stale(run, "%s: device write gave %d", what, rc);
	return right_or_refused(run, what, at, len, false);
}

/* The kernel's own mappings in the process: [vdso], [vvar], ... */
static void refuse_special(struct check_run *run)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps && !run->failed && fgets(line, sizeof(line), maps)) {
		char *name = strchr(line, '[');
		uint8_t zero[16] = {0}, *at;
		uintptr_t start;
		int rc;

		if (!name || strncmp(name, "[v", 2) || sscanf(line, "%lx-", &start) != 1)
			continue;
		name[strcspn(name, "\n")] = 0;
		at = (uint8_t *)start;
		right_or_refused(run, name, at + 64, 16, strncmp(name, "[vdso", 5));
		rc = case_write(run, at + 64, zero, sizeof(zero));
		if (!is_honest_refusal(rc))
			check_stale(run, "%s: device write gave %d", name, rc);
	}
	if (maps)
		fclose(maps);
}

void case_refused(struct check_run *run)
{
	uint8_t *none = case_map(SIDE);

	if (!none || mprotect(none, SIDE, PROT_NONE)) {
		check_fail(run, "mmap: %s", strerror(errno));
		return;
	}
	if (must_refuse(run, "a PROT_NONE mapping", (uintptr_t)none + 5, 16) ||
	    must_refuse(run, "a hole", (uintptr_t)kit_zone(SIDE) + 5, 16) ||
	    must_refuse(run, "the null pointer", 0, 16) ||
	    must_refuse(run, "the end of user space", 0x7ffffffffff0ull, 32) ||
	    must_refuse(run, "an address that is none", 0x0000900000000000ull, 16) ||
	    must_refuse(run, "the kernel's half", 0xffff888000000000ull, 16) ||
	    must_refuse(run, "the end of the address space", UINT64_MAX - 7, 16))
		return;
	refuse_special(run);
	munmap(none, SIDE);
}

/* ---- memory that is somebody else's business --------------------------------------------
 */

static int watch_it(uint8_t *at, size_t len)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.range = {(uintptr_t)at, len},
				      .mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd =
		(int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		return -1;
	return fd;
}

static uint8_t *map_secret(size_t len)
{
	void *p = MAP_FAILED;
	int fd = -1;

#ifdef SYS_memfd_secret /* not on every processor */
	fd = (int)syscall(SYS_memfd_secret, 0);
#endif
	if (fd >= 0 && !ftruncate(fd, (off_t)len))
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

void case_foreign(struct check_run *run)
{
	uint8_t *watched = case_map(SIDE), *secret = map_secret(SIDE);
	int fd;

	if (!watched) {
		check_fail(run, "mmap: %s", strerror(errno));
		return;
	}
	memset(watched, 7, SIDE);
	fd = watch_it(watched, SIDE);
	if (fd < 0) {
		check_skip(run, "no userfaultfd of one's own: %s", strerror(errno));
		return;
	}
	right_or_refused(run, "a mapping with another userfaultfd", watched + 9, 16, false);
	close(fd);
	if (!run->failed)
		case_both_ways(run, watched, SIDE,
			       "a mapping whose userfaultfd was closed");
	if (secret && !run->failed) {
		memset(secret, 5, SIDE);
		right_or_refused(run, "memfd_secret memory", secret + 9, 16, false);
		munmap(secret, SIDE);
	}
	munmap(watched, SIDE);
}

/* ---- memory that comes when it is used
 * ----------------------------------------------------- */

static uint8_t *map_growing(void)
{
	uint8_t *zone = kit_zone(2 * KIT_HUGE) + KIT_HUGE;
	void *p = mmap(zone, KIT_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE,
		       -1, 0);

	return p == MAP_FAILED ? NULL : zone;
}

void case_growth(struct check_run *run)
{
	uint8_t *stack = map_growing(), *fresh = case_map(64 * KIT_PAGE);

	if (!stack || !fresh) {
		check_fail(run, "mmap: %s", strerror(errno));
		return;
	}
	*stack = 1;
	if (case_both_ways(run, stack, KIT_PAGE, "a mapping that grows down"))
		return;
	/* The CPU's touch makes it grow; the device has to follow. */
	stack[-(3 * (long)KIT_PAGE)] = 1;
	if (case_both_ways(run, stack - 3 * KIT_PAGE, 4 * KIT_PAGE, "what it grew by"))
		return;
	/* Never touched by anybody: the device's read finds zeroes, its write makes pages.
	 */
	for (size_t i = 0; i < 64 && !run->failed; i++) {
		uint8_t byte = 0xff, *at = fresh + i * KIT_PAGE + i;

		if (i % 2 && (case_read(run, at, &byte, 1) || byte))
			check_fail(run, "device read of an untouched page: %x", byte);
		byte = (uint8_t)(i + 1);
		if (case_write(run, at, &byte, 1) || *at != byte)
			check_fail(run, "device write to an untouched page is not there");
	}
	munmap(fresh, 64 * KIT_PAGE);
}
