/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that was not linked with libhmm: does it work when loaded late, and when
 * preloaded?
 *
 * Loaded late, the program's munmap is libc's: events alone carry the changes, and
 * hmm_features() says so. Preloaded, the library's functions win.
 *
 * usage: test LIBHMM late|preload
 */
#include <dlfcn.h>
#include <sys/mman.h>

#include "test_as.h"

#define LEN (64 * PAGE)

static void *library;

static void *find(const char *name)
{
	void *symbol = dlsym(library, name);

	if (!symbol) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	return symbol;
}

#define CALL(name) ((__typeof__(&name))find(#name))
#define MUST(what)                                                         \
	do {                                                               \
		if (!(what)) {                                             \
			fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
			exit(1);                                           \
		}                                                          \
	} while (0)

static enum hmm_feature_state interposition(void)
{
	struct hmm_feature features[32];
	int nr = CALL(hmm_features)(features, 32, sizeof(*features));

	for (int i = 0; i < nr; i++) {
		if (strcmp(features[i].name, "interposition"))
			continue;
		printf("interposition: %d %s; %s\n", features[i].state, features[i].reason,
		       features[i].remedy);
		MUST(features[i].state == HMM_FEATURE_ON || features[i].reason[0]);
		return features[i].state;
	}
	exit(1);
}

/* Where no change is noticed nobody has to be told of one. */
static void skip_unwatched(void)
{
	struct hmm_feature features[32];
	int nr = CALL(hmm_features)(features, 32, sizeof(*features));

	for (int i = 0; i < nr && i < 32; i++) {
		if (strcmp(features[i].name, "userfaultfd") ||
		    features[i].state == HMM_FEATURE_ON)
			continue;
		printf("skip: userfaultfd is not on: %s\n", features[i].reason);
		exit(77);
	}
}

static void use(struct hmm_mirror *mirror)
{
	char *p =
		mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *block = SANITIZED ? p : malloc(LEN * 16);
	struct hmm_translation t;

	MUST(p != MAP_FAILED && block);
	memset(p, 1, LEN);
	memset(block, 1, LEN);
	MUST(CALL(hmm_translate)(mirror, p, PAGE, HMM_READ, &t) == 0);
	munmap(p, LEN);
	MUST(!CALL(hmm_translation_valid)(&t));
	CALL(hmm_translation_put)(&t);
	if (SANITIZED)
		return;
	MUST(CALL(hmm_translate)(mirror, block, PAGE, HMM_READ, &t) == 0);
	free(block);
	MUST(!CALL(hmm_translation_valid)(&t));
	CALL(hmm_translation_put)(&t);
}

int main(int argc, char **argv)
{
	struct hmm_mirror_attr attr = {.size = sizeof(attr)};
	struct hmm_device *device;
	struct hmm_mirror *mirror;
	struct hmm_stats stats;
	struct hmm *hmm;
	bool late = argc > 2 && !strcmp(argv[2], "late");

	MUST(argc > 2);
	library = late ? dlopen(argv[1], RTLD_NOW) : RTLD_DEFAULT;
	if (late && !library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	MUST(CALL(hmm_open)(NULL, &hmm) == 0);
	skip_unwatched();
	MUST(interposition() == (late ? HMM_FEATURE_OFF : HMM_FEATURE_ON));
	MUST(CALL(hmm_device_register)(hmm, &plain_driver, NULL, &device) == 0);
	MUST(CALL(hmm_mirror_create)(device, &attr, &mirror) == 0);
	use(mirror);
	MUST(CALL(hmm_stats_read)(hmm, NULL, &stats, sizeof(stats)) == 0);
	printf("%llu events, %llu interposed\n", (unsigned long long)stats.events,
	       (unsigned long long)stats.interposed);
	MUST(late ? stats.events >= (SANITIZED ? 1 : 2) && !stats.interposed
		  : stats.interposed >= 2);
	MUST(CALL(hmm_mirror_destroy)(mirror) == 0);
	MUST(CALL(hmm_device_unregister)(device) == 0);
	CALL(hmm_close)(hmm);
	if (late)
		dlclose(library); /* it stays: its functions may be running */
	return 0;
}
