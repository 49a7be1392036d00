// SPDX-License-Identifier: GPL-2.0-or-later
#ifdef CONFIG_CORE
int stubbed(void);
#else
static inline int stubbed(void) { return 0; }
#endif
