#include "glue.h"
#define PREFIX core
int core_register(void);
int u(void)
{
	return CALL(PREFIX);
}
