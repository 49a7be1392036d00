#include <linux/export.h>
int flag;
EXPORT_SYMBOL_GPL(flag);
