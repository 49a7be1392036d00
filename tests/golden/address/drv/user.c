// SPDX-License-Identifier: GPL-2.0-or-later
int used(int);
int tabled(int);
struct ops {
	int (*run)(int);
};
const struct ops table = {
	.run = tabled,
};
int go(void)
{
	int (*p)(int) = &used;

	return p(1);
}
