// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
int waived(void) { return 0; }
EXPORT_SYMBOL_GPL(waived);
int expired(void) { return 0; }
EXPORT_SYMBOL_GPL(expired);
int unowned(void) { return 0; }
EXPORT_SYMBOL_GPL(unowned);
