// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
#include "api.h"
int copy_sized(int a, int b) { return a + b; }
EXPORT_SYMBOL_GPL(copy_sized);
int state_get_format(int a, int b) { return a + b; }
EXPORT_SYMBOL_GPL(state_get_format);
int state_get_crop(int a, int b) { return a + b; }
EXPORT_SYMBOL_GPL(state_get_crop);
int copier_spare(void) { return 0; }
EXPORT_SYMBOL_GPL(copier_spare);
