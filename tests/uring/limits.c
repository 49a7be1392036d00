// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The question this file answers: does it go on working when the limits are reached? (Y8)
 *
 * As user nobody with 8 MiB of RLIMIT_MEMLOCK over 32 MiB of buffers, and with 4 slots
 * over 64 buffers.
 */
#include "uring_test.h"

#include <limits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PIECE (64 * 1024ul)

/* Reads into each piece of the memory, again and again; every byte is compared. */
static void use_all(struct rig *rig, char *p, unsigned int pieces, int rounds, long max_kb)
{
	for (int round = 0; round < rounds; round++)
		for (unsigned int i = 0; i < pieces; i++) {
			uint64_t offset = (i * 13 + round) % 512 * PAGE;
			int ret = read_to(rig, p + i * PIECE, PIECE, offset);

			EXPECT(ret == (int)PIECE, "piece %u: %d", i, ret);
			EXPECT(!wrong_bytes(p + i * PIECE, PIECE, offset), "piece %u", i);
			if (i % 64 == 0)
				EXPECT(pinned_kb() <= max_kb, "%ld KiB", pinned_kb());
		}
}

/* By the driver's own account; some kernels unpin a second later. */
static bool unpins_late(void)
{
	struct hmm_feature features[16];
	int nr = hmm_uring_features(features, 16, sizeof(*features));

	for (int i = 0; i < nr && i < 16; i++)
		if (!strcmp(features[i].name, "uring unpin"))
			return features[i].state != HMM_FEATURE_ON;
	return false;
}

static void report(struct rig *rig, const char *what)
{
	struct hmm_uring_stats stats = stats_of(rig);
	struct hmm_stats mirror;

	MUST(hmm_stats_read(rig->hmm, rig->mirror, &mirror, sizeof(mirror)));
	printf("%s: %llu fixed, %llu plain, %llu evicted, %ld KiB pinned\n", what,
	       (unsigned long long)stats.fixed, (unsigned long long)stats.plain,
	       (unsigned long long)mirror.evicted, pinned_kb());
	EXPECT(mirror.evicted > 0, "nothing was evicted");
	EXPECT(stats.fixed > 0, "nothing was fixed");
	/* Each would cost more than the fixed buffers save. */
	EXPECT(mirror.evicted < (stats.fixed + stats.plain) / 16, "it thrashes");
}

static int as_nobody(void)
{
	struct rlimit limit = {8 << 20, 8 << 20};
	struct rig rig;
	char *p;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgid(65534) || setuid(65534))
		skip("cannot become user nobody");
	prctl(PR_SET_DUMPABLE, 1); /* else /proc/self stays root's */
	rig_open(&rig, 8, 0, NULL, PIECE);
	p = map_at(NULL, 512 * PIECE);
	use_all(&rig, p, 512, 4, 8192); /* the kernel's own limit */
	report(&rig, "nobody, 8 MiB RLIMIT_MEMLOCK, 32 MiB of buffers");
	munmap(p, 512 * PIECE);
	rig_close(&rig);
	EXPECT(nothing_pinned(), "%ld KiB are pinned after close", pinned_kb());
	return test_end();
}

static void few_slots(void)
{
	struct hmm_uring_attr attr = {
		.size = sizeof(attr), .flags = HMM_URING_PIN_ALL, .slots = 4};
	struct rig rig;
	char *p;

	rig_open(&rig, 8, 0, &attr, PIECE);
	p = map_at(NULL, 64 * PIECE);
	use_all(&rig, p, 64, 10, unpins_late() ? LONG_MAX : 256);
	report(&rig, "4 slots, 64 buffers");
	EXPECT(stats_of(&rig).slots <= 4, "slots");
	munmap(p, 64 * PIECE);
	rig_close(&rig);
}

/* A limit of the library's, where the kernel lets go late: nothing is pinned at all. */
static void max_pinned(void)
{
	struct hmm_mirror_attr attr = {
		.size = sizeof(attr), .granule = PIECE, .max_pinned = 4 * PIECE};
	struct hmm_uring_stats stats;
	struct rig rig;
	char *p;

	rig_open(&rig, 8, 0, NULL, PIECE);
	MUST(!hmm_mirror_destroy(rig.mirror));
	MUST(!hmm_mirror_create(hmm_uring_device(rig.u), &attr, &rig.mirror));
	p = map_at(NULL, 64 * PIECE);
	use_all(&rig, p, 64, 10, 256);
	stats = stats_of(&rig);
	EXPECT(unpins_late() ? !stats.fixed && stats.plain == 640 : stats.fixed > 0,
	       "%llu fixed, %llu plain", (unsigned long long)stats.fixed,
	       (unsigned long long)stats.plain);
	munmap(p, 64 * PIECE);
	rig_close(&rig);
}

/* A granule of 2 GiB: never more than 1 GiB in one buffer. */
static void large(void)
{
	size_t len = 3ul << 30;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct rig rig;

	rig_open(&rig, 8, 0, NULL, 2ul << 30);
	EXPECT(read_to(&rig, p + len / 2, PIECE, 0) == (int)PIECE, "read");
	EXPECT(wrong_bytes(p + len / 2, PIECE, 0) == 0, "data");
	EXPECT(stats_of(&rig).fixed == 1, "fixed");
	EXPECT(pinned_kb() <= 1 << 20, "%ld KiB", pinned_kb());
	rig_close(&rig);
	munmap(p, len);
}

int main(void)
{
	int status = -1;
	pid_t pid;

	need_fixed_buffers();
	fflush(stdout);
	pid = fork();
	if (!pid)
		exit(as_nobody());
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		printf("skipped: user nobody\n");
	else
		EXPECT(status == 0, "as user nobody: status %d", status);
	few_slots();
	max_pinned();
	large();
	return test_end();
}
