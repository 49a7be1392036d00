// SPDX-License-Identifier: GPL-2.0-or-later
static int helper(void)
{
	return 1;
}
int go(int count)
{
	return helper() + count;
}
