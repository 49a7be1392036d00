// SPDX-License-Identifier: GPL-2.0-or-later
int unused(int);
int doc(void) { return unused(1); }
