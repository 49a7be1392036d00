// SPDX-License-Identifier: GPL-2.0-or-later
_M_EXTERN int beta_a(void);
int beta_a(void) { return 0; }
int beta_hidden(void) { return 0; }
