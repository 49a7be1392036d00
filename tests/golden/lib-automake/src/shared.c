// SPDX-License-Identifier: GPL-2.0-or-later
#ifdef TEST_PROGRAM
int one_open(void);
int main(void) { return one_open(); }
#endif
int shared(void) { return 0; }
