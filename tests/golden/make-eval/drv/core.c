// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
int taken(void) { return 0; }
EXPORT_SYMBOL_GPL(taken);
int spare(void) { return 0; }
EXPORT_SYMBOL_GPL(spare);
