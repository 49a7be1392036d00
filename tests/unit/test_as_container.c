/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is memory reached right where a container takes things away: userfaultfd and perf,
 * process_vm_readv, /proc, descriptors? Each situation in a child of its own.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "test_as.h"

#define SKIP 77

static const struct hmm_driver copying_driver = {
	.size = sizeof(copying_driver),
	.abi = HMM_DRIVER_ABI,
	.name = "copying",
	.license = "LGPL-2.1-or-later",
	.ops = &plain_ops,
	.modes = {HMM_MODE_STAGE},
	.nr_modes = 1,
};

/* ---- what has to be right everywhere --------------------------------------------------
 */

/* Far below what the kernel places by itself: what is unmapped there stays a hole. */
static char *page(int prot)
{
	static uintptr_t place = 0x7e9000000000;
	char *p;

	place += 1u << 30;
	p = mmap((void *)place, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	CHECK(p != MAP_FAILED);
	memset(p, 'a', PAGE);
	CHECK(mprotect(p, PAGE, prot) == 0);
	return p;
}

static void refuses(struct hmm_mirror *mirror)
{
	struct hmm_translation t;
	char *p = page(PROT_READ);

	CHECK(hmm_translate(mirror, p, PAGE, HMM_WRITE, &t) == -EACCES && *hmm_error());
	CHECK(munmap(p, PAGE) == 0);
	CHECK(hmm_translate(mirror, p, PAGE, HMM_READ, &t) == -EFAULT && *hmm_error());
}

static void stages(struct hmm *hmm)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr)};
	char *p = page(PROT_READ | PROT_WRITE), *at;
	struct hmm_device *device;
	struct hmm_mirror *mirror;
	struct hmm_translation t;

	CHECK(!hmm_device_register(hmm, &copying_driver, NULL, &device));
	CHECK(!hmm_mirror_create(device, &attr, &mirror));
	CHECK(!hmm_translate(mirror, p + 8, 16, HMM_READ | HMM_WRITE, &t));
	at = (char *)(uintptr_t)t.addr;
	CHECK(t.mode == HMM_MODE_STAGE && at != p + 8 && !memcmp(at, p + 8, 16));
	memset(at, 'd', 16);
	CHECK(!hmm_translation_put(&t));
	CHECK(p[7] == 'a' && p[8] == 'd' && p[23] == 'd' && p[24] == 'a');
	refuses(mirror);
	CHECK(!hmm_mirror_destroy(mirror) && !hmm_device_unregister(device));
}

/* Without libc: nobody is told, so nothing may be remembered. */
static void follows(struct plain *plain)
{
	char *p = page(PROT_READ | PROT_WRITE);
	struct hmm_translation t;

	CHECK(!hmm_translate(plain->mirror, p, PAGE, HMM_READ | HMM_WRITE, &t));
	CHECK(t.addr == (uintptr_t)p);
	hmm_translation_put(&t);
	CHECK(!raw_call(SYS_mprotect, p, PAGE, PROT_READ));
	CHECK(hmm_translate(plain->mirror, p, PAGE, HMM_WRITE, &t) == -EACCES);
	CHECK(!raw_call(SYS_munmap, p, PAGE));
	CHECK(hmm_translate(plain->mirror, p, PAGE, HMM_READ, &t) == -EFAULT);
}

static int all_is_right(void)
{
	struct plain plain;

	plain_open(&plain, 0);
	follows(&plain);
	refuses(plain.mirror);
	stages(plain.hmm);
	plain_close(&plain);
	return 0;
}

/* ---- situations ---------------------------------------------------------------------- */

static unsigned int every_thread; /* SECCOMP_FILTER_FLAG_TSYNC */

/* Those calls fail with EPERM from now on, as in a container engine's default filter. */
static bool forbid(const int *calls, unsigned short nr)
{
	struct sock_filter code[16] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	struct sock_fprog program = {.filter = code};

	for (unsigned short i = 0; i < nr; i++)
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							   (unsigned int)calls[i],
							   (unsigned char)(nr - i), 0);
	code[1 + nr] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[2 + nr] =
		(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	program.len = (unsigned short)(nr + 3);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, every_thread, &program)) {
		printf("no seccomp filter can be set: %s\n", strerror(errno));
		return false;
	}
	return true;
}

/* Root could still have one from /dev/userfaultfd. */
static bool be_nobody(void)
{
	return getuid() || (setgid(65534) == 0 && setuid(65534) == 0);
}

static const int engine[] = {SYS_userfaultfd, SYS_perf_event_open};
static const int strict[] = {SYS_userfaultfd,      SYS_perf_event_open,
			     SYS_process_vm_readv, SYS_process_vm_writev,
			     SYS_unshare,          SYS_membarrier};

static int filtered(void)
{
	struct hmm_attr need = {.size = sizeof(need), .flags = HMM_NEED_WATCH};
	struct hmm *hmm;

	if (!forbid(engine, 2) || !be_nobody())
		return SKIP;
	if (is_on("userfaultfd")) {
		printf("everybody may use /dev/userfaultfd here\n");
		return SKIP;
	}
	CHECK(hmm_open(&need, &hmm) == -EPERM && strstr(hmm_error(), "userfaultfd"));
	return all_is_right();
}

static int filtered_more(void)
{
	if (!forbid(strict, 6) || !be_nobody())
		return SKIP;
	return all_is_right();
}

static char empty[] = "/tmp/as-container.XXXXXX";

static int without_proc(void)
{
	if (chroot(empty) || chdir("/")) {
		printf("chroot: %s\n", strerror(errno));
		return SKIP;
	}
	return all_is_right();
}

static int hidden_pids(void)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", 0, "hidepid=2") || !be_nobody()) {
		printf("mounting /proc with hidepid=2: %s\n", strerror(errno));
		return SKIP;
	}
	return all_is_right();
}

static int read_only_root(void)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL)) {
		printf("a read-only root: %s\n", strerror(errno));
		return SKIP;
	}
	return all_is_right();
}

static int user_namespace(void)
{
	if (unshare(CLONE_NEWUSER)) {
		printf("a user namespace: %s\n", strerror(errno));
		return SKIP;
	}
	return all_is_right();
}

/* A sandbox that is closed when everything is open: no call hangs, nothing is stale. */
static int late_filter(void)
{
	static const int late[] = {SYS_membarrier, SYS_ppoll};
	struct timespec before, after;
	struct hmm_translation t;
	struct plain plain;
	char *p = page(PROT_READ | PROT_WRITE);

	plain_open(&plain, 0);
	CHECK(!hmm_translate(plain.mirror, p, PAGE, HMM_READ, &t));
	hmm_translation_put(&t);
	every_thread = SECCOMP_FILTER_FLAG_TSYNC;
	if (!forbid(late, 2))
		return SKIP;
	CHECK(!hmm_translate(plain.mirror, p, PAGE, HMM_READ, &t));
	CHECK(!raw_call(SYS_munmap, p, PAGE));
	CHECK(!hmm_translation_valid(&t));
	hmm_translation_put(&t);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	sleep(1);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	/* A thread that spins takes all of the second, or half on a busy machine. */
	CHECK(after.tv_sec * 1000 + after.tv_nsec / 1000000 -
		      (before.tv_sec * 1000 + before.tv_nsec / 1000000) <
	      300);
	plain_close(&plain);
	return 0;
}

static int few_descriptors(void)
{
	struct rlimit few = {16, 16};

	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	return all_is_right();
}

static const struct {
	const char *name;
	int (*run)(void);
} situations[] = {
	{"nothing is missing", all_is_right},
	{"a container engine's filter", filtered},
	{"a stricter filter", filtered_more},
	{"no /proc", without_proc},
	{"/proc with hidepid=2", hidden_pids},
	{"a read-only root", read_only_root},
	{"a user namespace", user_namespace},
	{"16 descriptors", few_descriptors},
	{"a filter that comes later", late_filter},
};

int main(void)
{
	bool skipped = false;

	CHECK(mkdtemp(empty));
	for (size_t i = 0; i < sizeof(situations) / sizeof(situations[0]); i++) {
		int status;

		printf("%s\n", situations[i].name);
		status = run_in_child(situations[i].run);
		if (status && status != SKIP)
			rmdir(empty);
		CHECK(status == 0 || status == SKIP);
		skipped |= status == SKIP;
	}
	rmdir(empty);
	if (skipped)
		printf("skipped: what the lines above name\n");
	return skipped ? SKIP : 0;
}
