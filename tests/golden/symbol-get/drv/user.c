// SPDX-License-Identifier: GPL-2.0-or-later
int used(int);
int unused(int);
int u(void)
{
	int (*f)(int) = symbol_get(used);

	f = symbol_request(unused);
	return f(1);
}
