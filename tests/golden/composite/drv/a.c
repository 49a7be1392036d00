// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
int inner(void) { return 0; }
EXPORT_SYMBOL_GPL(inner);
int outer(void) { return 0; }
EXPORT_SYMBOL_GPL(outer);
