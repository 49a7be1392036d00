// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/made.h>
int local_2(void);
int u(void)
{
	guard(core);
	return CALL_INIT(disk) + local_2();
}
