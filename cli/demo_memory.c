// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hmm demo: which kinds of memory does a program map, and what does it do to them?
 *
 * A change keeps the book: after it, buffer->contents says what the CPU finds there.
 * Memory that is shared has two halves, and only one of them is mapped at a time: so an
 * address means other memory after it was mapped anew.
 */
#include "demo.h"
#include "../kit/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define KIB          ((size_t)1024)
#define HUGE_SIZE    ((size_t)2 << 20)
#define RW           (PROT_READ | PROT_WRITE)
#define COUNT(a)     (sizeof(a) / sizeof((a)[0]))
#define TMPFS        0x01021994
#define RAMFS        0x858458f6
#define ADDRESS      0x200000000000ull /* far from where the kernel places mappings, so */
#define ADDRESS_STEP (4ull << 20)      /* that no other thread's lands in a hole of ours */

/* ---- the calls, by libc or without it ----------------------------------------------- */

static void *map_memory(void *addr, size_t len, int flags, int fd, off_t offset, bool raw)
{
	void *memory;

	if (raw)
		memory = (void *)raw_call(SYS_mmap, addr, len, RW, flags, fd, offset);
	else
		memory = mmap(addr, len, RW, flags, fd, offset);
	return memory;
}

static int unmap_memory(void *addr, size_t len, bool raw)
{
	long err = raw ? raw_call(SYS_munmap, addr, len) : munmap(addr, len);

	return err ? -errno : 0;
}

/* Move a mapping onto another address, over what is there. */
static int move_memory(void *from, size_t len, void *to, bool raw)
{
	void *at;

	if (raw)
		at = (void *)raw_call(SYS_mremap, from, len, len,
				      MREMAP_MAYMOVE | MREMAP_FIXED, to);
	else
		at = mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	return at == MAP_FAILED ? -errno : 0;
}

static int protect_memory(void *addr, size_t len, int prot, bool raw)
{
	long err =
		raw ? raw_call(SYS_mprotect, addr, len, prot) : mprotect(addr, len, prot);

	return err ? -errno : 0;
}

int memory_advise(void *addr, size_t len, int advice, bool raw)
{
	long err =
		raw ? raw_call(SYS_madvise, addr, len, advice) : madvise(addr, len, advice);

	return err ? -errno : 0;
}

/* ---- keeping the book --------------------------------------------------------------- */

static bool is_shared(const struct buffer *buffer)
{
	return buffer->kind->map_flags & MAP_SHARED;
}

static off_t half_offset(const struct buffer *buffer, unsigned int half)
{
	return buffer->base + (is_shared(buffer) ? (off_t)(half * buffer->len) : 0);
}

/* What a mapping made now holds, and which half it is. */
static void book_mapped(struct buffer *buffer, unsigned int half)
{
	buffer->half = half;
	if (!is_shared(buffer))
		buffer->contents[half] = buffer->under;
	buffer->known = true;
}

static unsigned int next_half(const struct buffer *buffer)
{
	return is_shared(buffer) ? !buffer->half : 0;
}

/* A mapping of the kind; MAP_FAILED and errno. */
static void *map_half(struct buffer *buffer, void *addr, int flags, unsigned int half,
		      bool raw)
{
	void *memory;

	/* MAP_SHARED_VALIDATE does not know the flag: something else takes the place. */
	if (buffer->kind->dax && flags & MAP_FIXED_NOREPLACE) {
		memory = map_memory(addr, buffer->len,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
				    0, raw);
		if (memory != addr)
			return memory;
		flags = MAP_FIXED;
	}
	memory = map_memory(addr, buffer->len, buffer->kind->map_flags | flags, buffer->fd,
			    half_offset(buffer, half), raw);

	if (memory != MAP_FAILED && buffer->len == HUGE_SIZE &&
	    !(buffer->kind->map_flags & MAP_HUGETLB))
		memory_advise(memory, buffer->len, MADV_HUGEPAGE, raw);
	return memory;
}

int memory_restore(struct buffer *buffer, bool raw)
{
	int err;

	if (buffer->prot == RW)
		return 0;
	err = protect_memory(buffer->addr, buffer->len, RW, raw);
	if (err)
		return err;
	buffer->prot = RW;
	if (buffer->known &&
	    !stamp_right(buffer->addr, 0, buffer->len, buffer_base(buffer))) {
		buffer->known = false;
		return -EILSEQ;
	}
	return 0;
}

/* ---- changes ------------------------------------------------------------------------ */

static int change_unmap(struct buffer *buffer, bool raw)
{
	unsigned int half = next_half(buffer);
	int err = unmap_memory(buffer->addr, buffer->len, raw);

	if (err)
		return err;
	if (map_half(buffer, buffer->addr, MAP_FIXED_NOREPLACE, half, raw) != buffer->addr)
		return -errno;
	book_mapped(buffer, half);
	return 0;
}

static int change_map_over(struct buffer *buffer, bool raw)
{
	unsigned int half = next_half(buffer);

	if (map_half(buffer, buffer->addr, MAP_FIXED, half, raw) == MAP_FAILED)
		return -errno;
	book_mapped(buffer, half);
	return 0;
}

/* Other memory, with something in it, moves to the address. */
static int change_move_in(struct buffer *buffer, bool raw)
{
	unsigned int half = next_half(buffer);
	void *memory = map_half(buffer, NULL, 0, half, raw);
	uint64_t base = 0;
	int err;

	if (memory == MAP_FAILED)
		return errno == ENOMEM ? -EOPNOTSUPP : -errno;
	if (!is_shared(buffer)) {
		base = buffer_stamp(buffer);
		stamp_fill(memory, buffer->len, base);
	}
	err = move_memory(memory, buffer->len, buffer->addr, raw);
	if (err) {
		unmap_memory(memory, buffer->len, raw);
		return err;
	}
	book_mapped(buffer, half);
	if (base)
		buffer->contents[half] = base;
	return 0;
}

/* The memory moves elsewhere, and something new comes to the address. */
static int change_move_out(struct buffer *buffer, bool raw)
{
	void *place =
		mmap(NULL, buffer->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int half = next_half(buffer);
	int err;

	if (place == MAP_FAILED)
		return -errno;
	err = move_memory(buffer->addr, buffer->len, place, raw);
	if (err) {
		unmap_memory(place, buffer->len, raw);
		return err == -EINVAL ? -EOPNOTSUPP : err;
	}
	if (map_half(buffer, buffer->addr, MAP_FIXED_NOREPLACE, half, raw) != buffer->addr)
		return -errno;
	book_mapped(buffer, half);
	return unmap_memory(place, buffer->len, raw);
}

static int change_discard(struct buffer *buffer, bool raw)
{
	int err = memory_advise(buffer->addr, buffer->len, MADV_DONTNEED, raw);

	if (err)
		return err;
	book_mapped(buffer, buffer->half);
	return 0;
}

static int change_protect_write(struct buffer *buffer, bool raw)
{
	buffer->prot = PROT_READ;
	return protect_memory(buffer->addr, buffer->len, PROT_READ, raw);
}

static int change_protect_all(struct buffer *buffer, bool raw)
{
	buffer->prot = 0;
	return protect_memory(buffer->addr, buffer->len, PROT_NONE, raw);
}

static int change_punch_hole(struct buffer *buffer, bool raw)
{
	off_t offset = half_offset(buffer, buffer->half);
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	long err;

	if (raw)
		err = raw_call(SYS_fallocate, buffer->fd, mode, offset, (off_t)buffer->len);
	else
		err = fallocate(buffer->fd, mode, offset, (off_t)buffer->len);
	if (err)
		return -errno;
	buffer->contents[buffer->half] = 0;
	return 0;
}

static int change_remove(struct buffer *buffer, bool raw)
{
	int err = memory_advise(buffer->addr, buffer->len, MADV_REMOVE, raw);

	if (err)
		return err;
	buffer->contents[buffer->half] = 0;
	return 0;
}

static int resize_file(int fd, off_t size, bool raw)
{
	long err = raw ? raw_call(SYS_ftruncate, fd, size) : ftruncate(fd, size);

	return err ? -errno : 0;
}

static int change_truncate(struct buffer *buffer, bool raw)
{
	int err = resize_file(buffer->fd, 0, raw);

	if (!err)
		err = resize_file(buffer->fd, (off_t)(2 * buffer->len), raw);
	if (err)
		return err;
	buffer->contents[0] = buffer->contents[1] = 0;
	return 0;
}

#define PRIVATE_CHANGES                                                       \
	{"munmap, mmap", change_unmap, false, false},                         \
		{"madvise(MADV_DONTNEED)", change_discard, true, false},      \
		{"mmap over it", change_map_over, true, false},               \
		{"mremap onto it", change_move_in, true, false},              \
		{"mremap away", change_move_out, false, false},               \
		{"mprotect to read-only", change_protect_write, false, true}, \
	{                                                                     \
		"mprotect to none", change_protect_all, false, true           \
	}

const struct change private_changes[PRIVATE_CHANGES_NR] = {PRIVATE_CHANGES};

const struct change shared_changes[SHARED_CHANGES_NR] = {
	PRIVATE_CHANGES,
	{"punch a hole", change_punch_hole, true, false},
	{"madvise(MADV_REMOVE)", change_remove, true, false},
	{"ftruncate", change_truncate, false, false},
};

/* ---- making the memory -------------------------------------------------------------- */

int memory_map(struct buffer *buffer)
{
	uintptr_t hint = ADDRESS + buffer->id * ADDRESS_STEP;
	void *memory = map_half(buffer, (void *)hint, MAP_FIXED_NOREPLACE, 0, false);

	if (memory == MAP_FAILED && buffer->len < HUGE_SIZE)
		memory = map_half(buffer, NULL, 0, 0, false);
	if (memory == MAP_FAILED)
		return -errno;
	buffer->addr = memory;
	buffer->prot = RW;
	book_mapped(buffer, 0);
	return 0;
}

static int setup_anonymous(struct buffer *buffer, const char **why)
{
	*why = "mmap(2) refused anonymous memory";
	return memory_map(buffer);
}

static int setup_thp(struct buffer *buffer, const char **why)
{
	char line[64] = "";
	FILE *in = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");

	*why = "transparent huge pages are off: echo madvise > "
	       "/sys/kernel/mm/transparent_hugepage/enabled";
	if (!in)
		return -EOPNOTSUPP;
	if (!fgets(line, sizeof(line), in))
		line[0] = '\0';
	fclose(in);
	if (line[0] != '[' && line[7] != '[') /* "[always] madvise never" */
		return -EOPNOTSUPP;
	return memory_map(buffer);
}

/* A change holds a new page before it gives the old one back, and a pin keeps old ones. */
#define HUGE_WANTED 8

static int setup_hugetlb(struct buffer *buffer, const char **why)
{
	int available = 0;
	FILE *in = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");

	*why = "fewer than 8 huge pages are free: echo 8 > /proc/sys/vm/nr_hugepages";
	if (!in)
		return -EOPNOTSUPP;
	if (fscanf(in, "%d", &available) != 1)
		available = 0;
	fclose(in);
	/* The cell's first buffer is counted before it takes any. */
	if (buffer->slot == 0 && available < HUGE_WANTED)
		return -EOPNOTSUPP;
	return memory_map(buffer);
}

static int setup_memfd(struct buffer *buffer, const char **why)
{
	*why = "memfd_create(2) failed";
	buffer->fd = memfd_create("hmm-demo", MFD_CLOEXEC);
	if (buffer->fd < 0 || ftruncate(buffer->fd, (off_t)(2 * buffer->len)))
		return -errno;
	return memory_map(buffer);
}

int setup_shared_file(struct buffer *buffer, const char **why)
{
	*why = "no temporary file could be made";
	buffer->fd = demo_temporary_file_in(buffer->kind->dir);
	if (buffer->fd < 0)
		return buffer->fd;
	if (ftruncate(buffer->fd, (off_t)(2 * buffer->len)))
		return -errno;
	return memory_map(buffer);
}

/* The file behind holds a stamp: a discard brings it back. */
int setup_private_file(struct buffer *buffer, const char **why)
{
	uint64_t *words = malloc(buffer->len);
	ssize_t done = -1;

	*why = "no temporary file could be made";
	buffer->fd = demo_temporary_file_in(buffer->kind->dir);
	if (buffer->fd >= 0 && words) {
		buffer->under = buffer_stamp(buffer);
		stamp_fill(words, buffer->len, buffer->under);
		done = pwrite(buffer->fd, words, buffer->len, 0);
	}
	free(words);
	if (buffer->fd < 0)
		return buffer->fd;
	return done == (ssize_t)buffer->len ? memory_map(buffer) : -EIO;
}

void teardown_mapped(struct buffer *buffer)
{
	if (buffer->addr)
		munmap(buffer->addr, buffer->len);
	if (buffer->fd >= 0)
		close(buffer->fd);
}

/* ---- where files are ---------------------------------------------------------------- */

static const char *directory;

/* Real file systems first: on tmpfs a file is memory, and shows less. */
static const char *find_directory(bool real)
{
	const char *places[] = {getenv("TMPDIR"), "/var/tmp", "/tmp", getenv("HOME"), "."};

	for (size_t i = 0; i < COUNT(places); i++) {
		struct statfs fs;

		if (!places[i] || !*places[i] || access(places[i], W_OK | X_OK) ||
		    statfs(places[i], &fs))
			continue;
		if (!real || (fs.f_type != TMPFS && fs.f_type != RAMFS))
			return places[i];
	}
	return NULL;
}

const char *demo_directory(void)
{
	if (!directory)
		directory = find_directory(true);
	if (!directory)
		directory = find_directory(false);
	return directory;
}

int demo_temporary_file(void)
{
	return demo_temporary_file_in(NULL);
}

int demo_temporary_file_in(const char *dir)
{
	const char *where = dir ? dir : demo_directory();
	char *path;
	int fd;

	if (!where)
		return -EACCES;
	if (asprintf(&path, "%s/hmm-demo-XXXXXX", where) < 0)
		return -ENOMEM;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	else
		unlink(path);
	free(path);
	return fd;
}

/* ---- the table of kinds ------------------------------------------------------------- */

#define PRIVATE_ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

#define MAPPED(size, n, race, flags, make, what)                               \
	.len = (size), .buffers = (n), .racing = (race), .map_flags = (flags), \
	.setup = (make), .teardown = teardown_mapped, .changes = (what),       \
	.nr_changes = COUNT(what)

static const struct kind kind_anonymous = {"anonymous", "anonymous",
					   MAPPED(128 * KIB, 6, 2, PRIVATE_ANONYMOUS,
						  setup_anonymous, private_changes)};

static const struct kind kind_thp = {"thp", "huge (THP)",
				     MAPPED(HUGE_SIZE, 2, 1, PRIVATE_ANONYMOUS, setup_thp,
					    private_changes)};

static const struct kind kind_hugetlb = {"hugetlb", "huge (hugetlb)",
					 MAPPED(HUGE_SIZE, 2, 0,
						PRIVATE_ANONYMOUS | MAP_HUGETLB,
						setup_hugetlb, private_changes)};

static const struct kind kind_memfd = {"memfd", "shared (memfd)",
				       MAPPED(128 * KIB, 6, 2, MAP_SHARED, setup_memfd,
					      shared_changes)};

static const struct kind kind_private_file = {"private-file", "private file",
					      MAPPED(128 * KIB, 6, 2, MAP_PRIVATE,
						     setup_private_file, private_changes)};

static const struct kind kind_shared_file = {"shared-file", "shared file",
					     MAPPED(128 * KIB, 6, 2, MAP_SHARED,
						    setup_shared_file, shared_changes)};

const struct kind *kinds[KINDS_MAX] = {
	&kind_anonymous,    &kind_thp,         &kind_heap,    &kind_stack, &kind_memfd,
	&kind_private_file, &kind_shared_file, &kind_hugetlb, &kind_list,
};
unsigned int nr_kinds = 9;
