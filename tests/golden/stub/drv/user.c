// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/core.h>
int u(void) { return stubbed(); }
