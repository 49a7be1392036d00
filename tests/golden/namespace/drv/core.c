// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/export.h>
int ns_plain(void) { return 0; }
EXPORT_SYMBOL_NS(ns_plain, "CORE");
int ns_gpl(void) { return 0; }
EXPORT_SYMBOL_NS_GPL(ns_gpl, CORE);
int for_mods(void) { return 0; }
EXPORT_SYMBOL_FOR_MODULES(for_mods, "user,other");
int for_tests(void) { return 0; }
EXPORT_SYMBOL_FOR_TESTS_ONLY(for_tests);
