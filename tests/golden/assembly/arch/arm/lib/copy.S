/* SPDX-License-Identifier: GPL-2.0-or-later */
EXPORT_SYMBOL(slow_copy)
slow_copy:
	bx lr
