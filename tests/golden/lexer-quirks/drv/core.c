#include <linux/export.h>
int q1(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(q1);
int q2(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(q2);
int q3(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(q3);
int q4(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(q4);
