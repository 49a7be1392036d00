// SPDX-License-Identifier: GPL-2.0-or-later
#include "api.h"
int user(int a)
{
	return copy(a, 2) + get_format(a, 1);
}
