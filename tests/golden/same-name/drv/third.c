// SPDX-License-Identifier: GPL-2.0-or-later
int global_twin(void)
{
	return 2;
}
int go3(void)
{
	return global_twin();
}
