// SPDX-License-Identifier: GPL-2.0-or-later
#include "export.h"
TREE_EXPORT_SYMBOL(marked_open)
int marked_open(void) { return 0; }
TREE_EXPORT_EXPERIMENTAL_SYMBOL(marked_try, 24.11)
int marked_try(void) { return 0; }
int marked_inner(void) { return 0; }
