// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: what is a full use of the library, and when is the
 * outcome of a step wrong?
 *
 * A step that fails is no error: it is counted, said by hmm_error(), and the scenario
 * goes on with what is left. Wrong is: data that is neither what it should be nor refused;
 * a device that reaches memory it may not; something that cannot be closed.
 */
#include "scenario.h"
#include "../../kit/raw.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hmm/hmm.h>
#include <hmm/ref.h>
#include <hmm/uring.h>

#define PAGE  ((size_t)getpagesize())
#define LEN   (16 * PAGE)
#define TRIES 20

struct uring_device {
	struct io_uring ring;
	struct hmm_uring *u;
	bool have_ring;
};

static struct {
	struct hmm *hmm;
	struct hmm_ref *ref, *stage;
	struct uring_device uring;
	struct hmm_mirror *mirror; /* the reference device's */
	int failed, wrong;
	char *memory, *shared; /* under test */
	int fd;                /* of shared */
	char *buffer;          /* the device's side, LEN bytes of a memfd */
	int buffer_fd;
	bool watched; /* whether memory can be */
} s;

static void failed(const char *what, int err)
{
	s.failed++;
	if (getenv("INJECT_VERBOSE"))
		fprintf(stderr, "  %s: %s (%s)\n", what, strerror(-err), hmm_error());
}

static void wrong(const char *what, int err)
{
	s.wrong++;
	fprintf(stderr, "WRONG: %s: %s (%s)\n", what, err ? strerror(-err) : "wrong data",
		hmm_error());
}

/* A call that may fail; true when it did not. */
static bool ok(const char *what, int err)
{
	if (err < 0)
		failed(what, err);
	return err >= 0;
}

static bool feature_on(const char *name)
{
	struct hmm_feature features[40];
	int nr = hmm_features(features, 40, sizeof(*features));

	for (int i = 0; i < nr && i < 40; i++)
		if (!strcmp(features[i].name, name))
			return features[i].state == HMM_FEATURE_ON;
	return false;
}

void scenario_init(void)
{
	s.watched = feature_on("userfaultfd"); /* before anything fails */
	s.buffer_fd = memfd_create("buffer", MFD_CLOEXEC);
	if (s.buffer_fd < 0 || ftruncate(s.buffer_fd, LEN))
		abort();
	s.buffer = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, s.buffer_fd, 0);
	if (s.buffer == MAP_FAILED)
		abort();
}

/* ---- the two devices ------------------------------------------------------------- */

static int uring_move(bool write, void *at, size_t len)
{
	struct uring_device *d = &s.uring;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&d->ring);
	struct io_uring_cqe *cqe;
	int err, tries = 0;

	if (write)
		hmm_uring_prep_read(d->u, sqe, s.buffer_fd, at, (unsigned int)len, 0);
	else
		hmm_uring_prep_write(d->u, sqe, s.buffer_fd, at, (unsigned int)len, 0);
	do
		err = hmm_uring_submit(d->u);
	while (err < 0 && ++tries < TRIES);
	if (err < 0)
		wrong("submit fails again and again", err);
	do
		err = hmm_uring_wait_cqe(d->u, &cqe);
	while (err < 0 && ++tries < TRIES);
	if (err < 0) {
		wrong("wait_cqe fails again and again", err);
		return err;
	}
	err = cqe->res;
	hmm_uring_cqe_seen(d->u, cqe);
	return err < 0 ? err : (size_t)err == len ? 0 : -EFAULT;
}

enum device { REF, STAGE, URING, DEVICES };
static const char *const device_names[] = {"ref", "stage", "uring"};

static bool have(enum device d)
{
	return d == REF ? !!s.ref : d == STAGE ? !!s.stage : !!s.uring.u;
}

static int device_read(enum device d, void *at, size_t len)
{
	if (d == URING)
		return uring_move(false, at, len);
	return hmm_ref_read(d == REF ? s.ref : s.stage, at, s.buffer, len);
}

static int device_write(enum device d, void *at, size_t len)
{
	if (d == URING)
		return uring_move(true, at, len);
	return hmm_ref_write(d == REF ? s.ref : s.stage, at, s.buffer, len);
}

/* ---- looking --------------------------------------------------------------------- */

static unsigned char counter;

/* The CPU fills, every device reads: the same, or an error. */
static void look(const char *what, char *at)
{
	for (enum device d = 0; d < DEVICES; d++) {
		char step[80];
		int err;

		if (!have(d))
			continue;
		memset(at, ++counter, LEN);
		memset(s.buffer, 0, LEN);
		snprintf(step, sizeof(step), "%s: %s reads", what, device_names[d]);
		err = device_read(d, at, LEN);
		if (ok(step, err) && memcmp(s.buffer, at, LEN))
			wrong(step, 0);
		memset(s.buffer, ++counter, LEN);
		snprintf(step, sizeof(step), "%s: %s writes", what, device_names[d]);
		err = device_write(d, at, LEN);
		if (ok(step, err) && memcmp(s.buffer, at, LEN))
			wrong(step, 0);
	}
}

/* No device may do it: success is wrong. */
static void must_refuse(const char *what, char *at, bool write)
{
	for (enum device d = 0; d < DEVICES; d++) {
		int err;

		if (!have(d))
			continue;
		err = write ? device_write(d, at, PAGE) : device_read(d, at, PAGE);
		if (err == 0) {
			fprintf(stderr, "WRONG: %s: %s was not refused\n", what,
				device_names[d]);
			s.wrong++;
		}
	}
}

/* ---- the steps ------------------------------------------------------------------- */

static void open_ref(struct hmm_ref **ref, uint32_t modes)
{
	struct hmm_ref_attr attr = {.size = sizeof(attr), .modes = modes};
	struct hmm_mirror_attr mattr = {.size = sizeof(mattr), .granule = 2 * PAGE};
	struct hmm_mirror *mirror;

	if (!ok("hmm_ref_open", hmm_ref_open(s.hmm, &attr, ref))) {
		*ref = NULL;
		return;
	}
	if (ok("hmm_mirror_create",
	       hmm_mirror_create(hmm_ref_device(*ref), &mattr, &mirror)) &&
	    ref == &s.ref)
		s.mirror = mirror;
}

static void open_uring(void)
{
	const struct hmm_uring_attr all = {.size = sizeof(all), .flags = HMM_URING_PIN_ALL};
	struct hmm_mirror_attr mattr = {.size = sizeof(mattr), .max_translations = 6};
	struct hmm_mirror *mirror;

	if (io_uring_queue_init(8, &s.uring.ring, 0))
		abort(); /* the scenario's own, nothing is injected here */
	s.uring.have_ring = true;
	if (!ok("hmm_uring_open", hmm_uring_open(s.hmm, &s.uring.ring, &all, &s.uring.u)))
		s.uring.u = NULL;
	else
		ok("hmm_mirror_create",
		   hmm_mirror_create(hmm_uring_device(s.uring.u), &mattr, &mirror));
}

static bool get_memory(void)
{
	s.memory =
		mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s.fd = memfd_create("shared", MFD_CLOEXEC);
	if (s.memory == MAP_FAILED || s.fd < 0 || ftruncate(s.fd, LEN))
		return false;
	s.shared = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
	return s.shared != MAP_FAILED;
}

static void renew(bool raw, char *at, int flags, int fd)
{
	void *got;

	if (raw) {
		raw_call(SYS_munmap, at, LEN);
		got = (void *)raw_call(SYS_mmap, at, LEN, PROT_READ | PROT_WRITE,
				       flags | MAP_FIXED, fd, 0);
	} else {
		munmap(at, LEN);
		got = mmap(at, LEN, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	}
	if (got != at)
		abort();
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INTERPOSED false /* the sanitizer wraps the same calls */
#else
#define INTERPOSED true
#endif

/* An mprotect by raw system call is seen in perf's records only (a documented limit). */
static bool sees_mprotect(bool raw)
{
	return (INTERPOSED && !raw) || feature_on("perf-at-once");
}

static void change_all(bool raw)
{
	const char *how = raw ? "raw" : "libc";
	char what[64];

	snprintf(what, sizeof(what), "anonymous, after %s munmap", how);
	renew(raw, s.memory, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	look(what, s.memory);
	snprintf(what, sizeof(what), "memfd, after %s munmap", how);
	renew(raw, s.shared, MAP_SHARED, s.fd);
	look(what, s.shared);
	snprintf(what, sizeof(what), "after %s MADV_DONTNEED", how);
	if (raw)
		raw_call(SYS_madvise, s.memory, LEN, MADV_DONTNEED);
	else
		madvise(s.memory, LEN, MADV_DONTNEED);
	look(what, s.memory);
	snprintf(what, sizeof(what), "after %s mprotect", how);
	if (raw)
		raw_call(SYS_mprotect, s.memory, LEN, PROT_READ);
	else
		mprotect(s.memory, LEN, PROT_READ);
	if (sees_mprotect(raw))
		must_refuse(what, s.memory, true);
	if (raw)
		raw_call(SYS_mprotect, s.memory, LEN, PROT_READ | PROT_WRITE);
	else
		mprotect(s.memory, LEN, PROT_READ | PROT_WRITE);
	look("writable again", s.memory);
}

static void truncate_file(void)
{
	if (ftruncate(s.fd, 0))
		abort();
	must_refuse("a file cut short", s.shared, false);
	if (ftruncate(s.fd, LEN))
		abort();
	look("a file cut and grown", s.shared);
}

static void use_heap(void)
{
	/* of the scenario's own; its free is an interposed call */
	char *p = aligned_alloc(PAGE, LEN);

	if (!p)
		abort();
	look("heap", p);
	free(p);
	p = aligned_alloc(PAGE, LEN);
	if (!p)
		abort();
	look("heap again", p);
	free(p);
}

static void use_ranges(void)
{
	struct hmm_translation dma[16];
	uint64_t pfns[16] = {0};
	struct hmm_range range = {
		.size = sizeof(struct hmm_range),
		.mirror = s.mirror,
		.start = (uint64_t)(uintptr_t)s.memory,
		.end = (uint64_t)(uintptr_t)s.memory + LEN,
		.default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
		.pfns = pfns,
		.dma = dma,
		.dma_max = 16,
	};

	if (!s.mirror)
		return;
	if (!s.watched) { /* no range on memory that cannot be watched */
		if (!hmm_range_begin(&range))
			wrong("hmm_range_begin was not refused", 0);
		return;
	}
	for (int i = 0; i < 3; i++) {
		if (!ok("hmm_range_begin", hmm_range_begin(&range)))
			continue;
		if (!ok("hmm_range_fault", hmm_range_fault(&range)))
			continue;
		if (!(pfns[15] & HMM_PFN_VALID) || !(pfns[15] & HMM_PFN_WRITE))
			wrong("hmm_range_fault", 0);
		if (ok("hmm_range_snapshot", hmm_range_snapshot(&range)) &&
		    !(pfns[0] & HMM_PFN_VALID))
			wrong("hmm_range_snapshot", 0);
		if (ok("hmm_range_dma_map",
		       hmm_range_dma_map(&range, HMM_READ | HMM_WRITE)))
			ok("hmm_range_dma_unmap", hmm_range_dma_unmap(&range));
		ok("hmm_range_wait", hmm_range_wait(&range, 100));
	}
}

static void use_fork(void)
{
	struct hmm_stats stats;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		memset(s.memory, 0xee, LEN);
		_exit(hmm_stats_read(s.hmm, NULL, &stats, sizeof(stats)) == -ECHILD ? 0
										    : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		wrong("the child of a fork", -ECHILD);
	look("after fork", s.memory);
}

static void use_rest(void)
{
	struct hmm_feature features[40];
	struct hmm_stats stats;

	ok("hmm_features", hmm_features(features, 40, sizeof(*features)));
	ok("hmm_ref_features", hmm_ref_features(features, 40, sizeof(*features)));
	ok("hmm_uring_features", hmm_uring_features(features, 40, sizeof(*features)));
	ok("hmm_invalidate", hmm_invalidate(s.hmm, s.memory, LEN));
	ok("hmm_stats_read", hmm_stats_read(s.hmm, NULL, &stats, sizeof(stats)));
	ok("hmm_quiesce", hmm_quiesce(s.hmm, 5000));
}

/* One fault may make one close fail; the next has to succeed. */
static void close_all(void)
{
	int err = 0;

	for (int i = 0; s.uring.u && i < TRIES && (err = hmm_uring_close(s.uring.u)); i++)
		failed("hmm_uring_close", err);
	if (err)
		wrong("hmm_uring_close fails again and again", err);
	if (s.uring.have_ring)
		io_uring_queue_exit(&s.uring.ring);
	for (int i = 0; s.stage && i < TRIES && (err = hmm_ref_close(s.stage)); i++)
		failed("hmm_ref_close", err);
	if (err)
		wrong("hmm_ref_close fails again and again", err);
	for (int i = 0; s.ref && i < TRIES && (err = hmm_ref_close(s.ref)); i++)
		failed("hmm_ref_close", err);
	if (err)
		wrong("hmm_ref_close fails again and again", err);
	hmm_close(s.hmm);
	munmap(s.memory, LEN);
	munmap(s.shared, LEN);
	close(s.fd);
	s.hmm = NULL;
	s.ref = s.stage = NULL;
	s.mirror = NULL;
	memset(&s.uring, 0, sizeof(s.uring));
}

int scenario_run(void)
{
	struct hmm_attr attr = {.size = sizeof(attr), .wait_ms = 3000};

	s.failed = s.wrong = 0;
	if (!ok("hmm_open", hmm_open(&attr, &s.hmm)))
		return s.failed;
	if (!get_memory())
		abort();
	open_ref(&s.ref, 1u << HMM_MODE_DIRECT);
	open_ref(&s.stage, 1u << HMM_MODE_STAGE);
	open_uring();
	look("anonymous", s.memory);
	look("memfd", s.shared);
	change_all(false);
	change_all(true);
	truncate_file();
	use_heap();
	use_ranges();
	use_fork();
	use_rest();
	close_all();
	return s.wrong ? -1 : s.failed;
}
