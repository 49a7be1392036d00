// SPDX-License-Identifier: GPL-2.0-or-later
int CI_b(void) { return 0; }
