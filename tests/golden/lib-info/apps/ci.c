// SPDX-License-Identifier: GPL-2.0-or-later
int CI_open(void);
int main(void) { return CI_open(); }
