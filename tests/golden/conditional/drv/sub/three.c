// SPDX-License-Identifier: GPL-2.0-or-later
int h(void);
int th(void) { return h(); }
