// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
int in_first(void) { return 0; }
EXPORT_SYMBOL_GPL(in_first);
int in_second(void) { return 0; }
EXPORT_SYMBOL_GPL(in_second);
int after(void) { return 0; }
EXPORT_SYMBOL_GPL(after);
int spare(void) { return 0; }
EXPORT_SYMBOL_GPL(spare);
