#include <asm/fast.h>
SYM_FUNC_START(u)
	DO_COPY
	ret
SYM_FUNC_END(u)
