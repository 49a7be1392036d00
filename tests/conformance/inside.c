// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * inside SITUATION COMMAND [ARGUMENT...]: what does the command say in a place where things
 * are missing?
 *
 * The situation is made here, of what the kernel lets this user make, and the command takes
 * the place of this process. Exit status 77 and a line that begins with "inside:" where the
 * situation may not be made.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SKIP   77
#define NOBODY 65534
#define MIB    (1ul << 20)
#define CALLS  16

/* ---- what is made -------------------------------------------------------------------- */

/* Those calls fail with EPERM from now on, as in a container engine's default filter. */
static int forbid(const int *calls, unsigned int nr)
{
	struct sock_filter code[CALLS + 3] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	struct sock_fprog program = {.filter = code, .len = (unsigned short)(nr + 3)};

	for (unsigned int i = 0; i < nr; i++)
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							   (unsigned int)calls[i],
							   (unsigned char)(nr - i), 0);
	code[1 + nr] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[2 + nr] =
		(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The last two are not in every engine's filter. */
static const int refused[] = {SYS_userfaultfd,       SYS_perf_event_open,
			      SYS_io_uring_setup,    SYS_io_uring_enter,
			      SYS_io_uring_register, SYS_process_vm_readv,
			      SYS_process_vm_writev};
#define REFUSED (sizeof(refused) / sizeof(*refused))

static int container(void)
{
	return forbid(refused, REFUSED - 2);
}

static int container_no_copy(void)
{
	return forbid(refused, REFUSED);
}

static int become_nobody(void)
{
	if (geteuid())
		return 0;
	return setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	       setresuid(NOBODY, NOBODY, NOBODY);
}

static int container_nobody(void)
{
	return become_nobody() || container();
}

static int own_mounts(void)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int no_proc(void)
{
	return own_mounts() || umount2("/proc", MNT_DETACH);
}

static int no_sys(void)
{
	return own_mounts() || umount2("/sys", MNT_DETACH);
}

static int hidepid(void)
{
	return own_mounts() || mount("proc", "/proc", "proc", 0, "hidepid=2") ||
	       become_nobody();
}

static int read_only(void)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	return own_mounts() || syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE,
				       &attr, sizeof(attr)) != 0;
}

static int user_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int limit(int what, rlim_t most)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)what, &now))
		return -1;
	now.rlim_cur = most;
	return setrlimit((__rlimit_resource_t)what, &now);
}

static int descriptors(void)
{
	return limit(RLIMIT_NOFILE, 16);
}

static int address_space(void)
{
	return limit(RLIMIT_AS, 100 * MIB);
}

/* ---- the command --------------------------------------------------------------------- */

static const struct situation {
	const char *name;
	int (*make)(void); /* 0, or errno says why not */
} situations[] = {
	{"container", container},
	{"container-no-copy", container_no_copy},
	{"container-nobody", container_nobody},
	{"no-proc", no_proc},
	{"no-sys", no_sys},
	{"hidepid", hidepid},
	{"read-only", read_only},
	{"user-namespace", user_namespace},
	{"descriptors", descriptors},
	{"address-space", address_space},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(situations) / sizeof(*situations); i++) {
		if (strcmp(situations[i].name, argv[1]) != 0)
			continue;
		if (situations[i].make()) {
			fprintf(stderr, "inside: %s cannot be made here: %s\n", argv[1],
				strerror(errno));
			return SKIP;
		}
		execv(argv[2], argv + 2);
		fprintf(stderr, "inside: %s cannot be started: %s\n", argv[2],
			strerror(errno));
		return SKIP;
	}
	fprintf(stderr, "usage: inside SITUATION COMMAND [ARGUMENT...]\n");
	return 2;
}
