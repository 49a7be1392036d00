/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How is what was found shown to people and to other programs? */
#ifndef GATE_REPORT_H
#define GATE_REPORT_H

#include "rules/judge.h"

void report_table(const struct scan *s, const struct judgement *j, bool all);
void report_violations(const struct judgement *j);
void report_json(const struct scan *s, const struct judgement *j, bool all);
void report_sarif(const struct judgement *j);
void report_stats(const struct scan *s);
/* false if the symbol is no export */
bool report_explain(struct scan *s, const struct judgement *j, const char *symbol);
/* The consumers of an export as text: "3 modules: a, b, c". */
void report_consumers(const struct scan *s, const struct export *e, struct buf *b);

#endif
