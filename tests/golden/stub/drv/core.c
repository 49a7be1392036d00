// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
int stubbed(void) { return 0; }
EXPORT_SYMBOL_GPL(stubbed);
int helper(void) { return 0; }
EXPORT_SYMBOL_GPL(helper);
