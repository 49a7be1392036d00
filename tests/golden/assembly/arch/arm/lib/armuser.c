// SPDX-License-Identifier: GPL-2.0-or-later
void slow_copy(void);
void a(void) { slow_copy(); }
