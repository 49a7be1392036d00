// SPDX-License-Identifier: GPL-2.0-or-later
extern int core_debug;
int user(void) { return core_debug; }
