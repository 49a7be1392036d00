/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What does the library take where memory is locked or scarce? It says so in kB: less than
 * 2 MiB resident in each situation, and everything works. Each in a child of its own.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "test_as.h"

#define SKIP    77
#define MOST_KB 2048
#define MIB     (1ul << 20)

static long status_kb(const char *name)
{
	char line[200];
	long kb = -1;
	FILE *file = fopen("/proc/self/status", "r");

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			kb = atol(line + strlen(name) + 1);
	fclose(file);
	return kb;
}

static int opens_small(void)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	long before = status_kb("VmRSS:"), after;
	struct hmm_translation t;
	struct plain plain;

	plain_open(&plain, 0);
	CHECK(!hmm_translate(plain.mirror, p, PAGE, HMM_READ | HMM_WRITE, &t));
	hmm_translation_put(&t);
	after = status_kb("VmRSS:");
	printf("%ld kB resident more, %ld kB of address space\n", after - before,
	       status_kb("VmSize:"));
	CHECK(SANITIZED || after - before < MOST_KB);
	plain_close(&plain);
	return 0;
}

static int locked(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE)) {
		perror("mlockall");
		return SKIP;
	}
	return opens_small();
}

/* What may be locked is less than what is reserved. */
static int locked_by_nobody(void)
{
	struct rlimit few = {8 * MIB, 8 * MIB};

	if (setrlimit(RLIMIT_MEMLOCK, &few) || setgid(65534) || setuid(65534)) {
		perror("to be nobody");
		return SKIP;
	}
	return locked();
}

static int limited(int resource)
{
	struct rlimit few = {100 * MIB, 100 * MIB};

	CHECK(setrlimit((__rlimit_resource_t)resource, &few) == 0);
	return opens_small();
}

static int limited_address_space(void)
{
	return limited(RLIMIT_AS);
}

static int limited_data(void)
{
	return limited(RLIMIT_DATA);
}

/* The refusal names the limit that is too low. */
static int too_low(void)
{
	struct hmm_attr attr = {.size = sizeof(attr), .max_translations = 8000000};
	struct rlimit few = {100 * MIB, 100 * MIB};
	struct hmm *hmm;

	CHECK(setrlimit(RLIMIT_DATA, &few) == 0);
	CHECK(hmm_open(&attr, &hmm) && strstr(hmm_error(), "RLIMIT_DATA"));
	return 0;
}

static const struct {
	const char *name;
	int (*run)(void);
	bool plain; /* not with a sanitizer, which has terabytes reserved */
} situations[] = {
	{"nothing is scarce", opens_small, false},
	{"mlockall", locked, true},
	{"mlockall by nobody, RLIMIT_MEMLOCK of 8 MiB", locked_by_nobody, true},
	{"RLIMIT_AS of 100 MiB", limited_address_space, true},
	{"RLIMIT_DATA of 100 MiB", limited_data, true},
	{"RLIMIT_DATA of 100 MiB, too many translations", too_low, true},
};

int main(void)
{
	bool skipped = false;

	for (size_t i = 0; i < sizeof(situations) / sizeof(situations[0]); i++) {
		int status;

		if (SANITIZED && situations[i].plain)
			continue;
		printf("%s: ", situations[i].name);
		status = run_in_child(situations[i].run);
		CHECK(status == 0 || status == SKIP);
		skipped |= status == SKIP;
	}
	printf("\n");
	if (skipped)
		printf("skipped: what the lines above name\n");
	return skipped ? SKIP : 0;
}
