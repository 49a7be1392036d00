// SPDX-License-Identifier: GPL-2.0-or-later
int g(void);
int t(void)
{
#ifdef CONFIG_A
	if (g()) {
#else
	if (1) {
#endif
		return 1;
	}
	return 0;
}
