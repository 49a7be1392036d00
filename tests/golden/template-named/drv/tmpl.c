#include <linux/export.h>
int FN(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(FN);
