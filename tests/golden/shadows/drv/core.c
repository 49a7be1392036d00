#include <linux/export.h>
int s1(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s1);
int s2(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s2);
int s3(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s3);
int s4(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s4);
int s5(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s5);
int s6(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s6);
int s7(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s7);
int s8(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s8);
int s9(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s9);
int s10(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s10);
int s11(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s11);
int s12(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s12);
int s13(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s13);
int s14(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s14);
int s15(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(s15);
