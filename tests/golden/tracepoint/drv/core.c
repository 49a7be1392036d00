// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
EXPORT_TRACEPOINT_SYMBOL_GPL(core_hit);
EXPORT_TRACEPOINT_SYMBOL(core_miss);
EXPORT_STATIC_CALL_GPL(core_call);
EXPORT_PER_CPU_SYMBOL(core_counter);
