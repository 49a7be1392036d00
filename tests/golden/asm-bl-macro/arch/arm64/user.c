#include "op.h"
void u(void)
{
	asm volatile(FAST_OP ::: "x30");
}
