#include <linux/export.h>
int h1(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(h1);
