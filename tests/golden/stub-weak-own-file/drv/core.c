#include <linux/export.h>
int core_call(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(core_call);
