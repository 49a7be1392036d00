#define D(n) int n(void) { return 0; } EXPORT_SYMBOL_GPL(n)
D(e1);
D(e2); D(e3);
#define LIST(X) X(e4) X(e5)
#define E(n) int n(void); EXPORT_SYMBOL_GPL(n);
LIST(E)
