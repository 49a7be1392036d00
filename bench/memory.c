/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much memory does the library take: idle, and for each translation? */
#include <math.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define REGION (64ull << 10)
#define COUNT  100000u

struct found {
	double idle, each;
};

/* In a child, so that the other benchmarks' memory does not count. */
static void measure(struct found *found)
{
	uint64_t before = resident_bytes();
	struct null_device *null;
	struct hmm_translation t;
	struct hmm *hmm;
	size_t page = (size_t)getpagesize();
	char *base;

	check_hmm(hmm_open(NULL, &hmm), "hmm_open");
	found->idle = (double)(resident_bytes() - before);
	null = null_open(hmm, HMM_MODE_PIN);
	base = mmap(NULL, COUNT * REGION, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		die("cannot reserve address space");
	/* Pages of its own: not every kernel maps a zero page where a hole is read. */
	madvise(base, COUNT * REGION, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < COUNT; i++)
		base[i * REGION] = 1;
	before = resident_bytes();
	for (uint64_t i = 0; i < COUNT; i++) {
		check_hmm(hmm_translate(null_mirror(null), base + i * REGION, page,
					HMM_READ, &t),
			  "translate");
		hmm_translation_put(&t);
	}
	found->each = (double)(resident_bytes() - before) / COUNT;
	null_close(null);
	hmm_close(hmm);
}

static struct found measure_apart(void)
{
	struct found found = {NAN, NAN};
	int fds[2], status;

	if (pipe(fds))
		die("no pipe");
	pid_t pid = fork();

	if (pid < 0)
		die("cannot fork");
	if (!pid) {
		measure(&found);
		_exit(write(fds[1], &found, sizeof(found)) != sizeof(found));
	}
	close(fds[1]);
	if (read(fds[0], &found, sizeof(found)) != sizeof(found))
		die("the measuring child failed");
	close(fds[0]);
	waitpid(pid, &status, 0);
	return found;
}

static void add(struct bench *bench, const char *what, const char *unit, double value,
		double aim, const char *text)
{
	struct row *row = row_add(bench, "memory", unit, "%s", what);

	row->ours = row->aim_value = value;
	row->aim = aim;
	row->aim_text = text;
}

void bench_memory(struct bench *bench)
{
	struct samples idle = {0}, each = {0};

	for (unsigned int i = 0; i < bench->runs; i++) {
		struct found found = measure_apart();

		sample(&idle, found.idle / 1048576);
		sample(&each, found.each);
	}
	add(bench, "a translation (of 100,000)", "bytes", median(&each), 100,
	    "under 100 bytes");
	add(bench, "the idle library", "MiB", median(&idle), 2, "under 2 MiB");
}
