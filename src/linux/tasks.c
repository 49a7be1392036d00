/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which threads does the process have, and what does the kernel say of one?
 *
 * From /proc/self/task, opened once: io_uring's workers are there too. No stdio and no
 * malloc, since events may be waiting.
 */
#include <errno.h>
#include <fcntl.h>

#include "linux/address_space.h"
#include "sys/sys.h"

int tasks_init(struct tasks *tasks)
{
	*tasks = (struct tasks){.file = OWN_FILE_NONE, .lock = PTHREAD_MUTEX_INITIALIZER};
	return own_file_open(&tasks->file, "/proc/self/task", NULL, O_RDONLY | O_DIRECTORY);
}

void tasks_fini(struct tasks *tasks)
{
	own_file_close(&tasks->file);
}

static int each_locked(int task_fd, int (*fn)(void *arg, const char *tid), void *arg)
{
	char buffer[4096] __attribute__((aligned(8)));
	int nr = 0, err = sys_rewind(task_fd);
	long got;

	if (err < 0)
		return err;
	while ((got = sys_getdents(task_fd, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < got;) {
			const struct tasks_entry *entry = (void *)(buffer + at);

			at += entry->len;
			if (entry->name[0] == '.')
				continue;
			err = fn(arg, entry->name);
			if (err)
				return err;
			nr++;
		}
	}
	return got < 0 ? (int)got : nr;
}

int tasks_each(struct tasks *tasks, int (*fn)(void *arg, const char *tid), void *arg)
{
	struct stat before, after;
	int fd, nr;

	as_lock(&tasks->lock);
	fd = own_file_fd(&tasks->file);
	nr = fd < 0 ? fd : sys_fstat(fd, &before);
	if (!nr)
		nr = each_locked(fd, fn, arg);
	if (nr >= 0 && sys_fstat(fd, &after))
		nr = -EIO;
	as_unlock(&tasks->lock);
	if (nr < 0)
		return nr;
	/* When a thread ends while the list is read, one that goes on may be left out. */
	if (before.st_nlink != after.st_nlink || (unsigned long)nr + 2 != after.st_nlink)
		return -EAGAIN;
	return nr;
}

long tasks_read(struct tasks *tasks, const char *tid, const char *name, char *text,
		size_t size)
{
	char path[40];
	size_t len = strlen(tid), name_len = strlen(name);
	int dir = own_file_fd(&tasks->file), fd;
	long got;

	if (dir < 0)
		return dir;
	if (len + name_len + 2 > sizeof(path))
		return -EINVAL;
	memcpy(path, tid, len);
	path[len] = '/';
	memcpy(path + len + 1, name, name_len + 1);
	fd = sys_open(dir, path, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT || fd == -ESRCH ? 0 : fd;
	got = sys_pread(fd, text, size - 1, 0);
	sys_close(fd);
	if (got >= 0)
		text[got] = 0;
	return got == -ESRCH ? 0 : got;
}
