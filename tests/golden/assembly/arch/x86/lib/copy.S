/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/export.h>
SYM_FUNC_START(fast_copy)
	ret
SYM_FUNC_END(fast_copy)
EXPORT_SYMBOL(fast_copy)
SYM_FUNC_START(slow_copy)
	call fast_copy
EXPORT_SYMBOL_GPL(slow_copy)
