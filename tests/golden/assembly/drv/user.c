// SPDX-License-Identifier: GPL-2.0-or-later
void u(void)
{
	asm volatile("call fast_copy");
}
