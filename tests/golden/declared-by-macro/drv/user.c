#include <x.h>
int u(void) { return rd16(1); }
