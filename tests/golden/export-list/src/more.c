// SPDX-License-Identifier: GPL-2.0-or-later
int pre_a(void) { return 0; }
int pre_b(void) { return 0; }
