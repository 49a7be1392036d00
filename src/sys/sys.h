/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls that the library makes for itself.
 *
 * The question this file answers: what may the library ask of the kernel, and how is a
 * failure told? 0 or a count, or -errno; errno itself is never touched. No wrapper is a
 * cancellation point.
 *
 * Each starts with debug_inject(). Those that give something back (close, munmap) do it
 * even when they are told to fail, as the kernel's do.
 */
#ifndef SYS_SYS_H
#define SYS_SYS_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/uio.h>

struct perf_event_attr;

int sys_open(int dir, const char *path, int flags);
int sys_close(int fd);
long sys_read(int fd, void *buf, size_t len);
long sys_pread(int fd, void *buf, size_t len, uint64_t offset);
long sys_write(int fd, const void *buf, size_t len);
int sys_ioctl(int fd, unsigned long request, void *arg); /* also positive results */
int sys_poll(struct pollfd *fds, unsigned int nr, int timeout_ms);
long sys_getdents(int fd, void *buf, size_t len);
int sys_rewind(int fd);
int sys_fstat(int fd, struct stat *out);
int sys_stat(const char *path, struct stat *out);
int sys_eventfd(void);

int sys_mmap(void **out, size_t len, int prot, int flags, int fd);
int sys_munmap(void *addr, size_t len);
int sys_madvise(void *addr, size_t len, int advice);
int sys_mincore(uint64_t addr, size_t len, unsigned char *out);
int sys_shm_stat(int id, struct shmid_ds *out);

int sys_userfaultfd(int flags);
int sys_perf_event_open(struct perf_event_attr *attr, int pid, int cpu);
int sys_membarrier(int command);
/* One range each side, of this process. */
long sys_process_vm_read(void *to, uint64_t from, size_t len);
long sys_process_vm_write(uint64_t to, const void *from, size_t len);

int sys_gettid(void);

#endif
