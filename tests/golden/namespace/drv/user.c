// SPDX-License-Identifier: GPL-2.0-or-later
int ns_plain(void);
int ns_gpl(void);
int for_mods(void);
int for_tests(void);
int go(void)
{
	return ns_plain() + ns_gpl() + for_mods() + for_tests();
}
