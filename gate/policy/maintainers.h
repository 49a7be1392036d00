/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who maintains this file? */
#ifndef GATE_MAINTAINERS_H
#define GATE_MAINTAINERS_H

#include "policy.h"

struct section {
	struct strings files, excluded, people;
};

struct maintainers {
	struct section *v;
	size_t n, cap;
	struct arena arena;
};

/* Both formats: MAINTAINERS as the kernel has it, CODEOWNERS as forges do. */
void maintainers_parse(struct maintainers *m, const char *text, size_t len,
		       bool codeowners);
void maintainers_add(struct maintainers *m, const char *pattern, const char *person);
/* All who maintain the path; appended to `out`. */
void maintainers_of(const struct maintainers *m, const char *path, struct strings *out);
/* Are these the same person, by mail address? */
bool same_person(const char *a, const char *b);
void maintainers_free(struct maintainers *m);

#endif
