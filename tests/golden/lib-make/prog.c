// SPDX-License-Identifier: GPL-2.0-or-later
int mk_made_get(void);
int main(void) { return mk_made_get(); }
