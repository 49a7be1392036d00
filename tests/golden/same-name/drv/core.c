// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
int helper(void) { return 0; }
EXPORT_SYMBOL_GPL(helper);
int count;
EXPORT_SYMBOL_GPL(count);
int global_twin(void) { return 0; }
EXPORT_SYMBOL_GPL(global_twin);
