/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The question this file answers: what do model.c and check.c share? */
#ifndef TORTURE_MODEL_PRIV_H
#define TORTURE_MODEL_PRIV_H

#include "model.h"

uint64_t model_tick(void);
struct val *backing_add(struct backing *b, const struct val *v);
void op_end_write(struct op *op);

/* May an operation that ran in [t0, t1] have met the i-th entry? */
static inline bool map_candidate(const struct mpage *m, unsigned int i, uint64_t t0,
				 uint64_t t1)
{
	if (m->evs[i].start > t1)
		return false;
	return i + 1 == m->nr || m->evs[i + 1].end > t0;
}

#endif
