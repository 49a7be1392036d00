// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: what are two worlds that are alike?
 *
 * Each area of memory has pages of many kinds at the same places, and a file of each kind.
 */
#include "random.h"

#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int must_fd(int fd, const char *what)
{
	if (fd >= 0)
		return fd;
	perror(what);
	exit(1);
}

/* ---- memory ---- */

char *world_area(const struct world *w, unsigned int area)
{
	return w->memory + (size_t)area * (AREA_PAGES + 1) * PAGE;
}

static void map_page(char *at, int protection, int flags, int fd)
{
	if (mmap(at, PAGE, protection, MAP_FIXED | flags, fd, 0) != at) {
		perror("mmap");
		exit(1);
	}
}

/* 0 to 7 anonymous, 3 untouched; 8 read-only; 9 of nobody; 10 a hole; 11 shared; 12 a file.
 */
void world_renew(struct world *w, unsigned int area)
{
	char *p = world_area(w, area);

	map_at(p, AREA_PAGES * PAGE);
	for (unsigned int page = 0; page < AREA_PAGES; page++)
		if (page != 3)
			memset(p + page * PAGE, (int)(page * 7 + 1), PAGE);
	mprotect(p + 8 * PAGE, PAGE, PROT_READ);
	mprotect(p + 9 * PAGE, PAGE, PROT_NONE);
	munmap(p + 10 * PAGE, PAGE);
	map_page(p + 10 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	map_page(p + 11 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	map_page(p + 12 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		 w->fds[READ_ONLY][area]);
}

void world_change(struct world *w, unsigned int area, struct random *r)
{
	unsigned int page = draw(r, 8), nr = 1 + draw(r, 8 - page);
	char *p = world_area(w, area) + page * PAGE;

	switch (draw(r, 7)) {
	case 0:
		munmap(p, nr * PAGE);
		map_at(p, nr * PAGE);
		break;
	case 1:
		map_at(p, nr * PAGE);
		break;
	case 2:
		madvise(p, nr * PAGE, MADV_DONTNEED);
		break;
	case 3:
		syscall(SYS_madvise, p, nr * PAGE, MADV_DONTNEED);
		break;
	case 4:
		mprotect(p, nr * PAGE, PROT_READ);
		break;
	case 5:
		syscall(SYS_mprotect, p, nr * PAGE, PROT_READ | PROT_WRITE);
		break;
	case 6:
		map_page(p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
		break;
	}
}

static unsigned int compare_memory(struct world *a, struct world *b, unsigned int area,
				   bool tell)
{
	const char *p = world_area(a, area), *q = world_area(b, area);
	unsigned int wrong = 0;

	for (unsigned int page = 0; page < AREA_PAGES; page++) {
		if (page == 9 || page == 10 ||
		    !memcmp(p + page * PAGE, q + page * PAGE, PAGE))
			continue;
		if (tell)
			printf("page %u of area %u differs\n", page, area);
		wrong++;
	}
	return wrong;
}

/* ---- files ---- */

static void write_pattern(int fd, size_t len)
{
	static char block[65536] __attribute__((aligned(4096)));

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)pattern(i);
	if (write(fd, block, (len + 4095) & ~4095ul) < 0 || ftruncate(fd, (off_t)len)) {
		perror("write");
		exit(1);
	}
}

/* Of memory, where that will do; a disk may take its time. */
static int new_file(int flags, bool disk)
{
	static const char *const dirs[] = {"/dev/shm", "/var/tmp", "/tmp", "."};
	int fd = -1;

	for (size_t i = disk; i < 4 && fd < 0; i++)
		fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);
	if (fd < 0 && flags)
		return new_file(0, disk); /* no O_DIRECT here */
	write_pattern(must_fd(fd, "O_TMPFILE"), FILE_BYTES);
	return fd;
}

static int again(int fd, int flags)
{
	char name[40];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	flags = open(name, flags | O_CLOEXEC);
	close(fd);
	return must_fd(flags, "/proc/self/fd");
}

static int half_of_pipe(bool write_end, int *other)
{
	int pipes[2];

	must_fd(pipe2(pipes, O_CLOEXEC), "pipe");
	*other = pipes[!write_end];
	return pipes[write_end];
}

static int tcp(int *other)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len) || connect(fd, (void *)&addr, len))
		skip("no TCP over the loopback interface");
	*other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return fd;
}

static int open_kind(enum file_kind kind, unsigned int area, int *other)
{
	int pair[2], fd;

	switch (kind) {
	case BUFFERED:
		return new_file(0, false);
	case DIRECT:
		return new_file(O_DIRECT, area % 2);
	case APPEND:
		return new_file(O_APPEND, false);
	case MEMORY:
		fd = must_fd(memfd_create("random", MFD_CLOEXEC), "memfd");
		write_pattern(fd, FILE_BYTES);
		return fd;
	case READ_ONLY:
		return again(new_file(0, false), O_RDONLY);
	case WRITE_ONLY:
		return again(new_file(0, false), O_WRONLY);
	case PIPE_READ:
	case PIPE_EMPTY:
		return half_of_pipe(false, other);
	case PIPE_WRITE:
		return half_of_pipe(true, other);
	case SOCKET:
		must_fd(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socket");
		*other = pair[1];
		return pair[0];
	case TCP:
		return tcp(other);
	case EVENT:
		return must_fd(eventfd(5, EFD_CLOEXEC), "eventfd");
	case DEV_NULL:
		return must_fd(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	case DEV_ZERO:
		return must_fd(open("/dev/zero", O_RDWR | O_CLOEXEC), "/dev/zero");
	case DEV_FULL:
		return must_fd(open("/dev/full", O_RDWR | O_CLOEXEC), "/dev/full");
	case DIRECTORY:
		return must_fd(open("/", O_RDONLY | O_CLOEXEC), "/");
	case PROC:
		return must_fd(open("/proc/self/auxv", O_RDONLY | O_CLOEXEC), "/proc");
	default:
		return 9000; /* nobody's */
	}
}

static void drain(int fd)
{
	char block[65536];
	int left;

	while (!ioctl(fd, FIONREAD, &left) && left > 0 &&
	       read(fd, block, sizeof(block)) > 0)
		;
}

/* What a socket or pipe holds is the same in both worlds, since all that was read is. */
void world_fill(struct world *w, unsigned int area)
{
	static const enum file_kind readable[] = {PIPE_READ, SOCKET, TCP};
	static const enum file_kind writable[] = {PIPE_WRITE, SOCKET, TCP};
	uint64_t one = 1;
	char block[6000];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)pattern(i);
	for (int i = 0; i < 3; i++) {
		int left, fd = w->fds[readable[i]][area];

		if (!ioctl(fd, FIONREAD, &left) && left < 3000 &&
		    write(w->others[readable[i]][area], block, sizeof(block)) < 0)
			perror("fill");
		/* Over TCP it takes a moment. */
		while (!ioctl(fd, FIONREAD, &left) && left < 3000)
			usleep(10);
		drain(w->others[writable[i]][area]);
	}
	if (write(w->fds[EVENT][area], &one, sizeof(one)) < 0)
		perror("eventfd");
}

static unsigned int compare_file(int a, int b, const char *what, bool tell)
{
	static char p[1 << 17] __attribute__((aligned(4096)));
	static char q[1 << 17] __attribute__((aligned(4096)));
	ssize_t n = pread(a, p, sizeof(p), 0), m = pread(b, q, sizeof(q), 0);

	if (n == m && (n <= 0 || !memcmp(p, q, (size_t)n)) &&
	    lseek(a, 0, SEEK_CUR) == lseek(b, 0, SEEK_CUR))
		return 0;
	if (tell)
		printf("%s differs: %zd and %zd bytes, at %lld and %lld\n", what, n, m,
		       (long long)lseek(a, 0, SEEK_CUR), (long long)lseek(b, 0, SEEK_CUR));
	return 1;
}

static unsigned int compare_stream(int a, int b, const char *what, bool tell)
{
	int n = -1, m = -1;

	ioctl(a, FIONREAD, &n);
	ioctl(b, FIONREAD, &m);
	if (n == m)
		return 0;
	if (tell)
		printf("%s differs: %d and %d bytes wait\n", what, n, m);
	return 1;
}

unsigned int world_compare(struct world *a, struct world *b, unsigned int area, bool tell)
{
	static const char *const names[] = {"buffered", "memfd", "O_DIRECT", "append"};
	unsigned int wrong = compare_memory(a, b, area, tell);

	for (int kind = BUFFERED; kind <= APPEND; kind++) {
		int p = a->fds[kind][area], q = b->fds[kind][area];

		wrong += compare_file(p, q, names[kind], tell);
	}
	wrong += compare_stream(a->fds[PIPE_READ][area], b->fds[PIPE_READ][area], "pipe",
				tell);
	wrong += compare_stream(a->fds[SOCKET][area], b->fds[SOCKET][area], "socket", tell);
	return wrong;
}

void world_rewind(struct world *w, unsigned int area)
{
	for (int kind = BUFFERED; kind <= APPEND; kind++) {
		int fd = w->fds[kind][area];

		if (lseek(fd, 0, SEEK_END) > 1 << 16 && ftruncate(fd, FILE_BYTES))
			perror("ftruncate");
		lseek(fd, 0, SEEK_SET);
	}
}

/* ---- all of it ---- */

void world_open(struct world *w)
{
	char name[] = "/tmp/hmm-random-XXXXXX";

	memset(w->others, -1, sizeof(w->others));
	w->dir = must_fd(mkdtemp(name) ? open(name, O_RDONLY | O_CLOEXEC) : -1, name);
	w->memory = mmap(NULL, (AREAS * (AREA_PAGES + 1) + 1) * PAGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (unsigned int area = 0; area < AREAS; area++) {
		for (int kind = 0; kind < FILE_KINDS; kind++)
			w->fds[kind][area] = open_kind((enum file_kind)kind, area,
						       &w->others[kind][area]);
		world_renew(w, area);
	}
}

void world_close(struct world *w)
{
	char name[64], path[256];
	ssize_t n;

	for (unsigned int area = 0; area < AREAS; area++)
		for (int kind = 0; kind < FILE_KINDS; kind++) {
			if (kind != NO_FILE)
				close(w->fds[kind][area]);
			if (w->others[kind][area] >= 0)
				close(w->others[kind][area]);
		}
	munmap(w->memory, (AREAS * (AREA_PAGES + 1) + 1) * PAGE);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", w->dir);
	n = readlink(name, path, sizeof(path) - 1);
	for (unsigned int area = 0; area < AREAS; area++) {
		snprintf(name, sizeof(name), "f%u", area);
		unlinkat(w->dir, name, 0);
		snprintf(name, sizeof(name), "g%u", area);
		unlinkat(w->dir, name, 0);
		snprintf(name, sizeof(name), "d%u", area);
		unlinkat(w->dir, name, AT_REMOVEDIR);
	}
	close(w->dir);
	if (n > 0) {
		path[n] = 0;
		rmdir(path);
	}
}
