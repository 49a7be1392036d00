// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
#define DEBUG_AREA core_debug
int DEBUG_AREA;
EXPORT_SYMBOL(DEBUG_AREA);

#define SAFE(name) name##_safe
int SAFE(spare)(void) { return 0; }
EXPORT_SYMBOL_GPL(SAFE(spare));

#define gone other
#undef gone
int gone(void) { return 0; }
EXPORT_SYMBOL_GPL(gone);
