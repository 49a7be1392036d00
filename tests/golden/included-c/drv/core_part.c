// SPDX-License-Identifier: GPL-2.0-or-later
int part(void) { return 0; }
EXPORT_SYMBOL_GPL(part);
int part2(void) { return 0; }
EXPORT_SYMBOL_GPL(part2);
