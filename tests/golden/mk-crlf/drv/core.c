#include <linux/export.h>
int m1(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(m1);
