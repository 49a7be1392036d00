#include <linux/export.h>
int r1(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(r1);
int r2(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(r2);
int r3(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(r3);
int r4(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(r4);
int r5(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(r5);
