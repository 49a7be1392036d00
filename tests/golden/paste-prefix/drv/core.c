#include <linux/export.h>
int core_register(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(core_register);
