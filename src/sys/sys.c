/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How is each system call made? (sys.h)
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>

#include "sys/raw.h"
#include "sys/sys.h"
#include "util/debug.h"

#define INJECT(what)                           \
	do {                                   \
		int err_ = debug_inject(what); \
		if (err_)                      \
			return err_;           \
	} while (0)

int sys_open(int dir, const char *path, int flags)
{
	INJECT("open");
	return (int)raw4(SYS_openat, dir, (long)path, flags | O_CLOEXEC, 0);
}

int sys_close(int fd)
{
	int err = debug_inject("close");
	int ret = (int)raw1(SYS_close, fd);

	return err ? err : ret;
}

long sys_read(int fd, void *buf, size_t len)
{
	INJECT("read");
	return raw3(SYS_read, fd, (long)buf, (long)len);
}

long sys_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	INJECT("pread");
	return raw4(SYS_pread64, fd, (long)buf, (long)len, (long)offset);
}

long sys_write(int fd, const void *buf, size_t len)
{
	INJECT("write");
	return raw3(SYS_write, fd, (long)buf, (long)len);
}

int sys_ioctl(int fd, unsigned long request, void *arg)
{
	INJECT("ioctl");
	return (int)raw3(SYS_ioctl, fd, (long)request, (long)arg);
}

int sys_poll(struct pollfd *fds, unsigned int nr, int timeout_ms)
{
	struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

	INJECT("poll");
	return (int)raw5(SYS_ppoll, (long)fds, nr, timeout_ms < 0 ? 0 : (long)&timeout, 0,
			 0);
}

int sys_epoll_create(void)
{
	INJECT("epoll_create");
	return (int)raw1(SYS_epoll_create1, EPOLL_CLOEXEC);
}

int sys_epoll_add(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	INJECT("epoll_ctl");
	return (int)raw4(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, fd, (long)&event);
}

int sys_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
	INJECT("epoll_wait");
	return (int)raw6(SYS_epoll_pwait, epoll, (long)events, max, timeout_ms, 0, 8);
}

long sys_getdents(int fd, void *buf, size_t len)
{
	INJECT("getdents");
	return raw3(SYS_getdents64, fd, (long)buf, (long)len);
}

int sys_rewind(int fd)
{
	INJECT("lseek");
	return (int)raw3(SYS_lseek, fd, 0, SEEK_SET);
}

int sys_fstat(int fd, struct stat *out)
{
	INJECT("fstat");
	return (int)raw2(SYS_fstat, fd, (long)out);
}

int sys_stat(const char *path, struct stat *out)
{
	INJECT("stat");
	return (int)raw4(SYS_newfstatat, AT_FDCWD, (long)path, (long)out, 0);
}

int sys_dup_from(int fd, int from)
{
	INJECT("fcntl");
	return (int)raw3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);
}

int sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	INJECT("close_range");
	return (int)raw3(SYS_close_range, first, last, flags);
}

int sys_pipe(int ends[2])
{
	INJECT("pipe");
	return (int)raw2(SYS_pipe2, (long)ends, O_CLOEXEC | O_NONBLOCK);
}

int sys_unshare_files(void)
{
	INJECT("unshare");
	return (int)raw1(SYS_unshare, CLONE_FILES);
}

int sys_mmap(void **out, size_t len, int prot, int flags, int fd)
{
	long ret;

	INJECT("mmap");
	ret = raw6(SYS_mmap, 0, (long)len, prot, flags, fd, 0);
	if (ret < 0 && ret > -4096)
		return (int)ret;
	*out = (void *)ret;
	return 0;
}

int sys_mmap_there(void *addr, size_t len, int prot)
{
	long ret = raw6(SYS_mmap, (long)addr, (long)len, prot,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return ret < 0 && ret > -4096 ? (int)ret : 0;
}

int sys_munmap(void *addr, size_t len)
{
	int err = debug_inject("munmap");
	int ret = (int)raw2(SYS_munmap, (long)addr, (long)len);

	return err ? err : ret;
}

int sys_madvise(void *addr, size_t len, int advice)
{
	INJECT("madvise");
	return (int)raw3(SYS_madvise, (long)addr, (long)len, advice);
}

int sys_munlock(void *addr, size_t len)
{
	INJECT("munlock");
	return (int)raw2(SYS_munlock, (long)addr, (long)len);
}

int sys_mprotect(void *addr, size_t len, int prot)
{
	INJECT("mprotect");
	return (int)raw3(SYS_mprotect, (long)addr, (long)len, prot);
}

int sys_mremap(void **out, void *addr, size_t old, size_t new)
{
	long ret;

	INJECT("mremap");
	ret = raw4(SYS_mremap, (long)addr, (long)old, (long)new, MREMAP_MAYMOVE);
	if (ret < 0 && ret > -4096)
		return (int)ret;
	*out = (void *)ret;
	return 0;
}

int sys_mincore(uint64_t addr, size_t len, unsigned char *out)
{
	INJECT("mincore");
	return (int)raw3(SYS_mincore, (long)addr, (long)len, (long)out);
}

int sys_shm_stat(int id, struct shmid_ds *out)
{
	INJECT("shmctl");
	return (int)raw3(SYS_shmctl, id, IPC_STAT, (long)out);
}

int sys_userfaultfd(int flags)
{
	INJECT("userfaultfd");
	return (int)raw1(SYS_userfaultfd, flags);
}

int sys_perf_event_open(struct perf_event_attr *attr, int pid, int cpu)
{
	INJECT("perf_event_open");
	return (int)raw5(SYS_perf_event_open, (long)attr, pid, cpu, -1,
			 PERF_FLAG_FD_CLOEXEC);
}

int sys_membarrier(int command)
{
	INJECT("membarrier");
	return (int)raw3(SYS_membarrier, command, 0, 0);
}

int sys_kcmp_vm(int tid, int other)
{
	INJECT("kcmp");
	return (int)raw5(SYS_kcmp, tid, other, KCMP_VM, 0, 0);
}

bool sys_exists(int pid)
{
	return raw2(SYS_kill, pid, 0) != -ESRCH;
}

/*
 * The kernel pins the pages of the remote side, and copies to or from the local side as by
 * a load or a store. So application memory is the local side, each call the other way round
 * than its name says. A pin of a page of a DAX file may never end (a block that xfs shares
 * between files, seen on Linux 6.12) or leave a truncation waiting for ever (one that is
 * touched meanwhile, seen on 7.3); and what is written through it msync may miss.
 *
 * The process is named by the thread that asks: the one that the process's own number names
 * has no memory any more once main() has ended by pthread_exit().
 */
long sys_process_vm_read(void *to, uint64_t from, size_t len)
{
	struct iovec ours = {to, len}, theirs = {(void *)(uintptr_t)from, len};

	INJECT("process_vm_writev");
	return raw6(SYS_process_vm_writev, sys_gettid(), (long)&theirs, 1, (long)&ours, 1,
		    0);
}

long sys_process_vm_write(uint64_t to, const void *from, size_t len)
{
	struct iovec ours = {(void *)(uintptr_t)from, len},
		     theirs = {(void *)(uintptr_t)to, len};

	INJECT("process_vm_readv");
	return raw6(SYS_process_vm_readv, sys_gettid(), (long)&theirs, 1, (long)&ours, 1,
		    0);
}

int sys_gettid(void)
{
	return (int)raw1(SYS_gettid, 0);
}

int sys_sigmask(const uint64_t *mask, uint64_t *before)
{
	return (int)raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, (long)before,
			 sizeof(*mask));
}

int sys_futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *deadline)
{
	int ret = (int)raw6(SYS_futex, (long)word, FUTEX_WAIT_BITSET_PRIVATE, value,
			    (long)deadline, 0, FUTEX_BITSET_MATCH_ANY);

	return ret == -EAGAIN ? 0 : ret;
}

void sys_futex_wake(_Atomic uint32_t *word)
{
	raw3(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

int sys_getpid(void)
{
	return (int)raw1(SYS_getpid, 0);
}
