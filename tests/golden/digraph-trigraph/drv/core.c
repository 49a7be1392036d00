#include <linux/export.h>
int q1(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(q1);
