// SPDX-License-Identifier: GPL-2.0-or-later
int CI_open(void) { return 0; }
int ci_inner(void) { return 0; }
