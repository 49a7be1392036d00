// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What if a program loads libhmm late?
 *
 * This one is not linked with it. It loads `hmm check`, which is, by dlopen: libc was
 * there first, so its calls are not interposed, and events alone must carry everything.
 * With libhmm in LD_PRELOAD the same program's calls are interposed.
 */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	void *module = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	int (*check)(int, char **) = NULL;

	if (module)
		check = (int (*)(int, char **))dlsym(module, "late_check");
	if (!check) {
		fprintf(stderr, "late: %s\n", argc > 1 ? dlerror() : "which module?");
		return 2;
	}
	argv[1] = argv[0];
	return check(argc - 1, argv + 1);
}
