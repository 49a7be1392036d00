// SPDX-License-Identifier: GPL-2.0-or-later
int f(long);
int o(void) { return f(1); }
