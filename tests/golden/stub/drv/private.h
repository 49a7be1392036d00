// SPDX-License-Identifier: GPL-2.0-or-later
static inline int helper(void) { return 1; }
