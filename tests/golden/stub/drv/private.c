// SPDX-License-Identifier: GPL-2.0-or-later
#include "private.h"
int p(void) { return helper(); }
