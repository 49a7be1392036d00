#include "common.h"
int u(void)
{
	return go();
}
