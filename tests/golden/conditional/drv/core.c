// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
#ifdef CONFIG_X
int f(int a)
{
#else
int f(long a)
{
#endif
	return 0;
}
EXPORT_SYMBOL_GPL(f);
int g(void) { return 0; }
EXPORT_SYMBOL_GPL(g);
int h(void) { return 0; }
EXPORT_SYMBOL_GPL(h);
