#include <linux/export.h>
int hx(void) { return 1; }
EXPORT_SYMBOL(hx);
EXPORT_SYMBOL_NS_GPL(hns, "NSX");
