// SPDX-License-Identifier: GPL-2.0-or-later
int part(void);
#include "user_part.c"
