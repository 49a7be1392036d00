// SPDX-License-Identifier: GPL-2.0-or-later
int a(void) { return 0; }
OFFER(a);
int b(void) { return 0; }
OFFER_GPL(b, "NS");
int c(void) { return 0; }
OFFER(c);
