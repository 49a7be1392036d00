// SPDX-License-Identifier: GPL-2.0-or-later
int pair_more(void) { return 0; }
int pair_more_still(void) { return 0; }
static int pair_more_own(void) { return 0; }
