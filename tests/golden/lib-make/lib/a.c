// SPDX-License-Identifier: GPL-2.0-or-later
#include "mk.h"
int MK_CALL mk_old_style(a, b)
int a;
char *b;
{ return a; }
int (mk_in_parens)(int a) { return a; }
MK_API int (*mk_pointer)(int);
MK_API void (*mk_signal(int n, void (*f)(int)))(int) { return f; }
static int mk_own(void) { return 0; }
int mk_hidden(void) { return 0; }
MK_DEFINE(made)
MK_API int mk_asm(void) __asm__("mk_label");
int mk_asm(void) { return 0; }
struct mk_struct { int a; } mk_unmarked;
MK_API inline int mk_inline(void) { return 0; }
