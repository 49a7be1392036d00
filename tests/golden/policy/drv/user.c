// SPDX-License-Identifier: GPL-2.0-or-later
int b(void);
int u(void) { return b(); }
