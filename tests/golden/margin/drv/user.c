// SPDX-License-Identifier: GPL-2.0-or-later
/* A table whose braces stand at the margin, inside and at its end. */
int in_first(void);
int in_second(void);
int after(void);

static const struct entry {
	int (*call)(void);
	struct {
		int a;
	} deep;
} table[] = {
{
	.deep = {
		.a = 1,
	},
	.call = in_first,
},
{
	.deep = {
		.a = 1,
	},
	.call = in_second,
}
};

int user(void)
{
	return table[0].call() + after();
}
