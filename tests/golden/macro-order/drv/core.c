#include <linux/export.h>
#define DEF2(x) DEF1(x##_a)
#define DEF1(x) int x(void) { return 0; } EXPORT_SYMBOL_GPL(x);
DEF2(foo)
