// SPDX-License-Identifier: GPL-2.0-or-later
int pub_used(void);
int main(void) { return pub_used(); }
