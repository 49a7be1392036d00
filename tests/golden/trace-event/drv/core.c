// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
int used(int a)
{
	return a;
}
EXPORT_SYMBOL_GPL(used);

int unused(int a)
{
	return a;
}
EXPORT_SYMBOL(unused);
