#include <linux/export.h>
int (*hook_fn)(int);
EXPORT_SYMBOL_GPL(hook_fn);
