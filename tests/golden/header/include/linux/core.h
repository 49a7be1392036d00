// SPDX-License-Identifier: GPL-2.0-or-later
int by_macro(int);
int by_inline(int);
int nobody(int);
#define CORE_RUN(x) by_macro((x) + 1)
static inline int core_step(int x)
{
	return by_inline(x);
}
static inline int core_unused(int x)
{
	return nobody(x);
}
#define CORE_TWICE(x) (CORE_RUN(x) + CORE_RUN(x))
