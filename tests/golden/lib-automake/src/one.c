// SPDX-License-Identifier: GPL-2.0-or-later
int one(void) { return 0; }
int one_open(void) { return 0; }
int one_private(void) { return 0; }
int one_private_too(void) { return 0; }
