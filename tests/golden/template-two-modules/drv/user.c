#include "tmpl.c"
int u(void)
{
	return run();
}
