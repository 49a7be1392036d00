// SPDX-License-Identifier: GPL-2.0-or-later
int drv_register(void);
int one(void) { return drv_register(); }
