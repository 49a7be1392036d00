/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which descriptors are the library's own, and are they still? (own.h) */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "sys/sys.h"
#include "util/own.h"

#define OWN_MAX 1024 /* more are used, but not left alone by libc's calls: -EMFILE */
#define HIGH    1024 /* numbers from here on would make the kernel's table longer */
#define LOWEST  3

enum { FREE = 0, TAKEN = -1 }; /* what .number is besides a number, which is never 0 */

static struct own {
	_Atomic int number;
	uint64_t dev, ino; /* written before the number */
} table[OWN_MAX];
static _Atomic unsigned int used; /* entries from here on were never taken */
static _Atomic int process; /* whose numbers they are: vfork's child shares the table */

static bool is_file(int fd, uint64_t dev, uint64_t ino)
{
	struct stat stat;

	return sys_fstat(fd, &stat) == 0 && stat.st_dev == dev && stat.st_ino == ino;
}

/* As high as there is room, below HIGH. */
static int move_up(int fd)
{
	struct rlimit limit = {.rlim_cur = HIGH};
	int from, new = -EMFILE;

	getrlimit(RLIMIT_NOFILE, &limit);
	from = limit.rlim_cur < HIGH ? (int)limit.rlim_cur : HIGH;
	for (from -= from / 8; from >= LOWEST && new == -EMFILE; from /= 2)
		new = sys_dup_from(fd, from);
	if (new == -EMFILE)
		new = sys_dup_from(fd, LOWEST);
	return new;
}

static int entry(void)
{
	for (int i = 0; i < OWN_MAX; i++) {
		int expected = FREE;

		if (!atomic_compare_exchange_strong(&table[i].number, &expected, TAKEN))
			continue;
		for (unsigned int high = used; high <= (unsigned int)i;)
			atomic_compare_exchange_weak(&used, &high, (unsigned int)i + 1);
		return i;
	}
	return -EMFILE;
}

int own_take(int fd)
{
	struct stat stat;
	int new = move_up(fd), handle = new < 0 ? new : entry();

	/* The last number may be the one that it has. */
	if (new == -EMFILE && fd >= LOWEST) {
		new = fd;
		handle = entry();
	} else {
		sys_close(fd);
	}
	if (handle >= 0 && sys_fstat(new, &stat)) {
		table[handle].number = FREE;
		handle = -EBADF;
	}
	if (handle < 0) {
		if (new >= 0)
			sys_close(new);
		return handle;
	}
	table[handle].dev = stat.st_dev;
	table[handle].ino = stat.st_ino;
	process = sys_getpid();
	table[handle].number = new;
	return handle;
}

int own_fd(int handle)
{
	const struct own *own = &table[handle];
	int number;

	if (handle < 0)
		return -EBADF;
	number = own->number;
	return number > 0 && is_file(number, own->dev, own->ino) ? number : -EBADF;
}

void own_put(int handle)
{
	int number;

	if (handle < 0)
		return;
	number = own_fd(handle);
	if (number < 0) /* a test lets what it asks the kernel fail, once */
		number = own_fd(handle);
	table[handle].number = FREE;
	if (number >= 0)
		sys_close(number);
}

/* The entry of that number. */
static struct own *find(int fd)
{
	unsigned int nr = used;

	for (unsigned int i = 0; fd > 0 && i < nr; i++)
		if (table[i].number == fd && is_file(fd, table[i].dev, table[i].ino))
			return &table[i];
	return NULL;
}

bool own_is(int fd)
{
	return find(fd);
}

int own_next(unsigned int from)
{
	unsigned int nr = used;
	int next = -1;

	for (unsigned int i = 0; i < nr; i++) {
		int number = table[i].number;

		if (number > 0 && (unsigned int)number >= from &&
		    (next < 0 || number < next) &&
		    is_file(number, table[i].dev, table[i].ino))
			next = number;
	}
	return next;
}

void own_make_way(int fd)
{
	struct own *own = find(fd);
	int new;

	if (!own || process != sys_getpid())
		return;
	new = move_up(fd);
	if (new >= 0 && !atomic_compare_exchange_strong(&own->number, &fd, new))
		sys_close(new);
}

void own_fork_child(void)
{
	unsigned int nr = used;

	for (unsigned int i = 0; i < nr; i++)
		own_put((int)i);
}

/* ---- files that can be opened anew -----------------------------------------------------
 */

/*
 * Once main() has ended by pthread_exit(), /proc/self tells of no memory, though it can
 * still be opened: the files of the calling thread do.
 */
static int open_path(const struct own_file *file)
{
	char first;
	int fd;

	if (!file->path)
		return -ENOENT;
	if (file->other) {
		fd = sys_open(AT_FDCWD, "/proc/self/maps", O_RDONLY);
		bool tells = fd >= 0 && sys_read(fd, &first, 1) > 0;

		if (fd >= 0)
			sys_close(fd);
		if (!tells)
			return sys_open(AT_FDCWD, file->other, file->flags);
	}
	return sys_open(AT_FDCWD, file->path, file->flags);
}

static int open_kept(const struct own_file *file)
{
	int fd = open_path(file);

	return fd < 0 ? fd : own_take(fd);
}

static __thread bool apart __attribute__((tls_model("initial-exec")));

void own_thread_apart(void)
{
	apart = true;
}

void own_file_open_apart(struct own_file *file)
{
	int fd = open_path(file);

	file->apart = fd < 0 ? -1 : fd;
}

int own_file_open(struct own_file *file, const char *path, const char *other, int flags)
{
	int handle;

	*file = (struct own_file){.path = path,
				  .other = other,
				  .flags = flags,
				  .handle = OWN_NONE,
				  .apart = -1};
	handle = open_kept(file);
	if (handle < 0)
		return handle;
	file->handle = handle;
	return 0;
}

void own_file_close(struct own_file *file)
{
	own_put(file->handle);
	*file = (struct own_file)OWN_FILE_NONE;
}

/* In the place of the entry @old. */
static int renew(struct own_file *file, int old)
{
	int new = open_kept(file);

	if (new < 0)
		return new;
	/* Somebody else was faster: theirs is as good. */
	own_put(atomic_compare_exchange_strong(&file->handle, &old, new) ? old : new);
	return own_fd(file->handle);
}

int own_file_renew(struct own_file *file)
{
	if (!apart)
		return renew(file, file->handle);
	if (file->apart >= 0)
		sys_close(file->apart);
	own_file_open_apart(file);
	return file->apart < 0 ? -ENOENT : file->apart;
}

int own_file_fd(struct own_file *file)
{
	int old = file->handle, fd;

	if (apart)
		return file->apart < 0 ? -ENOENT : file->apart;
	if (old == OWN_NONE)
		return -ENOENT;
	fd = own_fd(old);
	return fd >= 0 ? fd : renew(file, old);
}
