#include <linux/export.h>
#include <x.h>
#define DEF(n) int rd##n(int a) { return a; } EXPORT_SYMBOL_GPL(rd##n);
DEF(8)
DEF(16)
