#include <linux/export.h>
int only_kvm(void) { return 0; }
EXPORT_SYMBOL_FOR_MODULES(only_kvm, "kvm");
