// SPDX-License-Identifier: GPL-2.0-or-later
int used(int);
int u(void) { return used(1); }
