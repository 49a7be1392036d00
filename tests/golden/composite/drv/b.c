// SPDX-License-Identifier: GPL-2.0-or-later
int inner(void);
int b(void) { return inner(); }
