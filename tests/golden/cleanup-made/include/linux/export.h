#define EXPORT_SYMBOL(s)
#define EXPORT_SYMBOL_GPL(s)
