#include <linux/export.h>
void item_put(void *p)
{
}
EXPORT_SYMBOL_GPL(item_put);
