/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which libc calls empty a file that they open?
 *
 * O_TRUNC takes pages away as ftruncate() does, without an event. Such pages are not
 * pinned, so nobody has to be warned; who looked at a range of that file is told when the
 * call is over. That way nothing is held while a call sleeps, and the file is asked for by
 * its descriptor, not by a path that may lead elsewhere by then.
 */
#undef _FILE_OFFSET_BITS /* or open would be a name of open64 */
#undef _FORTIFY_SOURCE   /* or it would be an inline function */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "linux/interpose.h"

#if INTERPOSE

typedef int open_fn(const char *path, int flags, ...);
typedef int openat_fn(int dir, const char *path, int flags, ...);
typedef FILE *fopen_fn(const char *path, const char *mode);
typedef FILE *freopen_fn(const char *path, const char *mode, FILE *file);

static struct {
	open_fn *open, *open64;
	openat_fn *openat, *openat64;
	fopen_fn *fopen, *fopen64;
	freopen_fn *freopen, *freopen64;
} next;

#define LOOK(name) (*(void **)&next.name = dlsym(RTLD_NEXT, #name))

/* Not at the first call: that may come in a signal handler. */
static __attribute__((constructor)) void find_next(void)
{
	LOOK(open);
	LOOK(open64);
	LOOK(openat);
	LOOK(openat64);
	LOOK(fopen);
	LOOK(fopen64);
	LOOK(freopen);
	LOOK(freopen64);
}

void interpose_emptied(int fd)
{
	struct op op;

	interpose_begin_fd(&op, fd);
	interpose_end(&op);
}

static int opened(int fd, int flags)
{
	if (unlikely(flags & O_TRUNC) && fd >= 0)
		interpose_emptied(fd);
	return fd;
}

/* What is read where no mode was given is given to nobody. */
#define MODE(mode, flags)                                     \
	do {                                                  \
		if ((flags) & (O_CREAT | __O_TMPFILE)) {      \
			va_list args_;                        \
			va_start(args_, flags);               \
			(mode) = va_arg(args_, unsigned int); \
			va_end(args_);                        \
		}                                             \
	} while (0)

static int open_at(openat_fn *openat_next, int dir, const char *path, int flags,
		   unsigned int mode)
{
	if (likely(openat_next))
		return opened(openat_next(dir, path, flags, mode), flags);
	return opened((int)interpose_result(raw4(SYS_openat, dir, (long)path, flags, mode)),
		      flags);
}

static int open_path(open_fn *open_next, const char *path, int flags, unsigned int mode)
{
	if (likely(open_next))
		return opened(open_next(path, flags, mode), flags);
	return open_at(NULL, AT_FDCWD, path, flags, mode);
}

INTERPOSED int open(const char *path, int flags, ...)
{
	unsigned int mode = 0;

	MODE(mode, flags);
	return open_path(next.open, path, flags, mode);
}

INTERPOSED int open64(const char *path, int flags, ...)
{
	unsigned int mode = 0;

	MODE(mode, flags);
	return open_path(next.open64, path, flags | O_LARGEFILE, mode);
}

INTERPOSED int openat(int dir, const char *path, int flags, ...)
{
	unsigned int mode = 0;

	MODE(mode, flags);
	return open_at(next.openat, dir, path, flags, mode);
}

INTERPOSED int openat64(int dir, const char *path, int flags, ...)
{
	unsigned int mode = 0;

	MODE(mode, flags);
	return open_at(next.openat64, dir, path, flags | O_LARGEFILE, mode);
}

INTERPOSED int creat(const char *path, mode_t mode)
{
	return open_path(next.open, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

INTERPOSED int creat64(const char *path, mode_t mode)
{
	return open_path(next.open64, path, O_CREAT | O_WRONLY | O_TRUNC | O_LARGEFILE,
			 mode);
}

/* ---- streams: libc opens them by a call of its own ------------------------------------
 */

static FILE *opened_stream(FILE *file, const char *mode)
{
	if (file && mode && *mode == 'w')
		interpose_emptied(fileno(file));
	return file;
}

/* A constructor that runs before ours may be the first to ask; no signal handler is. */
static void know_next(void)
{
	if (unlikely(!next.fopen))
		find_next();
}

INTERPOSED FILE *fopen(const char *path, const char *mode)
{
	know_next();
	return opened_stream(next.fopen(path, mode), mode);
}

INTERPOSED FILE *fopen64(const char *path, const char *mode)
{
	know_next();
	return opened_stream(next.fopen64(path, mode), mode);
}

INTERPOSED FILE *freopen(const char *path, const char *mode, FILE *file)
{
	know_next();
	return opened_stream(next.freopen(path, mode, file), mode);
}

INTERPOSED FILE *freopen64(const char *path, const char *mode, FILE *file)
{
	know_next();
	return opened_stream(next.freopen64(path, mode, file), mode);
}

#endif
