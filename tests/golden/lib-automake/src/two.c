// SPDX-License-Identifier: GPL-2.0-or-later
int two_a(void) { return 0; }
int two_a1(void) { return 0; }
