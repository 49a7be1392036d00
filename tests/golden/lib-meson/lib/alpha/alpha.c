// SPDX-License-Identifier: GPL-2.0-or-later
_M_EXTERN int alpha_a(void);
int alpha_a(void) { return 0; }
_M_EXTERN int alpha_b;
int alpha_b = 1;
_M_EXTERN int alpha_c(void);
int alpha_c(void) { return 0; }
