// SPDX-License-Identifier: GPL-2.0-or-later
int unused(int);
int a(void) { return unused(1); }
