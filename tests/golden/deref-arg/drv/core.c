#include <linux/export.h>
char **tab_ptr;
EXPORT_SYMBOL_GPL(tab_ptr);
