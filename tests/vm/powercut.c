// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Is what a mirrored device wrote to a file, and what was reported durable, still there
 * after the power was cut?
 *
 *	powercut write DIR RUN DEVICE FLUSH	until somebody cuts the power
 *	powercut check DIR RUN COUNT		the first COUNT records of that run
 *
 * A record's length and bytes follow from its run and number alone. They lie one behind
 * the other in a file that grows under them, mapped piece by piece. DEVICE is ref or uring.
 * FLUSH says how a record is made durable before it is reported: sync (MAP_SYNC, and the
 * CPU's cache lines flushed), msync, or none (not at all: it has to be found out).
 */
#include <fcntl.h>
#include <hmm/ref.h>
#include <hmm/uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#define CHUNK      (1ul << 20)
#define CHUNKS     256
#define RECORD_MAX 32768
#define LINE       64

static struct hmm *hmm;
static struct hmm_ref *ref;
static struct io_uring ring;
static struct hmm_uring *uring;
static int source_fd;
static uint8_t record[RECORD_MAX];

static void check(int err, const char *what)
{
	if (err >= 0)
		return;
	printf("broken %s: %s (%s)\n", what, strerror(-err), hmm_error());
	exit(1);
}

static void check_call(bool good, const char *what)
{
	if (good)
		return;
	printf("broken %s: %m\n", what);
	exit(1);
}

/* ---- records ------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014): any state will do, neighbours too. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static size_t make_record(unsigned long run, unsigned long number)
{
	uint64_t state = run * 1000003 + number;
	size_t len = 1 + next_random(&state) % RECORD_MAX;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t bytes = next_random(&state);

		memcpy(record + i, &bytes, len - i < 8 ? len - i : 8);
	}
	return len;
}

static int open_file(const char *dir, unsigned long run, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/run-%lu", dir, run);
	fd = open(path, flags | O_CLOEXEC, 0600);
	check_call(fd >= 0, path);
	return fd;
}

/* ---- the devices --------------------------------------------------------------------- */

static void open_device(const char *device)
{
	const struct hmm_uring_attr all = {.size = sizeof(all), .flags = HMM_URING_PIN_ALL};
	struct hmm_mirror *mirror;

	check(hmm_open(NULL, &hmm), "hmm_open");
	if (!strcmp(device, "ref")) {
		check(hmm_ref_open(hmm, NULL, &ref), "hmm_ref_open");
		check(hmm_mirror_create(hmm_ref_device(ref), NULL, &mirror), "mirror");
		return;
	}
	source_fd = memfd_create("records", MFD_CLOEXEC);
	check_call(source_fd >= 0, "memfd_create");
	check(io_uring_queue_init(8, &ring, 0), "io_uring");
	check(hmm_uring_open(hmm, &ring, &all, &uring), "hmm_uring_open");
	check(hmm_mirror_create(hmm_uring_device(uring), NULL, &mirror), "mirror");
}

static void uring_write(uint8_t *to, size_t len)
{
	size_t done = 0;

	check_call(pwrite(source_fd, record, len, 0) == (ssize_t)len, "the source");
	while (done < len) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
		struct io_uring_cqe *cqe;

		hmm_uring_prep_read(uring, sqe, source_fd, to + done, len - done, done);
		check(hmm_uring_submit(uring), "submit");
		check(hmm_uring_wait_cqe(uring, &cqe), "wait");
		check(cqe->res, "the device's read into the file");
		done += cqe->res;
		hmm_uring_cqe_seen(uring, cqe);
	}
}

static void device_write(uint8_t *to, size_t len)
{
	if (ref)
		check(hmm_ref_copy(ref, to, record, len), "the device's copy to the file");
	else
		uring_write(to, len);
}

/* ---- durable ------------------------------------------------------------------------- */

static void flush_lines(const uint8_t *from, size_t len)
{
#if defined(__x86_64__)
	uintptr_t end = (uintptr_t)from + len;

	for (uintptr_t line = (uintptr_t)from & -(uintptr_t)LINE; line < end; line += LINE)
		_mm_clflush((void *)line);
	_mm_sfence();
#else
	printf("broken no instruction is known here that flushes the cache\n");
	exit(1);
#endif
}

static void make_durable(const char *flush, uint8_t *from, size_t len)
{
	uintptr_t page = (uintptr_t)from & -(uintptr_t)sysconf(_SC_PAGESIZE);

	if (!strcmp(flush, "sync"))
		flush_lines(from, len);
	else if (!strcmp(flush, "msync"))
		check_call(!msync((void *)page, (uintptr_t)from + len - page, MS_SYNC),
			   "msync");
}

static void map_chunk(int fd, uint8_t *file, size_t chunk, const char *flush)
{
	int flags = strcmp(flush, "sync") ? MAP_SHARED : MAP_SHARED_VALIDATE | MAP_SYNC;

	check_call(!ftruncate(fd, (chunk + 1) * CHUNK), "growing the file");
	check_call(mmap(file + chunk * CHUNK, CHUNK, PROT_READ | PROT_WRITE,
			flags | MAP_FIXED, fd, chunk * CHUNK) != MAP_FAILED,
		   "mapping the file");
}

/* ---- the two commands ---------------------------------------------------------------- */

static _Noreturn void write_records(const char *dir, unsigned long run, const char *device,
				    const char *flush)
{
	int fd = open_file(dir, run, O_RDWR | O_CREAT | O_EXCL),
	    dir_fd = open(dir, O_RDONLY);
	uint8_t *file =
		mmap(NULL, CHUNK * CHUNKS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t chunks = 0, at = 0;

	check_call(dir_fd >= 0 && file != MAP_FAILED, "a file of its own");
	check_call(!fsync(fd) && !fsync(dir_fd), "fsync");
	open_device(device);
	printf("begin %lu\n", run);
	for (unsigned long number = 0;; number++) {
		size_t len = make_record(run, number);

		for (; chunks * CHUNK < at + len; chunks++) {
			if (chunks == CHUNKS) {
				printf("full %lu\n", run);
				for (;;)
					pause();
			}
			map_chunk(fd, file, chunks, flush);
		}
		device_write(file + at, len);
		make_durable(flush, file + at, len);
		printf("durable %lu %lu\n", run, number);
		at += len;
	}
}

static int lost(unsigned long run, unsigned long number, const char *why)
{
	printf("lost %lu %lu: %s\n", run, number, why);
	return 1;
}

static int check_records(const char *dir, unsigned long run, unsigned long count)
{
	static uint8_t found[RECORD_MAX];
	int fd = open_file(dir, run, O_RDONLY);
	uint64_t at = 0;

	for (unsigned long number = 0; number < count; number++) {
		size_t len = make_record(run, number);
		ssize_t got = pread(fd, found, len, at);

		if (got != (ssize_t)len)
			return lost(run, number, "the file ends before it");
		if (memcmp(found, record, len))
			return lost(run, number, "the file has other bytes");
		at += len;
	}
	printf("kept %lu %lu %llu\n", run, count, (unsigned long long)at);
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 6 && !strcmp(argv[1], "write"))
		write_records(argv[2], strtoul(argv[3], NULL, 10), argv[4], argv[5]);
	if (argc == 5 && !strcmp(argv[1], "check"))
		return check_records(argv[2], strtoul(argv[3], NULL, 10),
				     strtoul(argv[4], NULL, 10));
	fprintf(stderr, "usage: powercut write DIR RUN DEVICE FLUSH\n"
			"       powercut check DIR RUN COUNT\n");
	return 2;
}
