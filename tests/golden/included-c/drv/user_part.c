// SPDX-License-Identifier: GPL-2.0-or-later
int u(void) { return part(); }
