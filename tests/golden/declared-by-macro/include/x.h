#define DECL(n) int rd##n(int a)
DECL(8);
DECL(16);
