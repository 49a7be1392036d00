/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls that the library makes for itself.
 *
 * The question this file answers: what may the library ask of the kernel, and how is a
 * failure told? 0 or a count, or -errno; errno itself is never touched. No wrapper is a
 * cancellation point.
 *
 * Each starts with debug_inject(), but for those that say otherwise. Those that give
 * something back (close, munmap) do it even when they are told to fail, as the kernel's do.
 */
#ifndef SYS_SYS_H
#define SYS_SYS_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct epoll_event;
struct perf_event_attr;
struct timespec;

int sys_open(int dir, const char *path, int flags);
int sys_close(int fd);
long sys_read(int fd, void *buf, size_t len);
long sys_pread(int fd, void *buf, size_t len, uint64_t offset);
long sys_write(int fd, const void *buf, size_t len);
int sys_ioctl(int fd, unsigned long request, void *arg); /* also positive results */
int sys_poll(struct pollfd *fds, unsigned int nr, int timeout_ms);
int sys_epoll_create(void);
int sys_epoll_add(int epoll, int fd, uint32_t events); /* its number comes with them */
/* How many of @events were filled in. */
int sys_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms);
long sys_getdents(int fd, void *buf, size_t len);
int sys_rewind(int fd);
int sys_fstat(int fd, struct stat *out);
int sys_stat(const char *path, struct stat *out);
/* A second number for it, the lowest from @from on. */
int sys_dup_from(int fd, int from);
/* Every number of [first, last] that the calling thread's table has. */
int sys_close_range(unsigned int first, unsigned int last, unsigned int flags);
int sys_unshare_files(void);
int sys_pipe(int ends[2]); /* not blocking */

int sys_mmap(void **out, size_t len, int prot, int flags, int fd);
int sys_mmap_there(void *addr, size_t len, int prot); /* anonymous; nothing is there */
int sys_munmap(void *addr, size_t len);
int sys_madvise(void *addr, size_t len, int advice);
int sys_munlock(void *addr, size_t len);
int sys_mprotect(void *addr, size_t len, int prot);
/* It may move. */
int sys_mremap(void **out, void *addr, size_t old, size_t new);
int sys_mincore(uint64_t addr, size_t len, unsigned char *out);
int sys_shm_stat(int id, struct shmid_ds *out);

int sys_userfaultfd(int flags);
int sys_perf_event_open(struct perf_event_attr *attr, int pid, int cpu);
int sys_membarrier(int command);
/* Have two threads the same memory? 0: yes; more: no; -EPERM, -ESRCH, -ENOSYS. */
int sys_kcmp_vm(int tid, int other);
/* Is there a process of that number? */
bool sys_exists(int pid);
/* One range each side, of this process. */
long sys_process_vm_read(void *to, uint64_t from, size_t len);
long sys_process_vm_write(uint64_t to, const void *from, size_t len);

int sys_gettid(void);
int sys_getpid(void);

/*
 * Nothing makes these fail on demand: a lock that is held stands on them. Which signals the
 * calling thread has blocked, a bit each; @before may be NULL.
 */
int sys_sigmask(const uint64_t *mask, uint64_t *before);
/* While *word is @value; the deadline is of CLOCK_MONOTONIC. May return 0 early;
 * -ETIMEDOUT; -EINTR a handler has run. */
int sys_futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *deadline);
void sys_futex_wake(_Atomic uint32_t *word);

#endif
