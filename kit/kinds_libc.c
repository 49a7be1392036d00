// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The kit: which memory does a program have without mapping it itself?
 *
 * The heap in its three forms, the stacks, the program's own data, and a library's. None
 * of it may be unmapped or moved by hand; what libc does with it is in changes_inner.c.
 */
#include "kinds.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGION  (KIT_PAGES * KIT_PAGE_MAX)
#define ALIGNED __attribute__((aligned(KIT_PAGE_MAX)))

#define HEAP_MAX (4 * REGION) /* larger blocks have a mapping of their own */

static uint8_t *page_up(void *p)
{
	return (uint8_t *)(((uintptr_t)p + KIT_PAGE - 1) & ~(KIT_PAGE - 1));
}

/* ---- the heap ------------------------------------------------------------------------ */

static int make_malloc(struct kit_region *r, size_t len)
{
	r->base = NULL;
	r->handle = malloc(len);
	r->handle_len = len;
	if (!r->handle)
		return kit_region_reason(r, -ENOMEM, "malloc of %zu bytes failed", len);
	r->addr = page_up(r->handle);
	return 0;
}

/* Is there nothing between the block and the heap's top? */
static bool at_top(void *p)
{
	uint8_t *next = malloc(HEAP_MAX - 56 * 1024);
	bool top = (uint8_t *)p + malloc_usable_size(p) + sizeof(size_t) == next;

	free(next);
	return top;
}

/*
 * A block at the heap's top: what is freed there is what libc may trim. Blocks that libc
 * takes from holes further down are put back.
 */
int make_heap(struct kit_region *r)
{
	size_t len = r->len + 2 * KIT_PAGE;
	void *lower[64];
	unsigned int nr = 0;
	int err;

	/* Below libc's threshold, so that it comes from the brk heap. */
	mallopt(M_MMAP_THRESHOLD, HEAP_MAX);
	mallopt(M_TRIM_THRESHOLD, 128 * 1024);
	err = make_malloc(r, len);
	while (!err && nr < 64 && !at_top(r->handle)) {
		lower[nr++] = r->handle;
		err = make_malloc(r, len);
	}
	while (nr)
		free(lower[--nr]);
	return err;
}

int make_large(struct kit_region *r)
{
	mallopt(M_MMAP_THRESHOLD, HEAP_MAX);
	return make_malloc(r, 4 * HEAP_MAX);
}

void unmake_heap(struct kit_region *r)
{
	mprotect(r->addr, r->len, PROT_READ | PROT_WRITE);
	free(r->handle);
}

int make_brk(struct kit_region *r)
{
	uint8_t *now = sbrk(0);

	r->base = NULL;
	r->addr = page_up(now);
	r->handle = now;
	if (sbrk((r->addr - now) + (intptr_t)r->len) == (void *)-1)
		return kit_region_reason(r, -errno, "sbrk: %s", strerror(errno));
	return 0;
}

void unmake_brk(struct kit_region *r)
{
	/* libc's own heap may have grown behind the region: then it stays. */
	if ((uint8_t *)sbrk(0) == r->addr + r->len)
		brk(r->handle);
	else
		mprotect(r->addr, r->len, PROT_READ | PROT_WRITE);
}

/* ---- stacks and data ---------------------------------------------------------------- */

uint8_t *kit_main_stack;

int make_stack(struct kit_region *r)
{
	r->base = NULL;
	r->addr = kit_main_stack;
	return r->addr ? 0 : kit_region_reason(r, -EINVAL, "not on the main thread");
}

static const uint8_t some_rodata[REGION] ALIGNED = {1, 2, 3, 5, 7, 11, 13, 17, 19, 23};
static uint8_t some_data[REGION] ALIGNED = {23, 19, 17, 13, 11, 7, 5, 3, 2, 1};
static uint8_t some_bss[REGION] ALIGNED;

int make_rodata(struct kit_region *r)
{
	r->addr = (uint8_t *)(uintptr_t)some_rodata;
	memcpy(r->shadow, r->addr, r->len);
	memcpy(r->base, r->addr, r->len);
	return 0;
}

int make_data(struct kit_region *r)
{
	static const uint8_t first[] = {23, 19, 17, 13, 11, 7, 5, 3, 2, 1};

	r->addr = some_data;
	memset(r->base, 0, r->len);
	memcpy(r->base, first, sizeof(first));
	return 0;
}

int make_bss(struct kit_region *r)
{
	r->base = NULL;
	r->addr = some_bss;
	return 0;
}

void unmake_kept(struct kit_region *r)
{
	bool writes = r->kind->traits & T_WRITE;

	mprotect(r->addr, r->len, writes ? PROT_READ | PROT_WRITE : PROT_READ);
}

/* ---- threads ----------------------------------------------------------------------------
 */

struct parked {
	pthread_t thread;
	sem_t here, go;
	uint8_t *addr;
};

static void *park(void *arg)
{
	struct parked *parked = arg;
	uint8_t buffer[REGION + KIT_PAGE_MAX];

	__asm__ volatile("" : : "r"(buffer) : "memory");
	parked->addr = page_up(buffer);
	sem_post(&parked->here);
	while (sem_wait(&parked->go))
		continue;
	return NULL;
}

static int make_thread(struct kit_region *r, size_t stack)
{
	struct parked *parked = calloc(1, sizeof(*parked));
	pthread_attr_t attr;
	int err;

	r->base = NULL;
	if (!parked)
		return kit_region_reason(r, -ENOMEM, "no memory");
	sem_init(&parked->here, 0, 0);
	sem_init(&parked->go, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack);
	err = pthread_create(&parked->thread, &attr, park, parked);
	pthread_attr_destroy(&attr);
	if (err) {
		free(parked);
		return kit_region_reason(r, -err, "no thread: %s", strerror(err));
	}
	while (sem_wait(&parked->here))
		continue;
	r->addr = parked->addr;
	r->handle = parked;
	r->handle_len = stack;
	return 0;
}

int make_thread_big(struct kit_region *r)
{
	/* More than libc keeps in its cache of stacks (40 MiB), so it is unmapped; and no
	 * multiple of a huge page, which the kernel would align. */
	return make_thread(r, ((size_t)64 << 20) + REGION);
}

int make_thread_small(struct kit_region *r)
{
	return make_thread(r, 8 * (size_t)REGION);
}

void thread_stack_end(struct kit_region *r)
{
	struct parked *parked = r->handle;

	if (!parked)
		return;
	sem_post(&parked->go);
	pthread_join(parked->thread, NULL);
	free(parked);
	r->handle = NULL;
}

void unmake_thread(struct kit_region *r)
{
	if (!r->handle)
		return;
	mprotect(r->addr, r->len, PROT_READ | PROT_WRITE);
	thread_stack_end(r);
}

/* ---- a library
 * ----------------------------------------------------------------------------- */

/*
 * The smallest library that dlopen takes: one page of tables, and REGION bytes of data.
 * Written here, for a library of the system's has no pages of data to speak of.
 */
struct tiny_library {
	Elf64_Ehdr header;
	Elf64_Phdr load, dynamic, stack;
	Elf64_Dyn dyn[6];
	Elf64_Sym symbol;
	char strings[8];
	uint8_t rest[KIT_PAGE_MAX];
};

static void fill_tables(struct tiny_library *lib)
{
	size_t all = KIT_PAGE + KIT_PAGES * KIT_PAGE;

	memcpy(lib->header.e_ident, ELFMAG, SELFMAG);
	lib->header.e_ident[EI_CLASS] = ELFCLASS64;
	lib->header.e_ident[EI_DATA] = ELFDATA2LSB;
	lib->header.e_ident[EI_VERSION] = EV_CURRENT;
	lib->header.e_type = ET_DYN;
	lib->header.e_machine = EM_X86_64;
	lib->header.e_version = EV_CURRENT;
	lib->header.e_phoff = offsetof(struct tiny_library, load);
	lib->header.e_ehsize = sizeof(Elf64_Ehdr);
	lib->header.e_phentsize = sizeof(Elf64_Phdr);
	lib->header.e_phnum = 3;
	lib->load = (Elf64_Phdr){.p_type = PT_LOAD,
				 .p_flags = PF_R | PF_W,
				 .p_filesz = all,
				 .p_memsz = all,
				 .p_align = KIT_PAGE};
	lib->dynamic = (Elf64_Phdr){.p_type = PT_DYNAMIC,
				    .p_flags = PF_R | PF_W,
				    .p_offset = offsetof(struct tiny_library, dyn),
				    .p_vaddr = offsetof(struct tiny_library, dyn),
				    .p_filesz = sizeof(lib->dyn),
				    .p_memsz = sizeof(lib->dyn),
				    .p_align = 8};
	lib->stack = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
	lib->dyn[0] = (Elf64_Dyn){DT_STRTAB, {offsetof(struct tiny_library, strings)}};
	lib->dyn[1] = (Elf64_Dyn){DT_SYMTAB, {offsetof(struct tiny_library, symbol)}};
	lib->dyn[2] = (Elf64_Dyn){DT_STRSZ, {sizeof(lib->strings)}};
	lib->dyn[3] = (Elf64_Dyn){DT_SYMENT, {sizeof(Elf64_Sym)}};
	lib->dyn[4] = (Elf64_Dyn){DT_NULL, {0}};
}

static int write_library(const uint8_t *data)
{
	struct tiny_library *lib = calloc(1, sizeof(*lib));
	int fd = memfd_create("hmm-check-library", MFD_CLOEXEC);
	bool done = false;

	if (lib && fd >= 0) {
		fill_tables(lib);
		done = write(fd, lib, KIT_PAGE) == (ssize_t)KIT_PAGE &&
		       write(fd, data, KIT_PAGES * KIT_PAGE) ==
			       (ssize_t)(KIT_PAGES * KIT_PAGE);
	}
	free(lib);
	if (done || fd < 0)
		return fd;
	close(fd);
	return -1;
}

int make_library(struct kit_region *r)
{
	struct link_map *map;
	char path[64];
	int fd;

	kit_stamp_fill(r->base, 0, r->len, kit_stamp_next());
	fd = write_library(r->base);
	if (fd < 0)
		return kit_region_reason(r, -EIO, "no file for a library");
	/* A name of its own: libc gives two threads the same library for the same one. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/fd/%d", (int)gettid(), fd);
	r->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	close(fd);
	if (!r->handle)
		return kit_region_reason(r, -ENOEXEC, "%s", dlerror());
	map = r->handle;
	r->addr = (uint8_t *)map->l_addr + KIT_PAGE;
	return 0;
}

void unmake_library(struct kit_region *r)
{
	if (!r->handle)
		return;
	mprotect(r->addr, r->len, PROT_READ | PROT_WRITE);
	dlclose(r->handle);
}
