// SPDX-License-Identifier: GPL-2.0-or-later
extern int alpha_b;
int main(void) { return alpha_b; }
