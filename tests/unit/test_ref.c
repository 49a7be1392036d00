// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The reference device, on real memory: do its programs do their work by the CPU's own
 * pointers, in both modes, and is it as strict as it says?
 */
#include <errno.h>
#include <hmm/ref.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: failed: %s (%s)\n", __FILE__, __LINE__, \
				#condition, hmm_error());                               \
			abort();                                                        \
		}                                                                       \
	} while (0)

#define DIRECT (1u << HMM_MODE_DIRECT)
#define STAGE  (1u << HMM_MODE_STAGE)
#define SIZE   (300u << 10) /* several accesses of 64 KiB */

static struct hmm *hmm;
static struct hmm_ref *ref;
static struct hmm_mirror *mirror;

static void up(struct hmm_ref_attr attr)
{
	attr.size = sizeof(attr);
	CHECK(!hmm_open(NULL, &hmm));
	CHECK(!hmm_ref_open(hmm, &attr, &ref));
	CHECK(!hmm_mirror_create(hmm_ref_device(ref), NULL, &mirror));
}

static void down(void)
{
	CHECK(!hmm_mirror_destroy(mirror));
	CHECK(!hmm_ref_close(ref));
	hmm_close(hmm);
}

static struct hmm_ref_stats stats(void)
{
	struct hmm_ref_stats s;

	hmm_ref_stats(ref, &s, sizeof(s));
	return s;
}

/*
 * Far below all that the kernel places by itself: what is unmapped there stays a hole, and
 * is not filled by the library, by libc or by a sanitizer.
 */
static char *map(size_t size, int prot)
{
	static uintptr_t place = 0x7e9000000000;
	char *p;

	place += 1u << 30;
	p = mmap((void *)place, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

struct node {
	char name[24];
	struct node *next;
	uint64_t value;
};

static struct node *make_list(unsigned int n, uint64_t *sum)
{
	struct node *head = NULL;

	for (*sum = 0; n; n--) {
		struct node *node = malloc(sizeof(*node));

		CHECK(node);
		node->next = head;
		node->value = n * 7919u;
		*sum += node->value;
		head = node;
	}
	return head;
}

static void walk(void)
{
	uint64_t sum, seen = 0, count = 0;
	struct node *head = make_list(500, &sum), *last = head;
	const size_t next = offsetof(struct node, next),
		     value = offsetof(struct node, value);

	CHECK(!hmm_ref_walk(ref, head, next, value, &count, &seen));
	CHECK(count == 500 && seen == sum);
	CHECK(!hmm_ref_walk(ref, NULL, next, value, &count, &seen) && !count && !seen);
	while (last->next)
		last = last->next;
	last->next = head->next;
	CHECK(hmm_ref_walk(ref, head, next, value, &count, &seen) == -ELOOP);
	last->next = (struct node *)16; /* nothing is there */
	CHECK(hmm_ref_walk(ref, head, next, value, &count, &seen) == -EFAULT);
	last->next = NULL;
	while (head) {
		last = head->next;
		free(head);
		head = last;
	}
}

static uint64_t fnv(const unsigned char *p, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325;

	while (len--)
		hash = (hash ^ *p++) * 0x100000001b3;
	return hash;
}

static void move_bytes(void)
{
	char *a = malloc(SIZE), *b = map(SIZE, PROT_READ | PROT_WRITE), out[100];
	uint64_t sum;

	CHECK(a);
	for (unsigned int i = 0; i < SIZE; i++)
		a[i] = (char)(i * 31 + i / 256);
	CHECK(!hmm_ref_copy(ref, b + 5, a + 3, SIZE - 9));
	CHECK(!memcmp(b + 5, a + 3, SIZE - 9) && !b[4] && !b[SIZE - 4]);
	CHECK(!hmm_ref_checksum(ref, a + 1, SIZE - 2, &sum));
	CHECK(sum == fnv((unsigned char *)a + 1, SIZE - 2));
	CHECK(!hmm_ref_fill(ref, b + 100, 0x5a, 70000));
	for (unsigned int i = 100; i < 70100; i++)
		CHECK(b[i] == 0x5a);
	CHECK(b[99] == a[97] && b[70100] == a[70098]);
	CHECK(!hmm_ref_read(ref, a + 4000, out, 100) && !memcmp(out, a + 4000, 100));
	CHECK(!hmm_ref_write(ref, a + 4050, "written", 7) &&
	      !memcmp(a + 4050, "written", 7));
	CHECK(!hmm_ref_copy(ref, b, a, 0) && !hmm_ref_fill(ref, b, 1, 0));
	munmap(b, SIZE);
	CHECK(hmm_ref_write(ref, b, "x", 1) == -EFAULT);
	free(a);
}

/* Read-only is read-only; what the CPU may do again, so may the device. */
static void obey(void)
{
	char *p = map(3 * (size_t)getpagesize(), PROT_READ | PROT_WRITE);
	size_t page = (size_t)getpagesize();
	char c = 7;

	p[0] = 1;
	CHECK(!hmm_ref_write(ref, p, &c, 1) && p[0] == 7);
	CHECK(!mprotect(p, page, PROT_READ));
	c = 8;
	CHECK(hmm_ref_write(ref, p, &c, 1) == -EACCES && p[0] == 7);
	CHECK(!hmm_ref_read(ref, p, &c, 1) && c == 7);
	CHECK(!mprotect(p, page, PROT_NONE));
	CHECK(hmm_ref_read(ref, p, &c, 1) == -EACCES);
	CHECK(!mprotect(p, page, PROT_READ | PROT_WRITE));
	CHECK(!hmm_ref_write(ref, p, "z", 1) && p[0] == 'z');
	munmap(p + page, page);
	CHECK(hmm_ref_fill(ref, p, 1, 3 * page) == -EFAULT);
	CHECK(p[2 * page] == 0); /* nothing beyond the hole */
	munmap(p, 3 * page);
}

static void programs(void)
{
	walk();
	move_bytes();
	obey();
}

static void direct(void)
{
	up((struct hmm_ref_attr){.modes = DIRECT});
	programs();
	CHECK(stats().accesses && stats().faults && stats().revokes);
	down();
}

static void staged(void)
{
	struct hmm_stats s;

	up((struct hmm_ref_attr){.modes = STAGE});
	programs();
	CHECK(!hmm_stats_read(hmm, mirror, &s, sizeof(s)) && s.by_mode[HMM_MODE_STAGE]);
	CHECK(!s.by_mode[HMM_MODE_DIRECT]);
	down();
}

/* ---- atomic addition ---------------------------------------------------------------- */

static uint32_t counter;

static void *add_on_the_cpu(void *arg)
{
	for (int i = 0; i < 20000; i++)
		__atomic_fetch_add(&counter, 3, __ATOMIC_RELAXED);
	return NULL;
}

static void *add_on_the_device(void *arg)
{
	for (int i = 0; i < 5000; i++)
		CHECK(!hmm_ref_add32(ref, &counter, i & 1 ? -100001 : 100003));
	return NULL;
}

static void atomics(void)
{
	static const int32_t values[] = {0,       1,    -1,        2047,      -2048,
					 2048,    4095, -4096,     123456789, -98765432,
					 1 << 30, -1,   INT32_MIN, INT32_MAX};
	pthread_t threads[3];
	char unaligned[8];
	uint32_t *p = (uint32_t *)map(1, PROT_READ), sum = 5;

	up((struct hmm_ref_attr){0});
	counter = 5;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		CHECK(!hmm_ref_add32(ref, &counter, values[i]));
		sum += (uint32_t)values[i];
		CHECK(counter == sum);
	}
	counter = 0;
	for (int i = 0; i < 3; i++)
		CHECK(!pthread_create(&threads[i], NULL,
				      i ? add_on_the_device : add_on_the_cpu, NULL));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CHECK(counter == 20000 * 3 + 2 * 2500 * 2);
	CHECK(hmm_ref_add32(ref, (uint32_t *)(void *)(((uintptr_t)unaligned | 3)), 1) ==
	      -EINVAL);
	CHECK(hmm_ref_add32(ref, p, 1) == -EACCES);
	munmap(p, 1);
	CHECK(hmm_ref_add32(ref, p, 1) == -EFAULT);
	down();
	up((struct hmm_ref_attr){.modes = STAGE});
	CHECK(hmm_ref_add32(ref, &counter, 1) == -EOPNOTSUPP);
	down();
}

/* ---- what it can be told ---------------------------------------------------------------
 */

/* Where changes of memory cannot be watched, each translation is for one access. */
static bool remembers(void)
{
	struct hmm_feature features[32];
	int nr = hmm_features(features, 32, sizeof(*features));

	for (int i = 0; i < nr && i < 32; i++)
		if (!strcmp(features[i].name, "userfaultfd"))
			return features[i].state == HMM_FEATURE_ON;
	return false;
}

static void few_entries(void)
{
	struct hmm_stats s;
	size_t page = (size_t)getpagesize();
	char *p = map(64 * page, PROT_READ | PROT_WRITE), c;

	up((struct hmm_ref_attr){.modes = DIRECT, .max_entries = 4});
	for (size_t i = 0; i < 64; i++) {
		c = (char)i;
		CHECK(!hmm_ref_write(ref, p + i * page, &c, 1));
		CHECK(stats().entries <= 4);
	}
	for (size_t i = 0; i < 64; i++)
		CHECK(!hmm_ref_read(ref, p + i * page, &c, 1) && c == (char)i);
	/* The library keeps to the number. What is not remembered need not be evicted. */
	CHECK(!remembers() ||
	      (!stats().map_fails && !hmm_stats_read(hmm, mirror, &s, sizeof(s)) &&
	       s.evicted >= 60));
	down();
	munmap(p, 64 * page);
}

static void told_to_fail(void)
{
	size_t page = (size_t)getpagesize();
	char *p = map(30 * page, PROT_READ | PROT_WRITE), c;
	int failed = 0;

	up((struct hmm_ref_attr){
		.modes = DIRECT,
		.fail_map_every = 3,
		.fail_map_error = -EIO,
	});
	for (size_t i = 0; i < 30; i++) {
		int err = hmm_ref_read(ref, p + i * page, &c, 1);

		CHECK(!err || (err == -EIO && strstr(hmm_error(), "fail_map_every")));
		failed += err != 0;
	}
	CHECK(failed == 10 && stats().map_fails == 10);
	down();
	up((struct hmm_ref_attr){.modes = DIRECT, .fail_map_every = 3}); /* -ENOSPC */
	for (size_t i = 0; i < 30; i++)
		CHECK(!hmm_ref_read(ref, p + i * page, &c, 1));
	down();
	munmap(p, 30 * page);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static char *slow_memory;
static _Atomic int slow_result = 1;

static void *read_slowly(void *arg)
{
	char c;

	slow_result = hmm_ref_read(ref, slow_memory, &c, 1);
	return NULL;
}

/* Did the unmapping wait? On a busy machine it may come before the access, or after it. */
static bool unmapped_while_it_reads(void)
{
	struct timespec a_moment = {.tv_nsec = 100000000};
	char *other = map(1, PROT_READ | PROT_WRITE), c;
	struct hmm_translation t;
	uint64_t began, waits;
	pthread_t thread;

	slow_memory = map(1, PROT_READ | PROT_WRITE);
	up((struct hmm_ref_attr){.modes = DIRECT, .delay_ns = 400000000});
	began = now_ms();
	CHECK(!hmm_ref_read(ref, slow_memory, &c, 1));
	CHECK(now_ms() - began >= 400);
	CHECK(!hmm_ref_read(ref, other, &c, 1));
	CHECK(!pthread_create(&thread, NULL, read_slowly, NULL));
	nanosleep(&a_moment, NULL);
	CHECK(!munmap(other, 1));
	/* Not by an access, which may begin before the event of the change was told, and is
	 * rightly waited for then. */
	CHECK(hmm_translate(mirror, other, 1, HMM_READ, &t) == -EFAULT);
	CHECK(stats().waits == 0); /* of others it waits for none */
	CHECK(hmm_ref_read(ref, other, &c, 1) == -EFAULT);
	CHECK(!munmap(slow_memory, 1));
	pthread_join(thread, NULL);
	CHECK(hmm_ref_read(ref, slow_memory, &c, 1) == -EFAULT); /* so the change is told */
	/* Interposed, the old memory was there to its end; by event it had gone. */
	CHECK(slow_result == 0 || slow_result == -EFAULT);
	waits = stats().waits;
	CHECK(!remembers() || (stats().revokes == 2 && waits <= 1));
	down();
	return waits;
}

/* A slow device: an unmapping waits for the access that has begun, and for no more. */
static void slow(void)
{
	int tries = 20;

	while (!unmapped_while_it_reads()) {
		if (!remembers())
			return; /* each access has its own, and nothing waits for it */
		CHECK(--tries);
	}
}

/* Two mappings of one page: one that goes leaves the other's permission, and no more. */
static void overlap(void)
{
	size_t page = (size_t)getpagesize();
	char *p = map(4 * page, PROT_READ | PROT_WRITE), c = 1;
	struct hmm_translation t;

	if (!remembers()) {
		fprintf(stderr, "no overlap: nothing is remembered here\n");
		return;
	}
	up((struct hmm_ref_attr){.modes = DIRECT});
	CHECK(!hmm_translate(mirror, p, page, HMM_READ, &t));
	CHECK(!hmm_translation_put(&t));
	CHECK(!hmm_translate(mirror, p, 4 * page, HMM_WRITE, &t));
	CHECK(!hmm_translation_put(&t));
	CHECK(stats().entries == 2 && stats().faults == 0);
	CHECK(!munmap(p + 3 * page,
		      page)); /* the larger one goes, at latest when asked for */
	CHECK(hmm_translate(mirror, p + 3 * page, 1, HMM_READ, &t) == -EFAULT);
	CHECK(stats().revokes == 1);
	CHECK(!hmm_ref_read(ref, p, &c, 1) && stats().faults == 0);
	CHECK(!hmm_ref_read(ref, p + page, &c, 1) && stats().faults == 1);
	munmap(p, 3 * page);
	CHECK(hmm_ref_read(ref, p, &c, 1) == -EFAULT);
	down();
}

static void attributes(void)
{
	struct hmm_ref_attr attr = {.size = sizeof(attr), .modes = 1u << HMM_MODE_PIN};
	struct hmm_feature feature;
	struct hmm_ref *none;
	char c;

	CHECK(!hmm_open(NULL, &hmm));
	CHECK(hmm_ref_open(hmm, &attr, &none) == -EINVAL && *hmm_error());
	attr = (struct hmm_ref_attr){.size = 1};
	CHECK(hmm_ref_open(hmm, &attr, &none) == -EINVAL);
	attr = (struct hmm_ref_attr){.size = sizeof(attr), .delay_ns = 2000000000};
	CHECK(hmm_ref_open(hmm, &attr, &none) == -EINVAL);
	CHECK(!hmm_ref_open(hmm, NULL, &none));
	CHECK(hmm_ref_read(none, &feature, &c, 1) == 0); /* it comes with a mirror */
	CHECK(!hmm_mirror_destroy(hmm_device_mirror(hmm_ref_device(none))));
	CHECK(hmm_ref_read(none, &feature, &c, 1) == -ENODEV);
	CHECK(!hmm_ref_close(none) && !hmm_ref_close(NULL));
	CHECK(hmm_ref_features(&feature, 1, sizeof(feature)) == 1 &&
	      feature.state == HMM_FEATURE_ON);
	CHECK(hmm_ref_features(NULL, 0, sizeof(struct hmm_feature)) == 1);
	hmm_close(hmm);
}

#define RUN(test) (fprintf(stderr, "%s\n", #test), test())

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (!file || fscanf(file, "%*s %ld", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * getpagesize() / 1024;
}

/* What the device keeps of a mapping does not grow with it. */
static void giant(void)
{
	size_t size = 1ul << 40;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct hmm_mirror_attr attr = {.size = sizeof(attr), .granule = size};
	char c = 0;
	long before;

	if (p == MAP_FAILED) {
		fprintf(stderr, "giant: no room for a TiB of addresses\n");
		return;
	}
	up((struct hmm_ref_attr){.modes = DIRECT});
	CHECK(!hmm_mirror_destroy(mirror));
	CHECK(!hmm_mirror_create(hmm_ref_device(ref), &attr, &mirror));
	p[size / 2] = 1;
	before = resident_kib();
	for (size_t part = 0; part < 3; part++) {
		CHECK(!hmm_ref_read(ref, p + size / 2, &c, 1));
		CHECK(c == 1);
		CHECK(!madvise(p + part * getpagesize(), getpagesize(), MADV_DONTNEED));
	}
	CHECK(resident_kib() - before < 4096);
	CHECK(!munmap(p, size));
	CHECK(hmm_ref_read(ref, p + size / 2, &c, 1) == -EFAULT);
	down();
}

int main(void)
{
	struct hmm *probe;

	if (hmm_open(NULL, &probe)) {
		fprintf(stderr, "skipped: %s\n", hmm_error());
		return 77;
	}
	hmm_close(probe);
	RUN(direct);
	RUN(staged);
	RUN(atomics);
	RUN(few_entries);
	RUN(told_to_fail);
	RUN(slow);
	RUN(overlap);
	RUN(giant);
	RUN(attributes);
	return 0;
}
