// SPDX-License-Identifier: GPL-2.0-or-later
int inner_open(void) { return 0; }
int inner(void) { return 0; }
