// SPDX-License-Identifier: GPL-2.0-or-later
int go2(void)
{
	int count = 0, helper;

	helper = 3;
	return count + helper;
}
