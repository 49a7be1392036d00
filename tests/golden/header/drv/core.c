// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
int by_macro(int a) { return a; }
EXPORT_SYMBOL_GPL(by_macro);
int by_inline(int a) { return a; }
EXPORT_SYMBOL_GPL(by_inline);
int nobody(int a) { return a; }
EXPORT_SYMBOL_GPL(nobody);
