// SPDX-License-Identifier: GPL-2.0-or-later
int l_two(void);
int pre_a(void);
int main(void) { return l_two() + pre_a(); }
