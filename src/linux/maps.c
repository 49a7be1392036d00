/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is mapped at an address?
 *
 * PROCMAP_QUERY answers for one address (kernel 6.11). Before that the text of
 * /proc/self/maps is read from its beginning, into a buffer of our own: no stdio, no
 * malloc, since this is called while events may be waiting.
 */
#include <errno.h>
#include <fcntl.h>

#include "linux/address_space.h"
#include "linux/kernel.h"
#include "sys/sys.h"
#include "util/arena.h"

#define NAME_SIZE   4096 /* the kernel cuts no name, and takes no larger buffer */
#define TOO_LONG    "(a path of more than 4,095 bytes)"
#define BUFFER_SIZE 16384
#define KEPT        (NAME_SIZE + 256) /* enough of a line to see that it is too long */

static void set_name(struct as_mapping *out, const char *name)
{
	size_t len = strnlen(name, sizeof(out->name) - 1);

	memcpy(out->name, name, len);
	out->name[len] = 0;
}

static int query(struct maps *maps, uint64_t addr, uint64_t flags, struct as_mapping *out)
{
	char name[NAME_SIZE];
	struct k_procmap_query q = {
		.size = sizeof(q),
		.query_flags = flags,
		.query_addr = addr,
		.vma_name_addr = (uintptr_t)name,
		.vma_name_size = sizeof(name),
	};
	int fd = own_file_fd(&maps->file), err;

	if (fd < 0)
		return fd;
	name[0] = 0;
	err = sys_ioctl(fd, K_PROCMAP_QUERY, &q);
	if (err == -ENAMETOOLONG) {
		q.vma_name_addr = q.vma_name_size = 0;
		strcpy(name, TOO_LONG);
		err = sys_ioctl(fd, K_PROCMAP_QUERY, &q);
	}
	if (err)
		return err;
	*out = (struct as_mapping){
		.start = q.vma_start,
		.end = q.vma_end,
		.ino = q.inode,
		.page = q.vma_page_size,
		.read = q.vma_flags & K_PROCMAP_READABLE,
		.write = q.vma_flags & K_PROCMAP_WRITABLE,
		.shared = q.vma_flags & K_PROCMAP_SHARED,
	};
	if (q.vma_name_size || !q.vma_name_addr)
		set_name(out, name);
	return 0;
}

/* ---- the text -------------------------------------------------------------------- */

static const char *read_number(const char *at, unsigned int base, uint64_t *out)
{
	uint64_t value = 0;

	for (;; at++) {
		unsigned int digit;

		if (*at >= '0' && *at <= '9')
			digit = (unsigned int)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			digit = (unsigned int)(*at - 'a') + 10;
		else
			break;
		if (digit >= base)
			break;
		value = value * base + digit;
	}
	*out = value;
	return at;
}

static const char *skip_word(const char *at)
{
	while (*at && *at != ' ')
		at++;
	while (*at == ' ')
		at++;
	return at;
}

/* "start-end rwxp offset major:minor inode    name" */
static bool parse_line(const char *at, struct as_mapping *out)
{
	*out = (struct as_mapping){0};
	at = read_number(at, 16, &out->start);
	if (*at++ != '-')
		return false;
	at = read_number(at, 16, &out->end);
	if (*at++ != ' ' || strnlen(at, 4) < 4)
		return false;
	out->read = at[0] == 'r';
	out->write = at[1] == 'w';
	out->shared = at[3] == 's';
	at = skip_word(skip_word(skip_word(at)));
	at = read_number(at, 10, &out->ino);
	while (*at == ' ')
		at++;
	set_name(out, strlen(at) < NAME_SIZE ? at : TOO_LONG);
	return true;
}

static long read_text_locked(struct maps *maps, size_t kept, uint64_t offset)
{
	size_t room = BUFFER_SIZE - 1 - kept;
	int fd = own_file_fd(&maps->file);
	long got = fd < 0 ? fd : sys_pread(fd, maps->buffer + kept, room, offset);

	/* The thread that opened it has gone, and main() too. */
	if (got != -ESRCH || offset)
		return got;
	fd = own_file_renew(&maps->file);
	return fd < 0 ? fd : sys_pread(fd, maps->buffer, room, 0);
}

/*
 * Each line is shown to @visit until it returns true: 0, else -ENOENT. The kernel hands out
 * whole lines only; lines that come twice because mappings change while we read do no harm.
 */
static int walk_text_locked(struct maps *maps,
			    bool (*visit)(void *arg, const struct as_mapping *mapping),
			    void *arg)
{
	struct as_mapping mapping;
	uint64_t offset = 0;
	size_t kept = 0;

	for (;;) {
		long got = read_text_locked(maps, kept, offset);
		char *line = maps->buffer, *newline;

		if (got <= 0)
			return got ? (int)got : -ENOENT;
		offset += (uint64_t)got;
		kept += (size_t)got;
		maps->buffer[kept] = 0;
		for (; (newline = strchr(line, '\n')); line = newline + 1) {
			*newline = 0;
			if (parse_line(line, &mapping) && visit(arg, &mapping))
				return 0;
		}
		kept -= (size_t)(line - maps->buffer);
		memmove(maps->buffer, line, kept);
		if (kept >= BUFFER_SIZE - 1)
			kept = KEPT; /* the rest of the name is left out */
	}
}

struct search {
	uint64_t addr;
	struct as_mapping *out;
};

static bool ends_above(void *arg, const struct as_mapping *mapping)
{
	const struct search *search = arg;

	if (mapping->end <= search->addr)
		return false;
	*search->out = *mapping;
	return true;
}

static int next_by_text_locked(struct maps *maps, uint64_t addr, struct as_mapping *out)
{
	struct search search = {.addr = addr, .out = out};

	return walk_text_locked(maps, ends_above, &search);
}

/* ---- without a list ------------------------------------------------------------------ */

static bool lacks_list(struct maps *maps)
{
	return maps->file.handle == OWN_NONE;
}

/* What the kernel says when it is asked to make the page usable, which changes no byte. */
static bool may(uint64_t page, int advice)
{
	uint64_t word, own = (uintptr_t)&word & ~((uint64_t)page_size() - 1);

	if (sys_madvise((void *)(uintptr_t)page, page_size(), advice) == 0)
		return true;
	/* Before 5.14 it is not known: whoever writes copies with a check of its own. */
	return sys_madvise((void *)(uintptr_t)own, page_size(), K_MADV_POPULATE_READ) &&
	       copy_in(NULL, &word, page, sizeof(word)) == 0;
}

/* Where /proc is not mounted: one page at a time, by trying. */
static int probe(uint64_t addr, struct as_mapping *out)
{
	uint64_t page = addr & ~((uint64_t)page_size() - 1);
	unsigned char there;

	if (sys_mincore(page, page_size(), &there) < 0)
		return -ENOENT;
	*out = (struct as_mapping){
		.start = page,
		.end = page + page_size(),
		.read = may(page, K_MADV_POPULATE_READ),
		.write = may(page, K_MADV_POPULATE_WRITE),
		.name = "(unknown: /proc is not mounted)",
	};
	return 0;
}

int maps_next(struct maps *maps, uint64_t addr, struct as_mapping *out)
{
	int err;

	if (lacks_list(maps))
		return probe(addr, out);
	if (maps->query)
		return query(maps, addr, K_PROCMAP_COVERING_OR_NEXT, out);
	as_lock(&maps->lock);
	err = next_by_text_locked(maps, addr, out);
	as_unlock(&maps->lock);
	return err;
}

/* The text is read once: a search for each would read it as often as there are mappings. */
void maps_each(struct maps *maps,
	       bool (*visit)(void *arg, const struct as_mapping *mapping), void *arg)
{
	struct as_mapping mapping;
	uint64_t at = 0;

	if (lacks_list(maps))
		return;
	if (!maps->query) {
		as_lock(&maps->lock);
		walk_text_locked(maps, visit, arg);
		as_unlock(&maps->lock);
		return;
	}
	while (maps_next(maps, at, &mapping) == 0 && !visit(arg, &mapping))
		at = mapping.end;
}

/*
 * The query takes no lock that a change of the mappings holds: in the middle of a mapping
 * that replaces another it may find neither. mincore(2) does wait for that lock.
 */
static bool really_a_hole(uint64_t addr)
{
	uint64_t page = page_size();
	unsigned char there;

	return sys_mincore(addr & ~(page - 1), page, &there) < 0;
}

int maps_find(struct maps *maps, uint64_t addr, struct as_mapping *out)
{
	int err;

	if (lacks_list(maps))
		return probe(addr, out);
	if (maps->query) {
		do {
			err = query(maps, addr, 0, out);
		} while (err == -ENOENT && !really_a_hole(addr));
		return err;
	}
	err = maps_next(maps, addr, out);
	if (!err && out->start > addr)
		err = -ENOENT;
	return err;
}

/*
 * Looked at twice, with a wait for the change between that may hide a mapping from the
 * query. What is mapped there later is new to whoever asked.
 */
uint64_t maps_hole_end(struct maps *maps, uint64_t addr)
{
	uint64_t end = UINT64_MAX;

	if (lacks_list(maps))
		return 0;
	for (int i = 0; i < 2; i++) {
		struct as_mapping mapping;
		int err = maps_next(maps, addr, &mapping);

		if (err && err != -ENOENT)
			return 0;
		if (!err && mapping.start < end)
			end = mapping.start;
		if (!maps->query || !really_a_hole(addr))
			break;
	}
	return end;
}

int maps_try_find(struct maps *maps, uint64_t addr, struct as_mapping *out)
{
	int err;

	if (maps->query)
		return maps_find(maps, addr, out);
	if (!as_lock_within(&maps->lock, 1))
		return -EAGAIN;
	err = next_by_text_locked(maps, addr, out);
	as_unlock(&maps->lock);
	return !err && out->start > addr ? -ENOENT : err;
}

/* ---- kinds ------------------------------------------------------------------------ */

static bool starts_with(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

bool mapping_special(const struct as_mapping *mapping)
{
	const char *name = mapping->name;
	struct stat stat;

	if (starts_with(name, "[v")) /* vvar, vvar_vclock, vdso, vsyscall */
		return !starts_with(name, "[vdso]");
	if (!starts_with(name, "/dev/") || starts_with(name, "/dev/zero") ||
	    starts_with(name, "/dev/dax"))
		return false;
	/* A device's own memory has no pages that could be looked at. */
	return sys_stat(name, &stat) == 0 && S_ISCHR(stat.st_mode);
}

/*
 * Anyone may call a file so. What cannot be made up is the size of its pages, which only
 * the text of /proc/self/maps does not tell (before 6.11).
 */
static bool anonymous_huge(const struct as_mapping *mapping)
{
	return strcmp(mapping->name, "/anon_hugepage (deleted)") == 0 &&
	       (!mapping->page || mapping->page > page_size());
}

const char *mapping_unpinnable(const struct as_mapping *mapping)
{
	const char *name = mapping->name;

	if (starts_with(name, "[v"))
		return "the kernel's own memory";
	if (mapping->shared)
		return "shared memory: others can take its pages away unseen";
	if (mapping->ino && !anonymous_huge(mapping))
		return "a file: others can take its pages away unseen";
	return NULL;
}

/* ---- open and close ------------------------------------------------------------------ */

int maps_init(struct maps *maps)
{
	struct as_mapping mapping;
	int err;

	*maps = (struct maps){.file = OWN_FILE_NONE, .lock = PTHREAD_MUTEX_INITIALIZER};
	err = own_file_open(&maps->file, "/proc/self/maps", "/proc/thread-self/maps",
			    O_RDONLY);
	if (err)
		return err;
	maps->query = query(maps, (uintptr_t)maps_init, 0, &mapping) == 0;
	maps->buffer = arena_reserve(BUFFER_SIZE, &err);
	if (maps->buffer)
		return 0;
	maps_fini(maps);
	return err;
}

void maps_fini(struct maps *maps)
{
	arena_free(maps->buffer, BUFFER_SIZE);
	maps->buffer = NULL;
	own_file_close(&maps->file);
}
