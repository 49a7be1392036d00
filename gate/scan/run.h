/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How is a scan made? */
#ifndef GATE_RUN_H
#define GATE_RUN_H

#include "model/scan.h"

struct scan_options {
	const char *cache; /* folder, NULL = no cache */
	bool refresh;      /* do not read the cache */
};

/* The scan takes the tree over; the policy must outlive it. */
struct scan *scan_run(struct tree *tree, struct policy *policy,
		      const struct scan_options *opt);
struct scan *scan_dir(const char *dir, struct policy *policy,
		      const struct scan_options *opt);
void scan_free(struct scan *s);

#endif
