// SPDX-License-Identifier: GPL-2.0-or-later
int pair_made(void);
int main(void) { return pair_made(); }
