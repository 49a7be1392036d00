// SPDX-License-Identifier: GPL-2.0-or-later
#define EXPORT_OPS(name) const int name##_ops = 1; EXPORT_SYMBOL_GPL(name##_ops)
#define EXPORT_BOTH(name) EXPORT_OPS(name); EXPORT_SYMBOL(name##_init)
#define CALL_INIT(name) name##_init()
#define DEFINE_GUARD(name, fn) static inline void guard_##name##_end(void) { fn(); }
#define guard(name) guard_##name##_end()
void core_unlock(void);
DEFINE_GUARD(core, core_unlock)
