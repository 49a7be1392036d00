/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The question this file answers: what is done in the traced process, and what is right
 * afterwards?
 *
 * The device "pins": what it keeps of a page is the first word of it at that time. Pages
 * come into their place whole, by mremap, with a word of their own, and are not written to
 * there. So a translation that is valid has the word that the CPU reads, or it is stale.
 */
#include "step.h"
#include "../../kit/raw.h"

#include <errno.h>
#include <hmm/driver.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  ((size_t)getpagesize())
#define PIECE (256 * 1024)

static struct shared *shared;
static struct hmm *hmm;
static struct hmm_device *device;
static struct hmm_mirror *mirror, *first; /* the one that is stepped uses the first */
static char *place, *other; /* a page each, mirrored; their surroundings are nobody's */
static struct hmm_translation held;
static int held_error = -ENOENT;
static void *block;
static uint64_t words;

#define WRONG(...)                                                         \
	do {                                                               \
		snprintf(shared->said, sizeof(shared->said), __VA_ARGS__); \
		_exit(1);                                                  \
	} while (0)

/* ---- the device ---------------------------------------------------------------------- */

static int word_at(uint64_t addr, uint32_t *out)
{
	struct iovec to = {out, sizeof(*out)},
		     from = {(void *)(uintptr_t)addr, sizeof(*out)};

	return process_vm_readv(gettid(), &to, 1, &from, 1, 0) == sizeof(*out) ? 0
									       : -EFAULT;
}

static int dev_map(struct hmm_device *dev, struct hmm_mapping *mapping)
{
	mapping->addr = mapping->start;
	return word_at(mapping->start, &mapping->key);
}

static void dev_revoke(struct hmm_device *dev, struct hmm_mapping *mapping)
{
}

static void dev_release(struct hmm_device *dev, struct hmm_mapping *mapping)
{
}

static const struct hmm_driver_ops ops = {
	.size = sizeof(ops), .map = dev_map, .revoke = dev_revoke, .release = dev_release};
static const struct hmm_driver driver = {.size = sizeof(driver),
					 .abi = HMM_DRIVER_ABI,
					 .name = "step",
					 .license = "LGPL-2.1-or-later",
					 .ops = &ops,
					 .modes = {HMM_MODE_PIN, HMM_MODE_DIRECT},
					 .nr_modes = 2};

/* ---- changes --------------------------------------------------------------------------
 */

/* Of two, so that it never comes to lie in the place itself, which may be a hole. */
static char *new_page(void)
{
	char *room = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		WRONG("no memory");
	*(uint64_t *)(void *)(room + PAGE) = ++words;
	return room + PAGE;
}

static void replace(char *at, bool raw)
{
	char *page = new_page();
	void *ret;

	if (raw)
		ret = (void *)raw_call(SYS_mremap, page, PAGE, PAGE,
				       MREMAP_MAYMOVE | MREMAP_FIXED, at);
	else
		ret = mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	if (ret != at)
		WRONG("mremap over %p: %s", (void *)at, strerror(errno));
}

static char *make_place(void)
{
	char *room = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		WRONG("no memory");
	replace(room + PAGE, true);
	return room + PAGE;
}

static int translate(const char *at, struct hmm_translation *t)
{
	return hmm_translate(mirror, at, 8, HMM_READ, t);
}

static void translate_and_put(const char *at)
{
	struct hmm_translation t;

	if (!translate(at, &t))
		hmm_translation_put(&t);
}

/* ---- the operations -------------------------------------------------------------------
 */

const char *const operations[] = {"translate (hit)",  "translate (miss)", "put",
				  "put (revoked)",    "invalidate",       "quiesce",
				  "munmap",           "mmap over",        "mremap over",
				  "mprotect",         "madvise",          "free",
				  "translate (first)"};
#define FIRST 12 /* of its thread */
const unsigned int nr_operations = sizeof(operations) / sizeof(operations[0]);

static void prepare(unsigned int n)
{
	translate_and_put(place);
	translate_and_put(other);
	switch (n) {
	case 1:
		hmm_invalidate(hmm, place, PAGE);
		break;
	case 2:
	case 3:
		held_error = translate(place, &held);
		if (n == 3)
			hmm_invalidate(hmm, place, PAGE);
		break;
	case 5:
		hmm_invalidate(hmm, place, PAGE);
		break;
	case 8:
		block = new_page();
		break;
	case 11:
		block = malloc(PIECE);
		translate_and_put(block);
		break;
	}
}

static void operate(unsigned int n)
{
	switch (n) {
	case 0:
	case 1:
	case FIRST:
		held_error = hmm_translate(first, place, 8, HMM_READ, &held);
		break;
	case 2:
	case 3:
		if (!held_error)
			hmm_translation_put(&held);
		held_error = -ENOENT;
		break;
	case 4:
		hmm_invalidate(hmm, place, PAGE);
		break;
	case 5:
		hmm_quiesce(hmm, 1000);
		break;
	case 6:
		munmap(place, PAGE);
		break;
	case 7:
		mmap(place, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 8:
		mremap(block, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
		break;
	case 9:
		mprotect(place, PAGE, PROT_READ);
		break;
	case 10:
		madvise(place, PAGE, MADV_DONTNEED);
		break;
	case 11:
		free(block);
		break;
	}
}

static pid_t forked;
static volatile bool in_child;

static void look_in_child(void)
{
	struct hmm_translation t;

	alarm(10);
	_exit(hmm_translate(mirror, other, 8, HMM_READ, &t) == -ECHILD ? 0 : 3);
}

static void *stepped(void *unused)
{
	if (shared->operation != FIRST)
		translate_and_put(other);
	shared->stepped = gettid();
	while (!shared->go)
		sched_yield();
	if (shared->operation == 0)
		translate_and_put(place); /* what others did meanwhile is read */
	shared->phase = 1;
	operate(shared->operation);
	if (in_child)
		look_in_child();
	shared->phase = 2;
	return NULL;
}

/* ---- the events ------------------------------------------------------------------------
 */

static void fork_and_wait(void)
{
	int status = -1;
	pid_t child = fork();

	if (!child)
		_exit(0);
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		WRONG("a child of another thread: status %#x", status);
}

static void others(bool raw)
{
	replace(place, raw);
	translate_and_put(other);
	replace(other, raw);
	translate_and_put(other);
	fork_and_wait();
}

static void closes(void)
{
	int err = hmm_mirror_destroy(mirror);

	if (err && err != -EBUSY)
		WRONG("hmm_mirror_destroy: %s", hmm_error());
	if (!err)
		mirror = NULL;
}

/* The child goes back to what was interrupted, ends it, and looks at what it has. */
static void handler(int signal)
{
	int saved = errno;

	replace(place, false);
	forked = fork();
	in_child = !forked;
	errno = saved;
}

static void *helper(void *thread)
{
	while (!shared->happen)
		usleep(50);
	switch (shared->event) {
	case OTHERS:
	case OTHERS_RAW:
		others(shared->event == OTHERS_RAW);
		break;
	case CLOSES:
		closes();
		break;
	case CANCEL:
		pthread_cancel(*(pthread_t *)thread);
		break;
	default:
		break;
	}
	shared->happened = true;
	return NULL;
}

/* ---- afterwards
 * -------------------------------------------------------------------------- */

static void check_word(const char *what, const struct hmm_translation *t)
{
	uint32_t word;

	if (word_at((uintptr_t)place, &word) || word != t->key)
		WRONG("%s: stale: the device has page %u", what, t->key);
}

static void ends_well(void)
{
	struct hmm_translation t;

	if (shared->event == CLOSES) {
		if (!held_error && mirror)
			hmm_translation_put(&held);
		held_error = -ENOENT;
		if (hmm_mirror_destroy(mirror) || hmm_mirror_create(device, NULL, &mirror))
			WRONG("a new mirror: %s", hmm_error());
	}
	if (!held_error && hmm_translation_valid(&held))
		check_word("held", &held);
	if (!held_error && shared->event != CANCEL)
		hmm_translation_put(&held);
	replace(place, false);
	if (translate(place, &t))
		WRONG("translate afterwards: %s", hmm_error());
	check_word("afterwards", &t);
	hmm_translation_put(&t);
	replace(place, true);
	if (hmm_translation_valid(&t))
		WRONG("a translation outlives its memory");
	if (shared->event != CANCEL && hmm_device_unregister(device))
		WRONG("the end of the device: %s", hmm_error());
	if (shared->event != CANCEL)
		hmm_close(hmm);
}

static void set_up(void)
{
	struct hmm_attr attr = {.size = sizeof(attr),
				.flags = shared->perf ? 0 : HMM_NO_PERF,
				.max_translations = 1000,
				.wait_ms = shared->event == CLOSES ? 40 : 4000};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

	if (hmm_open(&attr, &hmm))
		_exit(77);
	if (hmm_device_register(hmm, &driver, NULL, &device) ||
	    hmm_mirror_create(device, NULL, &mirror))
		WRONG("set up: %s", hmm_error());
	sigaction(SIGUSR1, &action, NULL);
	place = make_place();
	other = make_place();
	first = mirror;
	prepare(shared->operation);
}

int scene(struct shared *with)
{
	pthread_t thread, help;
	int status;

	shared = with;
	set_up();
	pthread_create(&thread, NULL, stepped, NULL);
	pthread_create(&help, NULL, helper, &thread);
	pthread_join(thread, NULL);
	shared->happen = true;
	pthread_join(help, NULL);
	if (forked && (waitpid(forked, &status, 0) != forked || status))
		WRONG("the child of the handler: status %#x", status);
	ends_well();
	return 0;
}
