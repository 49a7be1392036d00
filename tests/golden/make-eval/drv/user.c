// SPDX-License-Identifier: GPL-2.0-or-later
int taken(void);
int user(void) { return taken(); }
