// SPDX-License-Identifier: GPL-2.0-or-later
int unused(int);
int l(void) { return unused(2); }
