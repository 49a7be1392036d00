// SPDX-License-Identifier: GPL-2.0-or-later
int two_more(void) { return two_a(); }
