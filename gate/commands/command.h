/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What do the subcommands share? One file each, called from main.c. */
#ifndef GATE_COMMAND_H
#define GATE_COMMAND_H

#include "reports/report.h"

struct options {
	const char *policy;
	const char *tree; /* -C */
	const char *html;
	const char *elf;
	const char *cache; /* folder, NULL = none */
	bool json, sarif, all, stats, refresh;
	const char *const *args;
	int nargs;
};

int cmd_scan(struct options *o);
int cmd_check(struct options *o);
int cmd_explain(struct options *o);
int cmd_series(struct options *o);
int cmd_history(struct options *o);
int cmd_due(struct options *o);
int cmd_init(struct options *o);
/* --elf: what built objects say, alone or beside a tree. */
int elf_command(struct options *o);

/* Scans and judges one tree as the options say; the caller frees all three. */
struct scan *command_scan(struct options *o, const char *dir, struct policy *p,
			  struct judgement *j);

#endif
