// SPDX-License-Identifier: GPL-2.0-or-later
int core_unused(int x);
int b(void) { return core_unused(1); }
