/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors of the library's own.
 *
 * The question this file answers: how does the library keep a descriptor for long in a
 * process that may close any number at any time, and give it to a file of its own?
 *
 * It lies high up, out of the way of who counts on low numbers, and never at 0, 1 or 2. It
 * is known by the file behind it: every use asks first whether the number still names that
 * file. libc's calls that close are told which numbers to leave alone (interpose_fd.c).
 *
 * A handle is an entry of one table for the process; no lock is taken anywhere.
 */
#ifndef UTIL_OWN_H
#define UTIL_OWN_H

#include <stdbool.h>

#define OWN_NONE (-1)

/* Keep @fd, which is closed or moved: the handle, or -errno with @fd closed. */
int own_take(int fd);
/* Its number now, for one use; -EBADF: somebody closed it, and no use may be made of it. */
int own_fd(int handle);
/* Closed, if it is still there. OWN_NONE is allowed. */
void own_put(int handle);
/* Is this number the library's? */
bool own_is(int fd);
/* The lowest number of the library's from @from on; -1: none. */
int own_next(unsigned int from);
/* The program wants this number: the library's descriptor there moves away. */
void own_make_way(int fd);
/* In the child of a fork: close the copies of them all. */
void own_fork_child(void);

/* A file of /proc, which is opened anew when somebody closed it. */
struct own_file {
	const char *path,
		*other; /* from main()'s end on, which /proc/self does not outlive */
	int flags;
	_Atomic int handle;
	int apart; /* its number in the table of own_thread_apart(); -1: none */
};
#define OWN_FILE_NONE                           \
	{                                       \
		.handle = OWN_NONE, .apart = -1 \
	}

/* 0 or -errno. */
int own_file_open(struct own_file *file, const char *path, const char *other, int flags);
void own_file_close(struct own_file *file);
/* Its number, for one use, or -errno. */
int own_file_fd(struct own_file *file);
/* The same, opened anew. */
int own_file_renew(struct own_file *file);

/* The calling thread has a table of descriptors for itself from now on: there is one such.
 */
void own_thread_apart(void);
/* For that thread: open it there, too. It is closed with the table. */
void own_file_open_apart(struct own_file *file);

#endif
