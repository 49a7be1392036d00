// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
#include <linux/made.h>
int disk_init(void) { return 0; }
EXPORT_BOTH(disk);
void core_unlock(void) { }
EXPORT_SYMBOL_GPL(core_unlock);
#define LOCAL(n) int local_##n(void) { return n; } EXPORT_SYMBOL_GPL(local_##n);
LOCAL(1)
LOCAL(2)
