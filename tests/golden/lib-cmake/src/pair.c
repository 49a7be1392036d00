// SPDX-License-Identifier: GPL-2.0-or-later
#define PASTE(a, b) a##b
#define NAME(a, b) PASTE(a, b)
int pair_open(void) { return 0; }
int NAME(PREFIX, made)(void) { return 0; }
int pair_inner(void) { return pair_open(); }
