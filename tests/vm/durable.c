// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Is what a device wrote through a mirror in the file: at once, after msync, and after the
 * file system was unmounted and mounted again?
 *
 *	durable write DIR	a device each makes a file and writes to parts of it
 *	durable verify DIR	the files are read and compared, and removed
 *
 * Both phases know what has to be there from a number for each file: nothing is handed from
 * one to the other but the files. MAP_SYNC is used where the file system has it.
 */
#include <hmm/check.h>
#include <hmm/hmm.h>
#include <hmm/ref.h>
#include <hmm/uring.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEN    ((size_t)4 << 20)
#define WRITES 200

static const struct hmm_check_device *const devices[] = {&hmm_ref_check, &hmm_uring_check};

/* One file: by which device, mapped how. */
struct job {
	const struct hmm_check_device *device;
	bool sync; /* MAP_SYNC */
	bool huge; /* blocks that may be mapped by huge pages; else it begins as a hole */
	uint32_t seed;
	char path[512];
};

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void fill(uint8_t *out, size_t len, uint32_t number)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(1 + (number * 31 + i * 7) % 255);
}

/* The @nth write: where, how much, what. */
static size_t nth_write(uint32_t *state, unsigned int nth, size_t *at, uint8_t *data)
{
	size_t len = 1 + next(state) % 20000;

	*at = next(state) % (LEN - len);
	fill(data, len, nth);
	return len;
}

static void expected(const struct job *job, uint8_t *out)
{
	uint8_t *data = malloc(20000);
	uint32_t state = job->seed;
	size_t at, len;

	memset(out, 0, LEN);
	for (unsigned int i = 0; data && i < WRITES; i++) {
		len = nth_write(&state, i, &at, data);
		memcpy(out + at, data, len);
	}
	free(data);
}

static int complain(const struct job *job, const char *what, int err)
{
	fprintf(stderr, "%s: %s: %s\n", job->path, what, err ? strerror(-err) : "differs");
	return 1;
}

static int compare(const struct job *job, int fd, const char *when)
{
	uint8_t *want = malloc(2 * LEN), *got = want + LEN;
	size_t done = 0, at = 0;
	ssize_t n = 1;

	if (!want)
		return complain(job, when, -ENOMEM);
	expected(job, want);
	for (; done < LEN && n > 0; done += (size_t)n)
		n = pread(fd, got + done, LEN - done, (off_t)done);
	if (n <= 0) {
		free(want);
		return complain(job, when, n ? -errno : -EIO);
	}
	while (at < LEN && want[at] == got[at])
		at++;
	if (at < LEN)
		fprintf(stderr, "%s: %s: byte %zu is %02x, the device wrote %02x\n",
			job->path, when, at, got[at], want[at]);
	free(want);
	return at < LEN;
}

/* ---- write ----------------------------------------------------------------------- */

static int device_writes(const struct job *job, void *context, uint8_t *memory)
{
	uint8_t *data = malloc(20000), *back = malloc(20000);
	uint32_t state = job->seed;
	size_t at, len;
	int err = data && back ? 0 : -ENOMEM;

	for (unsigned int i = 0; !err && i < WRITES; i++) {
		len = nth_write(&state, i, &at, data);
		err = job->device->write(context, memory + at, data, len);
		if (!err)
			err = job->device->read(context, memory + at, back, len);
		if (!err && memcmp(data, back, len))
			err = -EILSEQ;
	}
	free(data);
	free(back);
	return err;
}

static int by_device(const struct job *job, uint8_t *memory, unsigned int *mode)
{
	struct hmm_mirror *mirror = NULL;
	struct hmm_device *device = NULL;
	struct hmm_stats stats;
	struct hmm *hmm;
	void *context;
	int err = hmm_open(NULL, &hmm);

	if (err)
		return err;
	err = job->device->open(hmm, &device, &context);
	if (err) {
		hmm_close(hmm);
		return err;
	}
	err = hmm_mirror_create(device, NULL, &mirror);
	if (!err)
		err = device_writes(job, context, memory);
	if (err)
		fprintf(stderr, "%s: %s\n", job->path, hmm_error());
	*mode = 0;
	if (mirror && !hmm_stats_read(hmm, mirror, &stats, sizeof(stats)))
		for (unsigned int m = 0; m < HMM_MODES; m++)
			if (stats.by_mode[m] > stats.by_mode[*mode])
				*mode = m;
	hmm_mirror_destroy(mirror);
	job->device->close(context);
	hmm_close(hmm);
	return err;
}

static int make_file(const struct job *job)
{
	int fd = open(job->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0 &&
	    (ftruncate(fd, (off_t)LEN) || (job->huge && fallocate(fd, 0, 0, (off_t)LEN)))) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? -errno : fd;
}

static int write_job(const struct job *job)
{
	int flags = job->sync ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
	unsigned int mode;
	int fd = make_file(job), err;
	uint8_t *memory;

	if (fd < 0)
		return complain(job, "cannot be made", fd);
	memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (memory == MAP_FAILED && job->sync && errno == EOPNOTSUPP) {
		printf("%s: no MAP_SYNC here: not tried\n", job->path);
		unlink(job->path);
		close(fd);
		return 0;
	}
	if (memory == MAP_FAILED)
		return complain(job, "cannot be mapped", -errno);
	err = by_device(job, memory, &mode);
	if (err)
		return complain(job, "the device could not write", err);
	err = compare(job, fd, "before msync");
	if (!err && msync(memory, LEN, MS_SYNC))
		err = complain(job, "msync", -errno);
	if (!err)
		err = compare(job, fd, "after msync");
	munmap(memory, LEN);
	close(fd);
	if (!err)
		printf("%s: written, mode %s\n", job->path,
		       hmm_mode_name((enum hmm_mode)mode));
	return err;
}

/* ---- verify ---------------------------------------------------------------------- */

static int verify_job(const struct job *job)
{
	int fd = open(job->path, O_RDONLY | O_CLOEXEC), failed;

	if (fd < 0 && errno == ENOENT && job->sync)
		return 0; /* not tried */
	if (fd < 0)
		return complain(job, "is gone", -errno);
	failed = compare(job, fd, "after all");
	close(fd);
	if (!failed)
		printf("%s: %zu bytes are as the device wrote them\n", job->path, LEN);
	unlink(job->path);
	return failed;
}

int main(int argc, char **argv)
{
	bool write = argc == 3 && !strcmp(argv[1], "write");
	int failed = 0;

	if (argc != 3 || (!write && strcmp(argv[1], "verify"))) {
		fprintf(stderr, "usage: durable write DIR | durable verify DIR\n");
		return 2;
	}
	for (unsigned int i = 0; i < 8; i++) {
		struct job job = {.device = devices[i & 1],
				  .sync = i & 2,
				  .huge = i & 4,
				  .seed = 17 + i * 1001};

		snprintf(job.path, sizeof(job.path), "%s/hmm-durable.%s%s%s", argv[2],
			 job.device->name, job.sync ? ".sync" : "",
			 job.huge ? ".huge" : "");
		failed |= write ? write_job(&job) : verify_job(&job);
	}
	return failed;
}
