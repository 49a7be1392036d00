#define IMPL "impl.h"
#include IMPL
int u(void)
{
	return run();
}
