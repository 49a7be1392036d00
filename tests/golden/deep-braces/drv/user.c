// SPDX-License-Identifier: GPL-2.0-or-later
int used(int a);
int unused(int a);
static int go(void)
{
	return used(1);
}
