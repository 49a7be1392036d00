#include <linux/export.h>
int fast_op(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(fast_op);
