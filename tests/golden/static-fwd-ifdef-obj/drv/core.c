#include <linux/export.h>
int *shared_tab;
EXPORT_SYMBOL_GPL(shared_tab);
