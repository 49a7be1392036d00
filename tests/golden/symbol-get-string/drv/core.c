#include <linux/export.h>
int dyn_fn(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(dyn_fn);
