/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The question this file answers: what does the runner need to know of a full use? */
#ifndef INJECT_SCENARIO_H
#define INJECT_SCENARIO_H

/*
 * A full use of the library, from open to close, each step checked: every call either
 * fails cleanly or did what it says. Returns how many calls failed (each once is what is
 * expected of one fault), or -1 when something was wrong (said on stderr).
 */
int scenario_run(void);
/* What of the scenario's own must be there before the first run. */
void scenario_init(void);

#endif
