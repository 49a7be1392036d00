#include <linux/export.h>
long (*fp_emul)(void);
EXPORT_SYMBOL_GPL(fp_emul);
