#include <linux/export.h>
int chk(void)
{
	return 0;
}
EXPORT_SYMBOL_GPL(chk);
