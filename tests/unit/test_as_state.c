/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is what is read of mappings and pages what is there?
 *
 * The two ways to look up a mapping must agree on every mapping of this process; a snapshot
 * must say of each kind of page what the kernel's own mirror would (without a driver to
 * ask, the table is written down here); faulting in and copying must fail as they should.
 */
#include "linux/address_space.h"
#include "util/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((unsigned long)getpagesize())
#define HUGE (2ul << 20)

#define CHECK(what)                                                                    \
	do {                                                                           \
		if (!(what)) {                                                         \
			fprintf(stderr, "%s:%d: %s: failed: %m\n", __FILE__, __LINE__, \
				#what);                                                \
			exit(1);                                                       \
		}                                                                      \
	} while (0)

static struct maps maps;
static struct pages pages;

/* ---- mappings ------------------------------------------------------------------------ */

static bool same(const struct as_mapping *a, const struct as_mapping *b)
{
	return a->start == b->start && a->end == b->end && a->ino == b->ino &&
	       a->read == b->read && a->write == b->write && a->shared == b->shared &&
	       !strcmp(a->name, b->name);
}

static void both_ways_agree(void)
{
	struct as_mapping by_query, by_text;
	struct maps text = maps;
	unsigned int nr = 0;

	if (!maps.query) {
		printf("no PROCMAP_QUERY: there is one way only\n");
		return;
	}
	text.query = false;
	for (uint64_t at = 0; maps_next(&maps, at, &by_query) == 0; at = by_query.end) {
		CHECK(maps_next(&text, at, &by_text) == 0);
		CHECK(same(&by_query, &by_text));
		CHECK(maps_find(&text, by_query.end - 1, &by_text) == 0);
		CHECK(same(&by_query, &by_text));
		nr++;
	}
	CHECK(nr > 10);
	printf("%u mappings\n", nr);
	CHECK(maps_find(&maps, 0, &by_query) == -ENOENT);
	CHECK(maps_find(&text, 0, &by_query) == -ENOENT);
}

/* More lines than fit into the buffer at once. */
static void many_mappings(void)
{
	char *p = mmap(NULL, 400 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	char *shared = mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED && shared != MAP_FAILED);
	for (int i = 0; i < 400; i += 2)
		CHECK(mprotect(p + i * PAGE, PAGE, PROT_NONE) == 0);
	both_ways_agree();
	munmap(shared, PAGE);
	munmap(p, 400 * PAGE);
}

static void kinds_of_mappings(void)
{
	int fd = memfd_create("kinds", 0);
	struct as_mapping m;
	char *p;

	CHECK(maps_find(&maps, (uintptr_t)&m, &m) == 0);
	CHECK(!strcmp(m.name, "[stack]") && !mapping_unpinnable(&m) &&
	      !mapping_special(&m));
	CHECK(ftruncate(fd, PAGE) == 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(maps_find(&maps, (uintptr_t)p, &m) == 0);
	CHECK(m.ino && !m.shared && mapping_unpinnable(&m) &&
	      !strncmp(m.name, "/memfd", 6));
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(maps_find(&maps, (uintptr_t)p, &m) == 0);
	CHECK(m.read && !m.write && m.shared && mapping_unpinnable(&m));
	CHECK(!mapping_special(&m));
	munmap(p, PAGE);
	close(fd);
}

/* A file whose path is longer than the kernel's query takes, or than the text's buffer. */
static void long_path(int depth)
{
	char name[201];
	int top = open(".", O_RDONLY | O_DIRECTORY), fd;
	struct as_mapping m;
	void *p;

	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	for (int i = 0; i < depth; i++)
		CHECK((mkdir(name, 0700) == 0 || errno == EEXIST) && chdir(name) == 0);
	fd = open("file", O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)PAGE) == 0);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK(maps_find(&maps, (uintptr_t)p, &m) == 0);
	CHECK(m.start == (uintptr_t)p && m.ino);
	both_ways_agree();
	munmap(p, PAGE);
	close(fd);
	unlink("file");
	for (int i = 0; i < depth; i++)
		CHECK(chdir("..") == 0 && rmdir(name) == 0);
	CHECK(fchdir(top) == 0);
	close(top);
}

/* ---- pages -----------------------------------------------------------------------------
 */

static void expect(const char *what, const void *p, uint64_t flags)
{
	uint64_t at = (uintptr_t)p & ~(PAGE - 1), pfn = 0, old = 0;
	struct pages entries = pages;

	CHECK(pages_scan(&pages, &maps, at, at + PAGE, &pfn) == 0);
	if (pfn != flags) {
		fprintf(stderr, "%s: %#llx, not %#llx\n", what, (unsigned long long)pfn,
			(unsigned long long)flags);
		exit(1);
	}
	/* Older kernels tell neither zero nor (transparent) huge pages. */
	entries.scan = false;
	CHECK(pages_scan(&entries, &maps, at, at + PAGE, &old) == 0);
	if (pages.scan && (old ^ flags) & ~(HMM_PFN_ZERO | HMM_PFN_PMD)) {
		fprintf(stderr, "%s, by entries alone: %#llx, not %#llx\n", what,
			(unsigned long long)old, (unsigned long long)flags);
		exit(1);
	}
}

static char *map(size_t len, int prot, int flags, int fd)
{
	char *p = mmap(NULL, len, prot, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static volatile char sink;

/* KiB of pages of this process's own, by the kernel's table of the mapping at @p. */
static unsigned long own_kib(const char *p)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long lo, hi, kib = 0;
	bool here = false;
	char line[512];

	CHECK(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			here = lo <= (uintptr_t)p && (uintptr_t)p < hi;
		else if (here && sscanf(line, "Anonymous: %lu", &kib) == 1)
			break;
	}
	fclose(smaps);
	return kib;
}

/* Some kernels use no zero page: reading a hole brings a page of the process's own. */
static uint64_t flags_of_a_hole_that_was_read(const char *p)
{
	unsigned long before = own_kib(p);

	sink = p[0];
	if (own_kib(p) > before)
		return HMM_PFN_VALID | HMM_PFN_WRITE;
	return HMM_PFN_VALID | (pages.scan ? HMM_PFN_ZERO : 0);
}

static void anonymous(void)
{
	char *p = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	int to_child[2];
	pid_t child;

	expect("a hole in the page table", p, 0);
	expect("read only so far", p, flags_of_a_hole_that_was_read(p));
	p[0] = 1;
	expect("written", p, HMM_PFN_VALID | HMM_PFN_WRITE);
	CHECK(pipe(to_child) == 0);
	child = fork();
	if (!child) {
		close(to_child[1]);
		_exit(read(to_child[0], to_child, 1) < 0);
	}
	expect("shared with a child", p, HMM_PFN_VALID);
	p[0] = 2;
	expect("written after fork", p, HMM_PFN_VALID | HMM_PFN_WRITE);
	close(to_child[1]);
	close(to_child[0]);
	waitpid(child, NULL, 0);
	CHECK(mprotect(p, PAGE, PROT_READ) == 0);
	expect("read-only mapping", p, HMM_PFN_VALID);
	CHECK(mprotect(p, PAGE, PROT_NONE) == 0);
	expect("no access", p, HMM_PFN_ERROR);
	CHECK(madvise(p + PAGE, PAGE, MADV_DONTNEED) == 0);
	expect("discarded", p + PAGE, 0);
	munmap(p, 4 * PAGE);
	expect("no mapping", p, HMM_PFN_ERROR);
}

static void files(void)
{
	char path[] = "/tmp/hmm-state-XXXXXX";
	uint64_t file = HMM_PFN_VALID | HMM_PFN_FILE;
	int fd = mkstemp(path);
	char *p;

	CHECK(fd >= 0 && unlink(path) == 0);
	CHECK(ftruncate(fd, PAGE) == 0 && pwrite(fd, "x", 1, 0) == 1);
	p = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	sink = p[0];
	expect("private file, read", p, file);
	p[0] = 1;
	expect("private file, written", p, HMM_PFN_VALID | HMM_PFN_WRITE);
	expect("beyond the end", p + PAGE, 0);
	munmap(p, 2 * PAGE);
	p = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	p[0] = 1;
	expect("shared file, written", p, file | HMM_PFN_WRITE);
	munmap(p, PAGE);
	p = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, -1);
	p[0] = 1;
	expect("shared memory, written", p, file | HMM_PFN_WRITE);
	munmap(p, PAGE);
	close(fd);
}

static void huge(void)
{
	char *p = map(2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	char *h = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	uint64_t pmd = pages.scan ? HMM_PFN_PMD : 0;

	if (madvise(h, HUGE, MADV_HUGEPAGE) || (h[0] = 1, 0) ||
	    madvise(h, HUGE, 25 /* MADV_COLLAPSE */)) {
		printf("no huge page is to be had\n");
		munmap(p, 2 * HUGE);
		return;
	}
	expect("huge page", h, HMM_PFN_VALID | HMM_PFN_WRITE | pmd);
	expect("inside of it", h + 5 * PAGE, HMM_PFN_VALID | HMM_PFN_WRITE | pmd);
	CHECK(mprotect(h, HUGE, PROT_READ) == 0);
	expect("read-only huge page", h + PAGE, HMM_PFN_VALID | pmd);
	CHECK(mprotect(h, HUGE, PROT_READ | PROT_WRITE) == 0);
	munmap(h + HUGE - PAGE, PAGE);
	expect("split", h, HMM_PFN_VALID | HMM_PFN_WRITE);
	munmap(p, 2 * HUGE);
}

static void kernel_memory(void)
{
	struct as_mapping m;

	for (uint64_t at = 0; maps_next(&maps, at, &m) == 0; at = m.end)
		if (!strcmp(m.name, "[vvar]"))
			expect("[vvar]", (void *)m.start, HMM_PFN_ERROR);
}

/* Holes, and more than one batch, in one range. */
static void mixed(void)
{
	uint64_t nr = 3000, start, *pfns = calloc(nr, sizeof(*pfns));
	char *p = map(nr * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);

	madvise(p, nr * PAGE, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < nr; i += 3)
		p[i * PAGE] = 1;
	munmap(p + 1000 * PAGE, 500 * PAGE);
	start = (uintptr_t)p;
	CHECK(pages_scan(&pages, &maps, start, start + nr * PAGE, pfns) == 0);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t want = i % 3 ? 0 : HMM_PFN_VALID | HMM_PFN_WRITE;

		if (i >= 1000 && i < 1500)
			want = HMM_PFN_ERROR;
		CHECK(pfns[i] == want);
	}
	munmap(p, nr * PAGE);
	free(pfns);
}

/* A private file is not taken for anonymous huge pages because of its name. */
static void names(void)
{
	struct as_mapping m = {.ino = 1, .page = PAGE, .name = "/anon_hugepage (deleted)"};

	CHECK(mapping_unpinnable(&m));
	m.page = 512 * PAGE;
	CHECK(!mapping_unpinnable(&m));
	strcpy(m.name, "/anon_hugepage (deleted)/file");
	CHECK(mapping_unpinnable(&m));
}

/* Absence proves something only where the mapping was watched all along. */
static void present(void)
{
	char *p = map(3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	uint64_t at = (uintptr_t)p;
	struct uffd uffd;
	const char *why;

	if (!pages.scan || uffd_open(&uffd, &why)) {
		printf("absence cannot be proved on this kernel\n");
		return;
	}
	if (!uffd.any) { /* a scan shows only what is watched by way of WP_ASYNC */
		printf("absence cannot be proved here: no WP_ASYNC\n");
		uffd_close(&uffd);
		return;
	}
	p[0] = 1;
	CHECK(pages_present(&pages, at) == -ENOENT);
	CHECK(uffd_register(&uffd, at, at + 2 * PAGE) == 0);
	CHECK(pages_present(&pages, at) == 1);
	CHECK(pages_present(&pages, at + PAGE) == 0);
	CHECK(pages_present(&pages, at + 2 * PAGE) == -ENOENT);
	uffd_close(&uffd);
	CHECK(pages_present(&pages, at) == -ENOENT);
	munmap(p, 3 * PAGE);
}

/* ---- faults and copies
 * --------------------------------------------------------------------- */

static void faults(void)
{
	int fd = memfd_create("faults", 0);
	char *p = map(4 * PAGE, PROT_READ, MAP_PRIVATE, -1);
	uint64_t start = (uintptr_t)p;

	CHECK(pages_populate(&maps, start, start + 4 * PAGE, false) == 0);
	CHECK(pages_populate(&maps, start, start + 4 * PAGE, true) == -EACCES);
	munmap(p + 2 * PAGE, PAGE);
	CHECK(pages_populate(&maps, start, start + 4 * PAGE, false) == -EFAULT);
	munmap(p, 4 * PAGE);
	CHECK(ftruncate(fd, PAGE) == 0);
	p = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	start = (uintptr_t)p;
	CHECK(pages_populate(&maps, start, start + PAGE, true) == 0);
	expect("populated", p, HMM_PFN_VALID | HMM_PFN_WRITE | HMM_PFN_FILE);
	CHECK(pages_populate(&maps, start, start + 2 * PAGE, false) == -EFAULT);
	munmap(p, 2 * PAGE);
	close(fd);
}

static void copies(void)
{
	char *p = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	char text[] = "some text", back[sizeof(text)];
	uint64_t at = (uintptr_t)p + PAGE - 3;

	CHECK(copy_out(NULL, at, text, sizeof(text)) == 0);
	CHECK(copy_in(NULL, back, at, sizeof(text)) == 0 && !strcmp(back, text));
	CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
	CHECK(copy_out(NULL, at, text, sizeof(text)) == -EFAULT);
	CHECK(copy_in(NULL, back, at, sizeof(text)) == 0);
	CHECK(mprotect(p + PAGE, PAGE, PROT_NONE) == 0);
	CHECK(copy_in(NULL, back, at, sizeof(text)) == -EFAULT);
	munmap(p, 2 * PAGE);
}

/* What this thread's protection keys forbid is a fault, no signal. */
static void keys(void)
{
	char *p = map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	char text[] = "some text", back[sizeof(text)];
	uint64_t at = (uintptr_t)p;
	int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);

	if (key < 0) {
		fprintf(stderr, "no protection keys here: %s\n", strerror(errno));
	} else {
		CHECK(pkey_mprotect(p, PAGE, PROT_READ | PROT_WRITE, key) == 0);
		CHECK(copy_out(NULL, at, text, sizeof(text)) == -EFAULT);
		CHECK(copy_in(NULL, back, at, sizeof(text)) == -EFAULT);
		CHECK(pkey_set(key, PKEY_DISABLE_WRITE) == 0);
		CHECK(copy_out(NULL, at, text, sizeof(text)) == -EFAULT);
		CHECK(copy_in(NULL, back, at, sizeof(text)) == 0 && !back[0]);
		CHECK(pkey_set(key, 0) == 0);
		CHECK(copy_out(NULL, at, text, sizeof(text)) == 0);
		CHECK(copy_in(NULL, back, at, sizeof(text)) == 0 && !strcmp(back, text));
		pkey_free(key);
	}
	munmap(p, PAGE);
}

int main(void)
{
	CHECK(maps_init(&maps) == 0 && pages_init(&pages) == 0);
	both_ways_agree();
	many_mappings();
	kinds_of_mappings();
	long_path(25);
	long_path(100);
	anonymous();
	files();
	huge();
	kernel_memory();
	mixed();
	present();
	names();
	faults();
	copies();
	keys();
	pages_fini(&pages);
	maps_fini(&maps);
	return 0;
}
