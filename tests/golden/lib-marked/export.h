/* SPDX-License-Identifier: GPL-2.0-or-later */
#define TREE_EXPORT_SYMBOL(symbol)
#define TREE_EXPORT_EXPERIMENTAL_SYMBOL(symbol, version)
