// SPDX-License-Identifier: GPL-2.0-or-later
int outer(void);
int o(void) { return outer(); }
