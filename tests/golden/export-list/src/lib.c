// SPDX-License-Identifier: GPL-2.0-or-later
int l_one(void) { return 0; }
int l_two(void) { return l_one(); }
