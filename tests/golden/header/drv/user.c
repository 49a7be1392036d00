// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/core.h>
int u(void) { return CORE_TWICE(1) + core_step(2); }
