// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib.h"
LIB_API int pub_used(void) { return 0; }
int pub_dead(void) { return 0; }
int hidden(void) { return 0; }
