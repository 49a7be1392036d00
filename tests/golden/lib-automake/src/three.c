// SPDX-License-Identifier: GPL-2.0-or-later
#define THREE_API __attribute__((visibility("default")))
THREE_API int three_open(void);
int three_open(void) { return 0; }
int three_hidden(void) { return 0; }
#pragma GCC visibility push(default)
int three_pushed;
#pragma GCC visibility pop
int three_not_pushed = 1;
